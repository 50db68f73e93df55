// InferRequest: the body of an inference request of the Open Inference Protocol v2, read into an EventBatch. One object
// serves many requests after each other and then allocates nothing for small ones.
//
//   feature    accepted datatypes                                        shape
//   number     INT8..INT64, UINT8..UINT64, FP16, FP32, FP64              [rows] or [rows, 1]
//   boolean    BOOL (true, false, 1, 0)                                  [rows] or [rows, 1]
//   category   BYTES, BOOL, INT*, UINT*, FP*: 7, 7.0 and "7" are one     [rows] or [rows, 1]
//   vector     as number; must be there, as in the event stream          [rows, size], or [rows, …] with size items
//   time       BYTES (ISO 8601), INT64, UINT64, FP64 (ms since 1970)     [rows] or [rows, 1]
// A feature that is left out, or whose item is null (in binary form: NaN), is missing; an event time that is left out
// is now. Data stands in the JSON, or in binary form after it (the binary tensor data extension), input by input.
//
// Threads: one owner.  Owns: parser, batch and scratch space.
// Failure: kInvalidArgument with what is wrong and where; the object is then good for the next request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/event_batch.h"
#include "core/schema.h"
#include "core/status.h"

namespace freshet {

struct RequestedOutput {
  std::size_t index = 0;  // into the names that the request may ask for
  bool binary = false;
};

class InferRequest {
 public:
  // `schema` outlives this object. `outputs`: the names that a request may ask for.
  InferRequest(const Schema& schema, std::vector<std::string> outputs, std::size_t rows_max);
  ~InferRequest();
  InferRequest(const InferRequest&) = delete;
  InferRequest& operator=(const InferRequest&) = delete;

  // `json_bytes`: the header Inference-Header-Content-Length, where there is one: how much of the body is JSON; the
  // binary tensors follow. 0: the body is the one input of a model that has no other, in its metadata's datatype.
  // `slack`: readable bytes past the body's end. Views below are valid until the next read, those into JSON included.
  Status read(std::string_view body, std::optional<std::uint64_t> json_bytes, std::size_t slack, std::int64_t now_ms);

  const EventBatch& events() const;
  bool has_id() const;
  std::string_view id() const;
  // In the order asked for; all of them when the request names none.
  const std::vector<RequestedOutput>& outputs() const;
  // Features that the request left out, comma-separated; empty when it named all.
  std::string_view missing_inputs() const;

  // Batches of up to this many rows live in kept memory; larger ones are given back by `release_large`.
  static constexpr std::size_t kSmallRows = 256;
  void release_large();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace freshet
