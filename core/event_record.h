// EventRecordCodec: one event as the bytes that storage keeps. A record has a header, the raw columns (so that a redo
// from the log, or another feature set, can encode it again) and the encoded columns (what replay trains on: encoding a
// replayed event again would put its own label into its features). Every record of one spec has the same size.
//
//   header   u32 format | u32 slice | i32 partition | f32 label | i64 offset | i64 time_ms | u64 key_hash |
//            u64 value_hash | f32 weight | f32 loss
//   raw      f32 x numbers | u64 x categories
//   encoded  f32 x dense | u32 x categorical          (vectors are the tail of dense, kept once)
//
// Threads: immutable.  Failure: bytes of another size or format are data_loss.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/encoded_batch.h"
#include "core/event_batch.h"

namespace freshet {

inline constexpr std::uint32_t kNoSlice = 0xFFFFFFFF;

struct RecordOrigin {
  Position position;
  std::int64_t time_ms = 0;
  std::uint64_t key_hash = 0;
  std::uint64_t value_hash = 0;
};

// The key hash in a record's header; 0 for bytes too short to have one.
std::uint64_t record_key_hash(std::string_view record);

class EventRecordCodec {
 public:
  EventRecordCodec(const Schema& schema, const EncodedLayout& layout);

  std::size_t record_size() const { return record_size_; }

  // Writes record_size() bytes to `target`.
  void encode(const EventBatch& events, std::size_t event_row, const EncodedBatch& encoded, std::size_t encoded_row,
              std::uint32_t slice, char* target) const;

  // Sets row `row` of `encoded` (features, label, weight, loss, time, key; the caller sets seqs).
  Status decode_encoded(std::string_view record, EncodedBatch& encoded, std::size_t row) const;

  // The slice that the event was given when it was recorded, or kNoSlice.
  Result<std::uint32_t> slice_of(std::string_view record) const;

  // Where the event came from and what it was, without decoding its columns.
  Result<RecordOrigin> origin_of(std::string_view record) const;

  // Appends the raw columns and attributes as a row of `events`, which must have room.
  Status decode_raw(std::string_view record, EventBatch& events) const;

 private:
  Status check(std::string_view record) const;
  std::uint32_t numbers_, categories_, vector_floats_, dense_, categorical_;
  std::size_t record_size_;
};

}  // namespace freshet
