#include "serving/infer_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "serving/input_table.h"
#include "serving/requested_outputs.h"
#include "serving/tensor_datatype.h"
#include "serving/tensor_values.h"

namespace freshet {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kDepthMax = 32;
constexpr std::size_t kFirstCapacity = std::size_t{64} << 10;
constexpr std::size_t kKeptCapacity = std::size_t{1} << 20;

}  // namespace

class InferRequest::Impl {
 public:
  Impl(const Schema& schema, std::vector<std::string> output_names, std::size_t rows_max)
      : schema_(schema),
        rows_max_(rows_max),
        inputs_(schema),
        requested_(std::move(output_names)),
        small_(schema, kSmallRows) {
    seen_.resize(inputs_.size());
  }

  Status read(std::string_view body, std::optional<std::uint64_t> json_bytes, std::size_t slack, std::int64_t now_ms) {
    reset();
    if (body.empty()) return invalid_argument("the request has no body");
    std::string_view json = body;
    if (json_bytes) {
      if (*json_bytes > body.size()) {
        return invalid_argument(
            fmt::format("Inference-Header-Content-Length is {}, but the body has {} bytes", *json_bytes, body.size()));
      }
      json = body.substr(0, *json_bytes);
      binary_rest_ = body.substr(*json_bytes);
      slack += binary_rest_.size();
    }
    if (json_bytes && json.empty()) {
      TRY(describe_raw(body));
    } else {
      TRY(read_json(json, slack, json_bytes.has_value()));
    }
    requested_.settle(binary_output_);
    TRY(note_missing());
    return fill(now_ms);
  }

  void release_large() {
    large_.reset();
    if (parser_.capacity() > kKeptCapacity) {
      parser_ = dom::parser();
      std::string().swap(padded_);
    }
  }

  const EventBatch& events() const { return large_ ? *large_ : small_; }
  bool has_id() const { return has_id_; }
  std::string_view id() const { return id_; }
  const std::vector<RequestedOutput>& outputs() const { return requested_.items(); }
  std::string_view missing_inputs() const { return missing_; }

 private:
  void reset() {
    release_large();
    std::fill(seen_.begin(), seen_.end(), std::uint8_t{0});
    tensors_.clear();
    requested_.clear();
    missing_.clear();
    binary_rest_ = {};
    binary_output_ = false;
    id_ = {};
    has_id_ = false;
  }

  Status read_json(std::string_view json, std::size_t slack, bool binary_follows) {
    dom::element root;
    TRY(parse(json, slack, root));
    dom::object request;
    if (root.get(request) != simdjson::SUCCESS) return invalid_argument("the request must be a JSON object");
    bool has_inputs = false;
    bool has_outputs = false;
    for (const auto& [key, value] : request) {
      if (key == "id") {
        if (value.is_null()) continue;
        if (value.get(id_) != simdjson::SUCCESS)
          return invalid_argument(fmt::format("'id' must be a text, is {}", show_json(value)));
        has_id_ = true;
      } else if (key == "parameters") {
        TRY(read_parameters(value));
      } else if (key == "inputs") {
        if (std::exchange(has_inputs, true)) return invalid_argument("'inputs' stands twice in the request");
        TRY(describe_inputs(value, binary_follows));
      } else if (key == "outputs") {
        if (std::exchange(has_outputs, true)) return invalid_argument("'outputs' stands twice in the request");
        if (!value.is_null()) TRY(requested_.read(value));
      }
    }
    if (tensors_.empty()) return invalid_argument("'inputs' is missing or empty: name at least one feature");
    if (!binary_rest_.empty()) {
      return invalid_argument(
          fmt::format("{} bytes of the body belong to no input: the sum of 'binary_data_size' falls short of them",
                      binary_rest_.size()));
    }
    return Status::ok();
  }

  Status parse(std::string_view body, std::size_t slack, dom::element& root) {
    if (parser_.capacity() == 0 && parser_.allocate(kFirstCapacity, kDepthMax) != simdjson::SUCCESS) {
      return resource_exhausted("no memory to parse the request");
    }
    if (slack < simdjson::SIMDJSON_PADDING) {
      padded_.assign(body);
      padded_.resize(body.size() + simdjson::SIMDJSON_PADDING);
      body = std::string_view(padded_).substr(0, body.size());
    }
    const auto error = parser_.parse(body.data(), body.size(), false).get(root);
    if (error == simdjson::SUCCESS) return Status::ok();
    if (error == simdjson::MEMALLOC) return resource_exhausted("no memory to parse the request");
    if (error == simdjson::DEPTH_ERROR) {
      return invalid_argument(fmt::format("the request is nested more than {} deep, or is cut short", kDepthMax - 1));
    }
    return invalid_argument(fmt::format("the request is not JSON: {}", simdjson::error_message(error)));
  }

  Status read_parameters(const dom::element& value) {
    if (value.is_null()) return Status::ok();
    dom::object parameters;
    if (value.get(parameters) != simdjson::SUCCESS) return invalid_argument("'parameters' must be an object");
    for (const auto& [key, item] : parameters) {
      if (key == "binary_data_output" && item.get(binary_output_) != simdjson::SUCCESS)
        return invalid_argument(fmt::format("'binary_data_output' must be true or false, is {}", show_json(item)));
    }
    return Status::ok();
  }

  Status describe_inputs(const dom::element& value, bool binary_follows) {
    dom::array inputs;
    if (value.get(inputs) != simdjson::SUCCESS) return invalid_argument("'inputs' must be an array of tensors");
    std::size_t expected = 0;  // clients mostly send the inputs in one order
    for (const dom::element item : inputs) {
      Tensor tensor;
      TRY(describe(item, expected, binary_follows, tensor));
      expected = tensor.input + 1;
      TRY(add(tensor));
    }
    return Status::ok();
  }

  Status add(const Tensor& tensor) {
    if (std::exchange(seen_[tensor.input], std::uint8_t{1}) != 0) {
      return invalid_argument(fmt::format("input '{}' is given twice", cut_name(tensor.name)));
    }
    if (!tensors_.empty() && tensor.rows != tensors_.front().rows) {
      return invalid_argument(fmt::format("input '{}' has {} rows where input '{}' has {}", cut_name(tensor.name),
                                          tensor.rows, cut_name(tensors_.front().name), tensors_.front().rows));
    }
    TRY(check_extent(tensor));
    tensors_.push_back(tensor);
    return Status::ok();
  }

  Status describe(const dom::element& item, std::size_t expected, bool binary_follows, Tensor& tensor) {
    dom::object fields;
    if (item.get(fields) != simdjson::SUCCESS) return invalid_argument("each of 'inputs' must be an object");
    dom::element name;
    dom::element datatype;
    dom::element shape;
    dom::element data;
    dom::element parameters;
    unsigned present = 0;
    for (const auto& [key, value] : fields) {
      if (key == "name") {
        name = value;
        present |= 1U;
      } else if (key == "datatype") {
        datatype = value;
        present |= 2U;
      } else if (key == "shape") {
        shape = value;
        present |= 4U;
      } else if (key == "data") {
        data = value;
        present |= 8U;
      } else if (key == "parameters" && !value.is_null()) {
        parameters = value;
        present |= 16U;
      }
    }
    if ((present & 1U) == 0 || name.get(tensor.name) != simdjson::SUCCESS) {
      return invalid_argument("an input has no 'name', or one that is no text");
    }
    TRY(inputs_.find(tensor.name, expected, tensor.input));
    std::string_view type_name;
    if ((present & 2U) == 0 || datatype.get(type_name) != simdjson::SUCCESS) {
      return invalid_argument(fmt::format("input '{}' has no 'datatype', or one that is no text", tensor.name));
    }
    tensor.datatype = find_datatype(type_name);
    if (tensor.datatype == nullptr) {
      return invalid_argument(fmt::format("input '{}': there is no datatype '{}'", tensor.name, cut_name(type_name)));
    }
    TRY(InputTable::check_datatype(inputs_[tensor.input], *tensor.datatype));
    if ((present & 4U) == 0) return invalid_argument(fmt::format("input '{}' has no 'shape'", tensor.name));
    TRY(read_shape(shape, tensor));
    if ((present & 16U) != 0) TRY(take_binary(parameters, binary_follows, (present & 8U) != 0, tensor));
    if (tensor.binary) return Status::ok();
    if ((present & 8U) == 0 || data.get(tensor.data) != simdjson::SUCCESS) {
      return invalid_argument(fmt::format("input '{}' has no 'data', or it is no array", tensor.name));
    }
    return Status::ok();
  }

  Status read_shape(const dom::element& value, Tensor& tensor) const {
    const Input& input = inputs_[tensor.input];
    dom::array shape;
    if (value.get(shape) != simdjson::SUCCESS) return InputTable::refuse_shape(input);
    tensor.rank = 0;
    for (const dom::element item : shape) {
      if (tensor.rank == kRankMax || item.get(tensor.sizes[tensor.rank]) != simdjson::SUCCESS)
        return InputTable::refuse_shape(input);
      ++tensor.rank;
    }
    TRY(InputTable::check_shape(input, {tensor.sizes.data(), tensor.rank}, rows_max_));
    tensor.rows = tensor.sizes[0];
    tensor.width = input.width();
    return Status::ok();
  }

  // Where the parameters say that the data is binary, cuts it off the front of what has not been given out yet.
  Status take_binary(const dom::element& value, bool binary_follows, bool has_data, Tensor& tensor) {
    dom::object parameters;
    if (value.get(parameters) != simdjson::SUCCESS) {
      return invalid_argument(fmt::format("input '{}': 'parameters' must be an object", tensor.name));
    }
    TRY(refuse_unsupported(parameters, "input", tensor.name));
    dom::element stated;
    if (parameters["binary_data_size"].get(stated) != simdjson::SUCCESS) return Status::ok();
    std::uint64_t size = 0;
    if (stated.get(size) != simdjson::SUCCESS) {
      return invalid_argument(fmt::format("input '{}': 'binary_data_size' must be a number of bytes, is {}",
                                          tensor.name, show_json(stated)));
    }
    if (!binary_follows) {
      return invalid_argument(fmt::format(
          "input '{}' has a 'binary_data_size', but the request has no header Inference-Header-Content-Length",
          tensor.name));
    }
    if (has_data) {
      return invalid_argument(
          fmt::format("input '{}' has both 'data' and 'binary_data_size'; give one of them", tensor.name));
    }
    if (size > binary_rest_.size()) {
      return invalid_argument(fmt::format("input '{}': 'binary_data_size' is {}, but {} bytes of the body are left",
                                          tensor.name, size, binary_rest_.size()));
    }
    tensor.binary = true;
    tensor.bytes = binary_rest_.substr(0, size);
    binary_rest_.remove_prefix(size);
    return Status::ok();
  }

  // A body without JSON: all of it is the data of the only input. Its answer is binary too.
  Status describe_raw(std::string_view body) {
    if (inputs_.size() != 1) {
      return invalid_argument(fmt::format(
          "Inference-Header-Content-Length is 0, which is for models with one input; this one has {}", inputs_.size()));
    }
    Tensor tensor;
    const Input& input = inputs_[0];
    tensor.name = input.name;
    tensor.datatype = &input.preferred_datatype();
    tensor.width = input.width();
    tensor.binary = true;
    tensor.bytes = body;
    const std::uint64_t row_bytes = tensor.width * tensor.datatype->bytes;
    if (row_bytes == 0) {
      return invalid_argument(
          fmt::format("input '{}' is {}, which cannot be sent without JSON", input.name, tensor.datatype->name));
    }
    if (body.size() % row_bytes != 0) {
      return invalid_argument(fmt::format("the body has {} bytes, no whole number of rows: input '{}' has {} a row",
                                          body.size(), input.name, row_bytes));
    }
    tensor.rank = 2;
    tensor.sizes[0] = body.size() / row_bytes;
    tensor.sizes[1] = tensor.width;
    tensor.rows = tensor.sizes[0];
    TRY(InputTable::check_shape(input, {tensor.sizes.data(), tensor.rank}, rows_max_));
    binary_rest_ = {};
    binary_output_ = true;
    return add(tensor);
  }

  Status note_missing() {
    if (tensors_.size() == inputs_.size()) return Status::ok();
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const Input& input = inputs_[i];
      if (seen_[i] != 0 || input.column == nullptr) continue;
      if (input.vector()) {
        return invalid_argument(fmt::format("input '{}' is a vector and must be given", input.name));
      }
      if (!missing_.empty()) missing_ += ',';
      missing_ += input.name;
    }
    return Status::ok();
  }

  Status fill(std::int64_t now_ms) {
    const std::uint64_t rows = tensors_.front().rows;
    if (rows > kSmallRows) large_.emplace(schema_, rows);
    EventBatch& batch = large_ ? *large_ : small_;
    batch.clear();
    for (std::uint64_t row = 0; row < rows; ++row) {
      batch.time_ms[batch.begin_row()] = now_ms;
      batch.commit_row();
    }
    for (const auto& tensor : tensors_) {
      const Input& input = inputs_[tensor.input];
      if (input.time) TRY(fill_time(tensor, batch));
      if (input.column != nullptr) TRY(fill_column(tensor, *input.column, batch));
    }
    return Status::ok();
  }

  const Schema& schema_;
  const std::size_t rows_max_;
  const InputTable inputs_;
  RequestedOutputs requested_;

  dom::parser parser_;
  std::string padded_;
  EventBatch small_;
  std::optional<EventBatch> large_;

  // Of the request read last.
  std::vector<Tensor> tensors_;
  std::vector<std::uint8_t> seen_;  // one an input
  std::string missing_;
  std::string_view binary_rest_;  // of the body: binary data that no tensor has been given yet
  bool binary_output_ = false;
  std::string_view id_;
  bool has_id_ = false;
};

InferRequest::InferRequest(const Schema& schema, std::vector<std::string> outputs, std::size_t rows_max)
    : impl_(std::make_unique<Impl>(schema, std::move(outputs), rows_max)) {}
InferRequest::~InferRequest() = default;

Status InferRequest::read(std::string_view body, std::optional<std::uint64_t> json_bytes, std::size_t slack,
                          std::int64_t now_ms) {
  return impl_->read(body, json_bytes, slack, now_ms);
}
const EventBatch& InferRequest::events() const { return impl_->events(); }
bool InferRequest::has_id() const { return impl_->has_id(); }
std::string_view InferRequest::id() const { return impl_->id(); }
const std::vector<RequestedOutput>& InferRequest::outputs() const { return impl_->outputs(); }
std::string_view InferRequest::missing_inputs() const { return impl_->missing_inputs(); }
void InferRequest::release_large() { impl_->release_large(); }

}  // namespace freshet
