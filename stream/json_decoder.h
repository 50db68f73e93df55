// JsonDecoder: one JSON object becomes one row of an EventBatch, in a single pass without allocation. Fields are found
// by guessing that they come in the order of the records before; a wrong guess costs a hash lookup.
//
//   number    a JSON number; null or absent is missing          boolean  true, false; null or absent is missing
//   category  a string, number, true or false; null or absent is missing       vector  exactly `size` numbers
//   label     a number, true, false, or a string of class_names; null or absent is missing_label
//   time      integer milliseconds or ISO 8601 text (UTC where it names no zone)
//   key       like a category; hashed with seed 0, so that it equals the hash of the same text as a Kafka key
// Fields that are not configured are ignored but must be valid JSON.
//
// Threads: one owner.  Owns: its lookup tables and scratch space.
// Failure: a record that cannot become an event says why; the batch then stays as it was.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/event_batch.h"
#include "core/schema.h"

namespace freshet {

struct DecoderOptions {
  std::size_t record_bytes_max = std::size_t{1} << 20;
  std::uint32_t depth_max = 64;  // containers within containers; at most 1024
  bool require_label = true;     // false: an absent label is NaN
  std::string weight_field{};    // a number >= 0; empty: every event weighs 1
};

struct DecodeOutcome {
  bool decoded = false;
  SkipReason reason = SkipReason::kMalformed;
  std::string_view detail;  // for a person: field, what was found; valid until the next decode
  explicit operator bool() const { return decoded; }
};

class JsonDecoder {
 public:
  JsonDecoder(const Schema& schema, DecoderOptions options);
  ~JsonDecoder();
  JsonDecoder(JsonDecoder&&) noexcept;
  JsonDecoder& operator=(JsonDecoder&&) noexcept;

  // Fills row batch.size() from `json`: columns, label, weight, and where fields for them are configured time and key
  // hash (0 when the event has none). The caller sets the other attributes and then commits the row.
  DecodeOutcome decode(std::string_view json, EventBatch& batch);

  const DecoderOptions& options() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace freshet
