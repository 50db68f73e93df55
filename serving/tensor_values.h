// The data of one tensor of an inference request, read into a column of an EventBatch: internal to serving/, for
// infer_request.cc.
//
// Threads: pure functions.  Failure: kInvalidArgument with input, row and what stands there.
#pragma once

#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/event_batch.h"
#include "core/schema.h"
#include "core/status.h"
#include "serving/tensor_datatype.h"

namespace freshet {

struct Tensor {
  std::string_view name;
  std::size_t input = 0;               // which of the known inputs
  const Datatype* datatype = nullptr;  // one that the input accepts
  std::size_t rank = 1;
  std::uint64_t rows = 0;
  std::uint64_t width = 1;
  simdjson::dom::array data;
};

// The batch has `tensor.rows` rows; items that are null leave theirs as they are.
Status fill_column(const Tensor& tensor, const Column& column, EventBatch& batch);
Status fill_time(const Tensor& tensor, EventBatch& batch);

// For messages: a name cut to a bearable length, a JSON value in words.
std::string_view cut_name(std::string_view text);
std::string show_json(const simdjson::dom::element& item);

}  // namespace freshet
