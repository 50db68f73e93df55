// EventBatch: decoded events as columns, in stream order, with capacity fixed at construction: filling and clearing it
// allocates nothing per event. Decoders and the HTTP server write it, the feature encoder and the pipeline read it.
//
// A row is built in place: begin_row() sets every column of row size() to "missing"; commit_row() makes it part of the
// batch; a row that is not committed is overwritten by the next begin_row().
//
// Threads: one owner at a time (it moves through queues).  Owns: its columns.  Failure: writing past capacity aborts.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "core/position.h"
#include "core/schema.h"

namespace freshet {

inline constexpr float kMissingNumber = std::numeric_limits<float>::quiet_NaN();
inline constexpr std::uint64_t kMissingCategory = 0;

// Why a record did not become an event. The names are label values of freshet_records_skipped_total.
enum class SkipReason : std::uint8_t {
  kMalformed,  // not JSON, truncated
  kNotAnObject,
  kInvalidUtf8,
  kTooDeep,
  kTooLarge,
  kEmpty,
  kTombstone,  // null value: nothing to learn, or an erasure of its key; counted, not dead-lettered
  kMissingLabel,
  kBadLabel,    // wrong type, not finite, not a class
  kBadFeature,  // wrong type, or wrong length of a vector
  kNotFinite,   // a number that float32 cannot hold
  kBadTime,
  kDuplicateField,
  kDuplicate,  // offset already learnt (redelivery); counted, not dead-lettered
};
inline constexpr std::size_t kSkipReasons = 14;
std::string_view skip_reason_name(SkipReason reason);

struct SkippedRecord {
  Position position;
  SkipReason reason = SkipReason::kMalformed;
  std::uint64_t key_hash = 0;     // kTombstone alone: the key whose events are to be erased; 0: none are
  std::uint32_t rows_before = 0;  // rows of the batch that stand before it in the stream
};

// A partition whose reading goes on at `next_offset`, whatever was expected there: further on, because the broker had
// deleted what stood between, or further back, because the topic was made anew.
struct OffsetReset {
  std::int32_t partition = 0;
  std::int64_t next_offset = 0;
  friend bool operator==(const OffsetReset&, const OffsetReset&) = default;
};

class EventBatch {
 public:
  EventBatch(const Schema& schema, std::size_t capacity);

  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  bool full() const { return size_ == capacity_; }
  bool empty() const { return size_ == 0 && skipped.empty() && resets.empty(); }
  void clear();

  // Sets row size() to missing everywhere and returns its index.
  std::size_t begin_row();
  void commit_row();

  // Column c of its kind, capacity() long; rows [0, size()) are valid, row size() is the one being built.
  float* numbers(std::uint32_t c) { return numbers_.data() + c * capacity_; }
  const float* numbers(std::uint32_t c) const { return numbers_.data() + c * capacity_; }
  std::uint64_t* categories(std::uint32_t c) { return categories_.data() + c * capacity_; }
  const std::uint64_t* categories(std::uint32_t c) const { return categories_.data() + c * capacity_; }
  // All vector fields of one row, in schema order: [vector_floats].
  std::span<float> vectors(std::size_t row) { return {vectors_.data() + row * vector_floats_, vector_floats_}; }
  std::span<const float> vectors(std::size_t row) const {
    return {vectors_.data() + row * vector_floats_, vector_floats_};
  }
  std::uint32_t number_columns() const { return number_columns_; }
  std::uint32_t category_columns() const { return category_columns_; }

  // Row attributes, capacity() long each.
  std::vector<Position> positions;
  std::vector<float> labels;                // class index, or the target of a regression
  std::vector<float> weights;               // 1 unless the event says otherwise
  std::vector<std::int64_t> time_ms;        // event time
  std::vector<std::uint64_t> key_hashes;    // identity; a hash of the position where the event has no key
  std::vector<std::uint64_t> value_hashes;  // of the record's value bytes, for the ledger of what was learnt from
  std::vector<std::int64_t> arrival_ns;     // Clock::monotonic_ns when the record was received

  // Before the first row.
  std::vector<OffsetReset> resets;
  // Records seen between the rows that did not become events, in order.
  std::vector<SkippedRecord> skipped;
  // The dead letters among them must be acknowledged up to this ticket before the batch's positions are committed.
  std::uint64_t dead_letter_ticket = 0;

 private:
  std::size_t capacity_;
  std::size_t size_ = 0;
  std::uint32_t number_columns_;
  std::uint32_t category_columns_;
  std::uint32_t vector_floats_;
  std::vector<float> numbers_;
  std::vector<std::uint64_t> categories_;
  std::vector<float> vectors_;
};

}  // namespace freshet
