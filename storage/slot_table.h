// SlotTable: which event stands in which slot of the replay memory. Slots 0 .. size() - 1 are filled. A slot costs 8
// bytes, and more for the columns that a policy or a sampler asks for (SlotColumns).
//
// Pages of kSlotsPerPage slots know whether they changed since the last save, so that a checkpoint writes those alone.
//
// Threads: one owner.  Owns: its columns, grown as slots fill.  Failure: load() checks what it is given (kDataLoss).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace freshet {

inline constexpr std::uint64_t kSlotsPerPage = 512;
inline constexpr std::uint64_t kSlotsMax = 4'000'000'000;  // a slot's number fits 32 bits
inline constexpr float kUnknownLoss = std::numeric_limits<float>::quiet_NaN();

// An event that is offered to the memory.
struct ReplayItem {
  std::uint64_t seq = 0;
  std::int64_t time_ms = 0;   // event time
  std::uint16_t group = 0;    // class, for policies and samplers that balance
  float loss = kUnknownLoss;  // under the model that was served when the event arrived
  std::uint16_t stratum = 0;  // set by the policy that keeps strata
  float key = 0;              // set by the policy that keeps keys
};

struct SlotColumns {
  bool times = false;   // 4 bytes: event time in seconds
  bool groups = false;  // 2 bytes: class
  bool strata = false;  // 2 bytes: stratum of event time
  bool keys = false;    // 4 bytes: the policy's key
  SlotColumns joined(const SlotColumns& other) const {
    return {times || other.times, groups || other.groups, strata || other.strata, keys || other.keys};
  }
};

class SlotTable {
 public:
  explicit SlotTable(const SlotColumns& columns) : with_(columns) {}

  std::uint64_t size() const { return seqs_.size(); }
  const SlotColumns& columns() const { return with_; }
  std::uint64_t seq(std::uint64_t slot) const { return seqs_[slot]; }
  std::uint32_t time_s(std::uint64_t slot) const { return with_.times ? times_[slot] : 0; }
  float key(std::uint64_t slot) const { return with_.keys ? keys_[slot] : 0.0F; }
  std::span<const std::uint16_t> groups() const { return groups_; }  // empty without the column
  std::span<const std::uint16_t> strata() const { return strata_; }

  void append(const ReplayItem& item);
  void replace(std::uint64_t slot, const ReplayItem& item);
  void remove(std::uint64_t slot);  // the last slot moves into its place
  void set_stratum(std::uint64_t slot, std::uint16_t stratum);

  // Calls visitor(page index, bytes) for each page that changed since the last clear_dirty() or load.
  void dirty_pages(const std::function<void(std::uint64_t, std::string_view)>& visitor) const;
  void clear_dirty();
  std::uint64_t dirty_count() const;
  std::uint64_t slot_bytes() const {
    return 8U + (with_.times ? 4U : 0U) + (with_.groups ? 2U : 0U) + (with_.strata ? 2U : 0U) + (with_.keys ? 4U : 0U);
  }

  // load_begin(size), then each page in ascending order, then load_end().
  void load_begin(std::uint64_t size);
  Status load_page(std::uint64_t page, std::string_view bytes);
  Status load_end() const;

  // Seconds since 1970 of an event time, held within 1970 .. 2106.
  static std::uint32_t to_seconds(std::int64_t time_ms);

 private:
  void touch(std::uint64_t slot);
  template <typename Visit>
  void each_column(const Visit& visit);  // visit(column, value of an item) for those that are kept

  SlotColumns with_;
  std::vector<std::uint64_t> seqs_;
  std::vector<std::uint32_t> times_;
  std::vector<std::uint16_t> groups_;
  std::vector<std::uint16_t> strata_;
  std::vector<float> keys_;
  std::vector<bool> dirty_;
  std::uint64_t loaded_ = 0;
};

}  // namespace freshet
