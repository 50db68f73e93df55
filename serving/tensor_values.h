// The data of one tensor of an inference request, read into a column of an EventBatch: internal to serving/, for
// infer_request.cc. Data is JSON (tensor_values.cc) or binary (tensor_bytes.cc); both give the same column for the same
// values.
//
// Threads: pure functions.  Failure: kInvalidArgument with input, row and what stands there.
#pragma once

#include <simdjson.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/event_batch.h"
#include "core/schema.h"
#include "core/status.h"
#include "serving/tensor_datatype.h"

namespace freshet {

inline constexpr std::size_t kRankMax = 8;

struct Tensor {
  std::string_view name;
  std::size_t input = 0;               // which of the known inputs
  const Datatype* datatype = nullptr;  // one that the input accepts
  std::size_t rank = 1;
  std::array<std::uint64_t, kRankMax> sizes{};  // the shape: [rows, …], whose rest multiplies to `width`
  std::uint64_t rows = 0;
  std::uint64_t width = 1;
  bool binary = false;
  simdjson::dom::array data;  // unless binary
  std::string_view bytes;     // binary: little-endian items in row-major order, see tensor_bytes.cc
};

// Whether there can be as much data as the shape says: to be asked before memory is taken for the rows.
Status check_extent(const Tensor& tensor);

// The batch has `tensor.rows` rows; items that are null, or in binary form not a number, leave theirs as they are.
Status fill_column(const Tensor& tensor, const Column& column, EventBatch& batch);
Status fill_time(const Tensor& tensor, EventBatch& batch);

// Parts of the above: the binary form.
Status check_bytes_extent(const Tensor& tensor);
Status fill_column_from_bytes(const Tensor& tensor, const Column& column, EventBatch& batch);
Status fill_time_from_bytes(const Tensor& tensor, EventBatch& batch);

// The hash of an unsigned integer above INT64_MAX, by its decimal text like any other.
std::uint64_t hash_large_category(std::uint64_t seed, std::uint64_t value);

// For messages: a name cut to a bearable length, a JSON value in words.
std::string_view cut_name(std::string_view text);
std::string show_json(const simdjson::dom::element& item);

}  // namespace freshet
