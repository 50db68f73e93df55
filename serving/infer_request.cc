#include "serving/infer_request.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <unordered_map>
#include <utility>

#include "core/hash.h"
#include "core/iso_time.h"
#include "serving/tensor_datatype.h"

namespace freshet {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kDepthMax = 32;
constexpr std::size_t kFirstCapacity = std::size_t{64} << 10;
constexpr std::size_t kKeptCapacity = std::size_t{1} << 20;
constexpr std::size_t kNameShown = 80;
constexpr double kFloatMax = static_cast<double>(std::numeric_limits<float>::max());

struct Tensor {
  std::string_view name;
  std::size_t input = 0;  // index into Impl::inputs_
  const Datatype* datatype = nullptr;
  std::size_t rank = 1;
  std::uint64_t rows = 0;
  std::uint64_t width = 1;
  dom::array data;
};

struct Input {
  std::string name;
  const Column* column = nullptr;  // null: event time only
  bool time = false;
};

std::string_view cut(std::string_view text) {
  if (text.size() <= kNameShown) return text;
  std::size_t size = kNameShown;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) --size;  // not within a character
  return text.substr(0, size);
}

std::string show(const dom::element& item) {
  switch (item.type()) {
    case dom::element_type::ARRAY: return "an array";
    case dom::element_type::OBJECT: return "an object";
    case dom::element_type::INT64: return fmt::format("the number {}", item.get_int64().value_unsafe());
    case dom::element_type::UINT64: return fmt::format("the number {}", item.get_uint64().value_unsafe());
    case dom::element_type::DOUBLE: return fmt::format("the number {}", item.get_double().value_unsafe());
    case dom::element_type::STRING: return fmt::format("the text \"{}\"", cut(item.get_string().value_unsafe()));
    case dom::element_type::BOOL: return item.get_bool().value_unsafe() ? "true" : "false";
    case dom::element_type::NULL_VALUE: return "null";
  }
  return "unknown";
}

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
        if (value.get(id_) != simdjson::SUCCESS) return invalid_argument(fmt::format("'id' must be a text, is {}", show(value)));
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
    for (const auto& tensor : tensors_) {
      if (!fill(tensor)) return invalid_argument(std::move(error_));
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
    error_.clear();
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
        return invalid_argument(fmt::format("input '{}' is given twice", cut(tensor.name)));
      }
      expected = tensor.input + 1;
      if (!tensors_.empty() && tensor.rows != tensors_.front().rows) {
        return invalid_argument(fmt::format("input '{}' has {} rows where input '{}' has {}", cut(tensor.name), tensor.rows,
                                            cut(tensors_.front().name), tensors_.front().rows));
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
      return invalid_argument(fmt::format("input '{}': there is no datatype '{}'", tensor.name, cut(type_name)));
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
    const std::string_view shown = cut(name);
    const auto nearest = std::min_element(inputs_.begin(), inputs_.end(), [&](const Input& a, const Input& b) {
      return edit_distance(shown, a.name) < edit_distance(shown, b.name);
    });
    if (nearest == inputs_.end()) return invalid_argument(fmt::format("there is no input '{}'", shown));
    return invalid_argument(fmt::format("there is no input '{}'; did you mean '{}'?", shown, nearest->name));
  }

  static Status check_datatype(const Input& input, const Datatype& datatype) {
    const auto refuse = [&](std::string_view what, std::string_view accepted) {
      return invalid_argument(fmt::format("input '{}' is {} and takes {}, not {}", input.name, what, accepted, datatype.name));
    };
    const bool numeric = datatype.kind != DatatypeKind::kBytes && datatype.kind != DatatypeKind::kBool;
    if (input.column != nullptr) {
      const Column& column = *input.column;
      if (column.kind == ColumnKind::kNumber && column.boolean) {
        if (datatype.kind != DatatypeKind::kBool) return refuse("a boolean", "BOOL");
      } else if (column.kind != ColumnKind::kCategory && !numeric) {
        return refuse(column.kind == ColumnKind::kVector ? "a vector" : "a number", "INT8 to INT64, UINT8 to UINT64, FP16, FP32 or FP64");
      }
    }
    if (input.time) {
      const bool good = datatype.name == "BYTES" || datatype.name == "INT64" || datatype.name == "UINT64" || datatype.name == "FP64";
      if (!good) return refuse("the event time", "BYTES (ISO 8601), or INT64, UINT64 or FP64 (milliseconds since 1970)");
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
      return invalid_argument(fmt::format("input '{}' has {} rows; one request takes at most {}", tensor.name, sizes[0], rows_max_));
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
      if (item["name"].get(name) != simdjson::SUCCESS) return invalid_argument("each of 'outputs' must be an object with a 'name'");
      const auto found = std::find(output_names_.begin(), output_names_.end(), name);
      if (found == output_names_.end()) {
        return invalid_argument(fmt::format("there is no output '{}'; this model has: {}", cut(name), fmt::join(output_names_, ", ")));
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

  template <typename... Parts>
  bool refuse(fmt::format_string<Parts...> text, Parts&&... parts) {
    error_ = fmt::format(text, std::forward<Parts>(parts)...);
    return false;
  }

  // Calls take(row, column, item) for each item, flat or nested as the shape says; stops at the first false.
  template <typename Take>
  bool for_each_item(const Tensor& tensor, Take&& take) {
    const auto first = tensor.data.begin();
    if (tensor.rank == 2 && tensor.data.size() == tensor.rows && (*first).is_array()) {
      std::size_t row = 0;
      for (const dom::element inner : tensor.data) {
        dom::array items;
        if (inner.get(items) != simdjson::SUCCESS || items.size() != tensor.width) {
          return refuse("input '{}': row {} of the data must be an array of {}", tensor.name, row, tensor.width);
        }
        std::size_t column = 0;
        for (const dom::element item : items) {
          if (!take(row, column++, item)) return false;
        }
        ++row;
      }
      return true;
    }
    if (tensor.data.size() != tensor.rows * tensor.width) {
      return refuse("input '{}' has {} items of data where its shape makes {}", tensor.name, tensor.data.size(),
                    tensor.rows * tensor.width);
    }
    std::size_t row = 0;
    std::size_t column = 0;
    for (const dom::element item : tensor.data) {
      if (!take(row, column, item)) return false;
      if (++column == tensor.width) {
        column = 0;
        ++row;
      }
    }
    return true;
  }

  bool fill(const Tensor& tensor) {
    const Input& input = inputs_[tensor.input];
    EventBatch& batch = large_ ? *large_ : small_;
    if (input.time && !fill_time(tensor, batch)) return false;
    if (input.column == nullptr) return true;
    const Column& column = *input.column;
    switch (column.kind) {
      case ColumnKind::kCategory: return fill_category(tensor, column, batch);
      case ColumnKind::kVector:
        return for_each_item(tensor, [&](std::size_t row, std::size_t at, const dom::element& item) {
          if (item.is_null()) return refuse("input '{}', row {}: an item of a vector cannot be null", tensor.name, row);
          return read_float(tensor, row, item, batch.vectors(row)[column.index + at]);
        });
      case ColumnKind::kNumber: break;
    }
    float* const target = batch.numbers(column.index);
    return for_each_item(tensor, [&](std::size_t row, std::size_t, const dom::element& item) {
      if (item.is_null()) return true;
      return column.boolean ? read_bool(tensor, row, item, target[row]) : read_float(tensor, row, item, target[row]);
    });
  }

  bool refuse_item(const Tensor& tensor, std::size_t row, const dom::element& item) {
    return refuse("input '{}', row {}: {} is no {}", tensor.name, row, show(item), tensor.datatype->name);
  }

  // An integer within the datatype's range, as itself or, above INT64_MAX, in `large`.
  bool read_integer(const Tensor& tensor, std::size_t row, const dom::element& item, std::int64_t& value,
                    std::uint64_t& large) {
    large = 0;
    if (item.get(value) == simdjson::SUCCESS) {
      if (value >= tensor.datatype->min && (value < 0 || static_cast<std::uint64_t>(value) <= tensor.datatype->max)) return true;
    } else if (item.is_uint64() && item.get(large) == simdjson::SUCCESS && large <= tensor.datatype->max) {
      return true;
    }
    return refuse_item(tensor, row, item);
  }

  bool read_double(const Tensor& tensor, std::size_t row, const dom::element& item, double& value) {
    if (tensor.datatype->kind != DatatypeKind::kFloat) {
      std::int64_t integer = 0;
      std::uint64_t large = 0;
      if (!read_integer(tensor, row, item, integer, large)) return false;
      value = large != 0 ? static_cast<double>(large) : static_cast<double>(integer);
      return true;
    }
    if (!item.is_number() || item.get(value) != simdjson::SUCCESS) return refuse_item(tensor, row, item);
    return std::abs(value) <= tensor.datatype->float_max || refuse_item(tensor, row, item);
  }

  bool read_float(const Tensor& tensor, std::size_t row, const dom::element& item, float& out) {
    double value = 0;
    if (!read_double(tensor, row, item, value)) return false;
    if (std::abs(value) > kFloatMax) {
      return refuse("input '{}', row {}: {} is too large for a 32-bit float", tensor.name, row, show(item));
    }
    out = static_cast<float>(value);
    return true;
  }

  bool read_bool(const Tensor& tensor, std::size_t row, const dom::element& item, float& out) {
    bool value = false;
    std::int64_t integer = 0;
    if (item.get(value) == simdjson::SUCCESS) {
      out = value ? 1.0F : 0.0F;
    } else if (item.get(integer) == simdjson::SUCCESS && (integer == 0 || integer == 1)) {
      out = static_cast<float>(integer);
    } else {
      return refuse_item(tensor, row, item);
    }
    return true;
  }

  bool fill_category(const Tensor& tensor, const Column& column, EventBatch& batch) {
    std::uint64_t* const target = batch.categories(column.index);
    return for_each_item(tensor, [&](std::size_t row, std::size_t, const dom::element& item) {
      return item.is_null() || read_category(tensor, row, item, column.seed, target[row]);
    });
  }

  bool read_category(const Tensor& tensor, std::size_t row, const dom::element& item, std::uint64_t seed,
                     std::uint64_t& out) {
    switch (tensor.datatype->kind) {
      case DatatypeKind::kBytes: {
        std::string_view text;
        if (item.get(text) != simdjson::SUCCESS) return refuse_item(tensor, row, item);
        out = hash_category(seed, text);
        return true;
      }
      case DatatypeKind::kBool: {
        float value = 0;
        if (!read_bool(tensor, row, item, value)) return false;
        out = hash_category(seed, value != 0 ? std::string_view("true") : std::string_view("false"));
        return true;
      }
      case DatatypeKind::kFloat: {
        double value = 0;
        if (!read_double(tensor, row, item, value)) return false;
        out = hash_category(seed, value);
        return true;
      }
      case DatatypeKind::kSigned:
      case DatatypeKind::kUnsigned: break;
    }
    std::int64_t integer = 0;
    std::uint64_t large = 0;
    if (!read_integer(tensor, row, item, integer, large)) return false;
    if (large == 0) {
      out = hash_category(seed, integer);
      return true;
    }
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), large).ptr;
    out = hash_category(seed, std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
    return true;
  }

  bool fill_time(const Tensor& tensor, EventBatch& batch) {
    return for_each_item(tensor, [&](std::size_t row, std::size_t, const dom::element& item) {
      if (item.is_null()) return true;
      if (tensor.datatype->kind == DatatypeKind::kBytes) {
        std::string_view text;
        if (item.get(text) != simdjson::SUCCESS) return refuse_item(tensor, row, item);
        const auto time = parse_iso_time(text);
        if (!time) return refuse("input '{}', row {}: {} is no ISO 8601 time", tensor.name, row, show(item));
        batch.time_ms[row] = *time;
        return true;
      }
      double ms = 0;  // exact below 2^53, far beyond the year 9999
      if (!read_double(tensor, row, item, ms)) return false;
      ms = std::floor(ms);
      if (!(ms >= static_cast<double>(kTimeMsMin) && ms <= static_cast<double>(kTimeMsMax))) {
        return refuse("input '{}', row {}: {} is beyond the year 9999; times are in milliseconds", tensor.name, row, show(item));
      }
      batch.time_ms[row] = static_cast<std::int64_t>(ms);
      return true;
    });
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
  std::string error_;
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
