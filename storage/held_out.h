// Held-out events: kept from training and from encoder statistics, so that forgetting, gating and tuning are judged on
// what the model has never learnt from. An event's purpose follows from a hash of its key alone: all events of a key
// share it, on every replica and after every restart, and no event has two purposes.
//
// Threads: HeldOutChoice is immutable; HeldOutSet has one owner.
// Owns: HeldOutSet copies of the records.  Failure: load() checks what it is given (kDataLoss).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "core/status.h"

namespace freshet {

enum class Purpose : std::uint8_t { kTraining, kForgetting, kGating, kTuning };
std::string_view purpose_name(Purpose purpose);

// Shares of the keys, each 0 .. 1, together below 1; the rest trains.
struct HeldOutShares {
  double forgetting = 0;
  double gating = 0;
  double tuning = 0;
  std::uint64_t salt = 0;  // another salt makes an independent choice
};

class HeldOutChoice {
 public:
  static Result<HeldOutChoice> create(const HeldOutShares& shares);
  Purpose purpose_of(std::uint64_t key_hash) const;

 private:
  HeldOutChoice() = default;
  std::uint64_t salt_ = 0;
  std::uint64_t forgetting_end_ = 0;  // of 2^53
  std::uint64_t gating_end_ = 0;
  std::uint64_t tuning_end_ = 0;
};

struct HeldOutOptions {
  std::uint32_t events_per_slice_max = 512;
  std::uint32_t slices_max = 256;
  std::uint64_t seed = 1;
};

// A uniform sample of each slice's events (algorithm R), of bounded size, whatever the order in which slices come.
class HeldOutSet {
 public:
  explicit HeldOutSet(const HeldOutOptions& options) : options_(options) {}

  // False when the record was not kept: by chance, or because there are slices_max other slices.
  bool offer(std::uint32_t slice, std::uint64_t seq, std::string_view record);

  std::vector<std::uint32_t> slices() const;  // ascending
  std::uint64_t seen(std::uint32_t slice) const;
  std::size_t size(std::uint32_t slice) const;
  void records(std::uint32_t slice,
               const std::function<void(std::uint64_t seq, std::string_view record)>& visitor) const;
  std::uint64_t refused() const { return refused_; }  // offers for lack of room for another slice

  // Forgets the entries for which `gone` is true (erasure); their number.
  std::size_t erase_if(const std::function<bool(std::uint64_t seq, std::string_view record)>& gone);

  std::string save() const;
  Status load(std::string_view bytes);

 private:
  struct Entry {
    std::uint64_t seq = 0;
    std::string record;
  };
  struct Slice {
    Rng rng;
    std::uint64_t seen = 0;
    std::vector<Entry> entries;
  };
  HeldOutOptions options_;
  std::map<std::uint32_t, Slice> slices_;
  std::uint64_t refused_ = 0;
};

}  // namespace freshet
