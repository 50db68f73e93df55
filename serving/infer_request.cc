#include "serving/infer_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>

#include "serving/tensor_datatype.h"
#include "serving/tensor_values.h"

namespace freshet {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kDepthMax = 32;
constexpr std::size_t kFirstCapacity = std::size_t{64} << 10;
constexpr std::size_t kKeptCapacity = std::size_t{1} << 20;

struct Input {
  std::string name;
  const Column* column = nullptr;  // null: event time only
  bool time = false;
};

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

class InferRequest::Impl {
 public:
  Impl(const Schema& schema, std::vector<std::string> output_names, std::size_t rows_max)
      : schema_(schema), output_names_(std::move(output_names)), rows_max_(rows_max), small_(schema, kSmallRows) {
    for (const auto& column : schema.columns()) {
      inputs_.push_back({column.name, &column, column.name == schema.spec().time_field});
    }
    const auto& time_field = schema.spec().time_field;
    if (!time_field.empty() && schema.find(time_field) == nullptr) inputs_.push_back({time_field, nullptr, true});
    for (std::size_t i = 0; i < inputs_.size(); ++i) by_name_.emplace(inputs_[i].name, i);
    seen_.resize(inputs_.size());
  }

  Status read(std::string_view body, std::size_t slack, std::int64_t now_ms) {
    reset();
    dom::element root;
    TRY(parse(body, slack, root));
    dom::object request;
    if (root.get(request) != simdjson::SUCCESS) return invalid_argument("the request must be a JSON object");
    bool has_inputs = false;
    bool has_outputs = false;
    for (const auto& [key, value] : request) {
      if (key == "id") {
        if (value.get(id_) != simdjson::SUCCESS)
          return invalid_argument(fmt::format("'id' must be a text, is {}", show_json(value)));
        has_id_ = true;
      } else if (key == "parameters") {
        if (!value.is_object()) return invalid_argument("'parameters' must be an object");
      } else if (key == "inputs") {
        if (std::exchange(has_inputs, true)) return invalid_argument("'inputs' stands twice in the request");
        TRY(describe_inputs(value));
      } else if (key == "outputs") {
        if (std::exchange(has_outputs, true)) return invalid_argument("'outputs' stands twice in the request");
        TRY(read_outputs(value));
      }
    }
    if (tensors_.empty()) return invalid_argument("'inputs' is missing or empty: name at least one feature");
    if (requested_.empty()) {
      for (std::size_t i = 0; i < output_names_.size(); ++i) requested_.push_back(i);
    }
    TRY(note_missing());
    begin_rows(tensors_.front().rows, now_ms);
    EventBatch& batch = large_ ? *large_ : small_;
    for (const auto& tensor : tensors_) {
      const Input& input = inputs_[tensor.input];
      if (input.time) TRY(fill_time(tensor, batch));
      if (input.column != nullptr) TRY(fill_column(tensor, *input.column, batch));
    }
    return Status::ok();
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
  const std::vector<std::size_t>& outputs() const { return requested_; }
  std::string_view missing_inputs() const { return missing_; }

 private:
  void reset() {
    release_large();
    std::fill(seen_.begin(), seen_.end(), std::uint8_t{0});
    tensors_.clear();
    requested_.clear();
    missing_.clear();
    id_ = {};
    has_id_ = false;
  }

  Status parse(std::string_view body, std::size_t slack, dom::element& root) {
    if (body.empty()) return invalid_argument("the request has no body");
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

  Status describe_inputs(const dom::element& value) {
    dom::array inputs;
    if (value.get(inputs) != simdjson::SUCCESS) return invalid_argument("'inputs' must be an array of tensors");
    std::size_t expected = 0;  // clients mostly send the inputs in one order
    for (const dom::element item : inputs) {
      Tensor tensor;
      TRY(describe(item, expected, tensor));
      if (std::exchange(seen_[tensor.input], std::uint8_t{1}) != 0) {
        return invalid_argument(fmt::format("input '{}' is given twice", cut_name(tensor.name)));
      }
      expected = tensor.input + 1;
      if (!tensors_.empty() && tensor.rows != tensors_.front().rows) {
        return invalid_argument(fmt::format("input '{}' has {} rows where input '{}' has {}", cut_name(tensor.name),
                                            tensor.rows, cut_name(tensors_.front().name), tensors_.front().rows));
      }
      tensors_.push_back(tensor);
    }
    return Status::ok();
  }

  Status describe(const dom::element& item, std::size_t expected, Tensor& tensor) {
    dom::object fields;
    if (item.get(fields) != simdjson::SUCCESS) return invalid_argument("each of 'inputs' must be an object");
    dom::element name;
    dom::element datatype;
    dom::element shape;
    dom::element data;
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
      } else if (key == "parameters" && value["binary_data_size"].error() == simdjson::SUCCESS) {
        return invalid_argument("binary tensors are not read here; send the data as JSON (binary_data=False)");
      }
    }
    if ((present & 1U) == 0 || name.get(tensor.name) != simdjson::SUCCESS) {
      return invalid_argument("an input has no 'name', or one that is no text");
    }
    TRY(find_input(tensor.name, expected, tensor.input));
    std::string_view type_name;
    if ((present & 2U) == 0 || datatype.get(type_name) != simdjson::SUCCESS) {
      return invalid_argument(fmt::format("input '{}' has no 'datatype', or one that is no text", tensor.name));
    }
    tensor.datatype = find_datatype(type_name);
    if (tensor.datatype == nullptr) {
      return invalid_argument(fmt::format("input '{}': there is no datatype '{}'", tensor.name, cut_name(type_name)));
    }
    TRY(check_datatype(inputs_[tensor.input], *tensor.datatype));
    if ((present & 4U) == 0) return invalid_argument(fmt::format("input '{}' has no 'shape'", tensor.name));
    TRY(read_shape(shape, tensor));
    if ((present & 8U) == 0 || data.get(tensor.data) != simdjson::SUCCESS) {
      return invalid_argument(fmt::format("input '{}' has no 'data', or it is no array", tensor.name));
    }
    return Status::ok();
  }

  Status find_input(std::string_view name, std::size_t expected, std::size_t& index) const {
    if (expected < inputs_.size() && inputs_[expected].name == name) {
      index = expected;
      return Status::ok();
    }
    if (const auto found = by_name_.find(name); found != by_name_.end()) {
      index = found->second;
      return Status::ok();
    }
    const std::string_view shown = cut_name(name);
    const auto nearest = std::min_element(inputs_.begin(), inputs_.end(), [&](const Input& a, const Input& b) {
      return edit_distance(shown, a.name) < edit_distance(shown, b.name);
    });
    if (nearest == inputs_.end()) return invalid_argument(fmt::format("there is no input '{}'", shown));
    return invalid_argument(fmt::format("there is no input '{}'; did you mean '{}'?", shown, nearest->name));
  }

  static Status check_datatype(const Input& input, const Datatype& datatype) {
    const auto refuse = [&](std::string_view what, std::string_view accepted) {
      return invalid_argument(
          fmt::format("input '{}' is {} and takes {}, not {}", input.name, what, accepted, datatype.name));
    };
    const bool numeric = datatype.kind != DatatypeKind::kBytes && datatype.kind != DatatypeKind::kBool;
    if (input.column != nullptr) {
      const Column& column = *input.column;
      if (column.kind == ColumnKind::kNumber && column.boolean) {
        if (datatype.kind != DatatypeKind::kBool) return refuse("a boolean", "BOOL");
      } else if (column.kind != ColumnKind::kCategory && !numeric) {
        return refuse(column.kind == ColumnKind::kVector ? "a vector" : "a number",
                      "INT8 to INT64, UINT8 to UINT64, FP16, FP32 or FP64");
      }
    }
    if (input.time) {
      const bool good =
          datatype.name == "BYTES" || datatype.name == "INT64" || datatype.name == "UINT64" || datatype.name == "FP64";
      if (!good)
        return refuse("the event time", "BYTES (ISO 8601), or INT64, UINT64 or FP64 (milliseconds since 1970)");
    }
    return Status::ok();
  }

  Status read_shape(const dom::element& value, Tensor& tensor) const {
    const Input& input = inputs_[tensor.input];
    const bool vector = input.column != nullptr && input.column->kind == ColumnKind::kVector;
    const std::uint64_t width = vector ? input.column->width : 1;
    const auto refuse = [&] {
      return invalid_argument(vector ? fmt::format("input '{}' must have the shape [rows, {}]", tensor.name, width)
                                     : fmt::format("input '{}' must have the shape [rows] or [rows, 1]", tensor.name));
    };
    dom::array shape;
    if (value.get(shape) != simdjson::SUCCESS) return refuse();
    std::array<std::uint64_t, 2> sizes{};
    std::size_t rank = 0;
    for (const dom::element item : shape) {
      if (rank == sizes.size() || item.get(sizes[rank]) != simdjson::SUCCESS) return refuse();
      ++rank;
    }
    if (rank == 0 || (rank == 1 && width != 1) || (rank == 2 && sizes[1] != width)) return refuse();
    if (sizes[0] == 0) return invalid_argument(fmt::format("input '{}' has no rows", tensor.name));
    if (sizes[0] > rows_max_) {
      return invalid_argument(
          fmt::format("input '{}' has {} rows; one request takes at most {}", tensor.name, sizes[0], rows_max_));
    }
    tensor.rank = rank;
    tensor.rows = sizes[0];
    tensor.width = width;
    return Status::ok();
  }

  Status read_outputs(const dom::element& value) {
    dom::array outputs;
    if (value.get(outputs) != simdjson::SUCCESS) return invalid_argument("'outputs' must be an array");
    for (const dom::element item : outputs) {
      std::string_view name;
      if (item["name"].get(name) != simdjson::SUCCESS)
        return invalid_argument("each of 'outputs' must be an object with a 'name'");
      const auto found = std::find(output_names_.begin(), output_names_.end(), name);
      if (found == output_names_.end()) {
        return invalid_argument(
            fmt::format("there is no output '{}'; this model has: {}", cut_name(name), fmt::join(output_names_, ", ")));
      }
      const auto index = static_cast<std::size_t>(found - output_names_.begin());
      if (std::find(requested_.begin(), requested_.end(), index) != requested_.end()) {
        return invalid_argument(fmt::format("output '{}' is asked for twice", name));
      }
      requested_.push_back(index);
    }
    return Status::ok();
  }

  Status note_missing() {
    if (tensors_.size() == inputs_.size()) return Status::ok();
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const Input& input = inputs_[i];
      if (seen_[i] != 0 || input.column == nullptr) continue;
      if (input.column->kind == ColumnKind::kVector) {
        return invalid_argument(fmt::format("input '{}' is a vector and must be given", input.name));
      }
      if (!missing_.empty()) missing_ += ',';
      missing_ += input.name;
    }
    return Status::ok();
  }

  void begin_rows(std::uint64_t rows, std::int64_t now_ms) {
    if (rows > kSmallRows) large_.emplace(schema_, rows);
    EventBatch& batch = large_ ? *large_ : small_;
    batch.clear();
    for (std::uint64_t row = 0; row < rows; ++row) {
      batch.time_ms[batch.begin_row()] = now_ms;
      batch.commit_row();
    }
  }

  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  const Schema& schema_;
  const std::vector<std::string> output_names_;
  const std::size_t rows_max_;
  std::vector<Input> inputs_;
  std::unordered_map<std::string, std::size_t, TextHash, std::equal_to<>> by_name_;

  dom::parser parser_;
  std::string padded_;
  EventBatch small_;
  std::optional<EventBatch> large_;

  // Of the request read last.
  std::vector<Tensor> tensors_;
  std::vector<std::uint8_t> seen_;  // one an input
  std::vector<std::size_t> requested_;
  std::string missing_;
  std::string_view id_;
  bool has_id_ = false;
};

InferRequest::InferRequest(const Schema& schema, std::vector<std::string> outputs, std::size_t rows_max)
    : impl_(std::make_unique<Impl>(schema, std::move(outputs), rows_max)) {}
InferRequest::~InferRequest() = default;

Status InferRequest::read(std::string_view body, std::size_t slack, std::int64_t now_ms) {
  return impl_->read(body, slack, now_ms);
}
const EventBatch& InferRequest::events() const { return impl_->events(); }
bool InferRequest::has_id() const { return impl_->has_id(); }
std::string_view InferRequest::id() const { return impl_->id(); }
const std::vector<std::size_t>& InferRequest::outputs() const { return impl_->outputs(); }
std::string_view InferRequest::missing_inputs() const { return impl_->missing_inputs(); }
void InferRequest::release_large() { impl_->release_large(); }

}  // namespace freshet
