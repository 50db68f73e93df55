// Slices: which part of the world an event belongs to, so that forgetting can be told part by part. A slice is a
// class, a window of event time, a calendar month (UTC), or a given value of a field.
//
// At most 63 slices have a name of their own; what comes after them, and every value that is not listed, is "other".
// Numbers of slices are stable: classes and values in the order of the configuration, times in the order first seen.
//
// Threads: one owner (ingest).  Owns: the times seen so far.
// Failure: `create` refuses what makes no slices (unknown field, no values, a window of 0); `load` answers data_loss.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/event_batch.h"
#include "core/schema.h"
#include "core/status.h"

namespace freshet {

inline constexpr std::uint32_t kSlicesMax = 64;
inline constexpr std::uint32_t kOtherSlice = kSlicesMax - 1;

enum class SliceKind : std::uint8_t { kClass, kTimeWindow, kMonth, kFieldValue };

struct SliceSpec {
  SliceKind kind = SliceKind::kMonth;
  std::int64_t window_ms = 0;            // kTimeWindow: length; windows are counted from the first event
  std::string field = {};                // kFieldValue: a category, number or boolean of the events
  std::vector<std::string> values = {};  // kFieldValue: the values that make slices, as text
};

class Slices {
 public:
  static Result<Slices> create(const SliceSpec& spec, const Schema& schema);

  // The slice of a row, below kSlicesMax. A time not seen before becomes a slice.
  std::uint32_t slice_of(const EventBatch& events, std::size_t row);

  // Slices [0, size()) have names of their own; kOtherSlice is always valid.
  std::uint32_t size() const;
  // "2013-03", "2013-01-01+30d", "class=late", "carrier=AA", "other".
  std::string name(std::uint32_t slice) const;

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  Slices(const SliceSpec& spec, const Schema& schema);
  std::uint32_t slice_of_period(std::int64_t period);
  std::int64_t period_of(std::int64_t time_ms);

  SliceSpec spec_;
  std::uint64_t fingerprint_;
  std::vector<std::string> names_;  // fixed kinds
  bool category_ = false;           // kFieldValue
  std::uint32_t column_ = 0;
  std::vector<std::uint64_t> category_values_;
  std::vector<float> number_values_;
  bool begun_ = false;  // kTimeWindow: origin_ms_ is known
  std::int64_t origin_ms_ = 0;
  std::vector<std::int64_t> periods_;  // months since year 0, or windows since the origin, in order seen
  std::uint32_t latest_ = 0;           // period of the previous event: the likely one of the next
};

}  // namespace freshet
