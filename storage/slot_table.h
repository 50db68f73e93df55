// SlotTable: which event stands in which slot of the replay memory. Slots 0 .. size() - 1 are filled. A slot costs 8
// bytes, 4 more where times are kept (for a time to live), 2 more where groups are (for class balance).
//
// Pages of kSlotsPerPage slots know whether they changed since the last save, so that a checkpoint writes those alone.
//
// Threads: one owner.  Owns: its columns, grown as slots fill.  Failure: load() checks what it is given (kDataLoss).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace freshet {

inline constexpr std::uint64_t kSlotsPerPage = 512;

// An event that is offered to the memory.
struct ReplayItem {
  std::uint64_t seq = 0;
  std::int64_t time_ms = 0;  // event time
  std::uint16_t group = 0;   // class or slice, for policies that balance
};

class SlotTable {
 public:
  SlotTable(bool with_times, bool with_groups) : with_times_(with_times), with_groups_(with_groups) {}

  std::uint64_t size() const { return seqs_.size(); }
  bool with_times() const { return with_times_; }
  bool with_groups() const { return with_groups_; }
  std::uint64_t seq(std::uint64_t slot) const { return seqs_[slot]; }
  std::uint32_t time_s(std::uint64_t slot) const { return with_times_ ? times_[slot] : 0; }
  std::uint16_t group(std::uint64_t slot) const { return with_groups_ ? groups_[slot] : std::uint16_t{0}; }

  void append(const ReplayItem& item);
  void replace(std::uint64_t slot, const ReplayItem& item);
  void remove(std::uint64_t slot);  // the last slot moves into its place
  void sort_by_seq();

  // Calls visitor(page index, bytes) for each page that changed since the last clear_dirty() or load.
  void dirty_pages(const std::function<void(std::uint64_t, std::string_view)>& visitor) const;
  void clear_dirty();
  std::uint64_t dirty_count() const;

  // load_begin(size), then each page in ascending order, then load_end().
  void load_begin(std::uint64_t size);
  Status load_page(std::uint64_t page, std::string_view bytes);
  Status load_end() const;

  // Seconds since 1970 of an event time, held within 1970 .. 2106.
  static std::uint32_t to_seconds(std::int64_t time_ms);

 private:
  void touch(std::uint64_t slot);
  std::uint64_t slot_bytes() const { return 8U + (with_times_ ? 4U : 0U) + (with_groups_ ? 2U : 0U); }

  bool with_times_;
  bool with_groups_;
  std::vector<std::uint64_t> seqs_;
  std::vector<std::uint32_t> times_;
  std::vector<std::uint16_t> groups_;
  std::vector<bool> dirty_;
  std::uint64_t loaded_ = 0;
};

}  // namespace freshet
