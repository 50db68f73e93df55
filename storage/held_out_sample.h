// HeldOutSample: a bounded set of held-out events that follows the stream, for judging candidates (gating) and trials
// (tuning). Half of its places hold the newest events, so that it knows the world as it is; what leaves that half is
// offered to the other one, a uniform sample (algorithm R) of everything before. An event stands in one half only.
//
// Threads: one owner (ingest).  Owns: copies of the records.  Failure: load() checks what it is given (kDataLoss).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "core/status.h"

namespace freshet {

class HeldOutSample {
 public:
  HeldOutSample(std::uint32_t events_max, std::uint64_t seed)
      : recent_max_((events_max + 1) / 2), older_max_(events_max / 2), rng_(seed) {}

  void offer(std::uint64_t seq, std::string_view record);

  std::size_t size() const { return recent_.size() + older_.size(); }
  std::size_t past_size() const { return older_.size(); }  // of the uniform sample; it comes first in records()
  std::uint64_t seen() const { return left_ + recent_.size(); }
  // The uniform sample in an order of its own, then the newest events, oldest first.
  void records(const std::function<void(std::uint64_t seq, std::string_view record)>& visitor) const;

  // Forgets the entries for which `gone` is true (erasure); their number.
  std::size_t erase_if(const std::function<bool(std::uint64_t seq, std::string_view record)>& gone);

  std::string save() const;
  Status load(std::string_view bytes);

 private:
  struct Entry {
    std::uint64_t seq = 0;
    std::string record;
  };
  std::size_t recent_max_;
  std::size_t older_max_;
  Rng rng_;
  std::uint64_t left_ = 0;  // events that have left the recent half
  std::deque<Entry> recent_;
  std::vector<Entry> older_;
};

}  // namespace freshet
