#include "serving/infer_response.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <utility>

#include "core/json_writer.h"

namespace freshet {
namespace {

static_assert(std::endian::native == std::endian::little, "binary tensors are little-endian");

constexpr std::size_t kPrediction = 0;  // its place among the outputs; the other one is the probability
constexpr std::string_view kBinaryType = "application/octet-stream";

std::vector<std::string> output_names(const LabelSpec& label) {
  if (label.classes == 0) return {"prediction"};
  return {"prediction", "probability"};
}

// Floats as the shortest text that reads back the same; they must be finite.
template <typename T>
void append_number(std::string& out, T value) {
  std::array<char, 48> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

template <typename Item>
void append_bytes(std::string& out, const Item* items, std::size_t count) {
  out.append(reinterpret_cast<const char*>(items), count * sizeof(Item));
}

}  // namespace

void append_tensor_description(std::string& out, std::string_view name, std::string_view datatype,
                               std::string_view shape) {
  out += R"({"name":)";
  append_json_text(out, name);
  out.append(R"(,"datatype":")").append(datatype).append(R"(","shape":)").append(shape).append("}");
}

InferResponder::InferResponder(std::string model_name, const LabelSpec& label)
    : model_name_(std::move(model_name)), label_(label), outputs_(output_names(label)) {}

std::string_view InferResponder::prediction_datatype() const {
  if (label_.classes == 0) return "FP32";
  return label_.class_names.empty() ? "INT64" : "BYTES";
}

std::string InferResponder::describe_outputs() const {
  std::string out = "[";
  append_tensor_description(out, "prediction", prediction_datatype(), "[-1]");
  if (label_.classes != 0) {
    out += ',';
    append_tensor_description(out, "probability", "FP32",
                              label_.classes == 2 ? "[-1]" : fmt::format("[-1,{}]", label_.classes));
  }
  out += ']';
  return out;
}

Response InferResponder::write(const InferRequest& request, const Predictions& predictions,
                               std::uint64_t version) const {
  Response response;
  response.compressible = true;
  std::string& out = response.body;
  out.reserve(256 + predictions.rows * (16 + std::size_t{12} * predictions.width));
  out += R"({"model_name":)";
  append_json_text(out, model_name_);
  out += R"(,"model_version":")";
  append_number(out, version);
  out += '"';
  if (request.has_id()) {
    out += R"(,"id":)";
    append_json_text(out, request.id());
  }
  if (!request.missing_inputs().empty()) {
    out += R"(,"parameters":{"missing_inputs":)";
    append_json_text(out, request.missing_inputs());
    out += '}';
  }
  out += R"(,"outputs":[)";
  bool any_binary = false;
  for (const RequestedOutput& output : request.outputs()) {
    if (out.back() == '}') out += ',';
    const bool prediction = output.index == kPrediction;
    out.append(R"({"name":")").append(outputs_[output.index]).append(R"(","datatype":")");
    out.append(prediction ? prediction_datatype() : "FP32").append(R"(","shape":[)");
    append_number(out, std::uint64_t{predictions.rows});
    if (!prediction && predictions.width > 1) {
      out += ',';
      append_number(out, std::uint64_t{predictions.width});
    }
    if (output.binary) {
      any_binary = true;
      out += R"(],"parameters":{"binary_data_size":)";
      append_number(out, std::uint64_t{binary_bytes(output.index, predictions)});
      out += "}}";
    } else {
      out += R"(],"data":[)";
      append_json(out, output.index, predictions);
      out += "]}";
    }
  }
  out += "]}";
  if (!any_binary) return response;
  response.content_type = kBinaryType;
  response.headers.emplace_back("Inference-Header-Content-Length", std::to_string(out.size()));
  for (const RequestedOutput& output : request.outputs()) {
    if (output.binary) append_binary(out, output.index, predictions);
  }
  return response;
}

std::size_t InferResponder::predicted_class(const Predictions& predictions, std::size_t row) const {
  const float* const values = predictions.values.data() + row * predictions.width;
  if (predictions.width == 1) return *values >= 0.5F ? 1 : 0;
  return static_cast<std::size_t>(std::max_element(values, values + predictions.width) - values);
}

void InferResponder::append_json(std::string& out, std::size_t output, const Predictions& predictions) const {
  const bool values = output != kPrediction || label_.classes == 0;
  const std::size_t count = values ? predictions.rows * predictions.width : predictions.rows;
  for (std::size_t at = 0; at < count; ++at) {
    if (at > 0) out += ',';
    if (values) {
      append_number(out, predictions.values[at]);
    } else {
      append_class(out, predicted_class(predictions, at));
    }
  }
}

void InferResponder::append_class(std::string& out, std::size_t index) const {
  if (index < label_.class_names.size()) {
    append_json_text(out, label_.class_names[index]);
  } else {
    append_number(out, std::uint64_t{index});
  }
}

std::size_t InferResponder::binary_bytes(std::size_t output, const Predictions& predictions) const {
  if (output != kPrediction || label_.classes == 0) return predictions.rows * predictions.width * sizeof(float);
  if (label_.class_names.empty()) return predictions.rows * sizeof(std::int64_t);
  std::size_t bytes = 0;
  for (std::size_t row = 0; row < predictions.rows; ++row) {
    bytes += sizeof(std::uint32_t) + label_.class_names.at(predicted_class(predictions, row)).size();
  }
  return bytes;
}

void InferResponder::append_binary(std::string& out, std::size_t output, const Predictions& predictions) const {
  if (output != kPrediction || label_.classes == 0) {
    append_bytes(out, predictions.values.data(), predictions.rows * predictions.width);
    return;
  }
  for (std::size_t row = 0; row < predictions.rows; ++row) {
    const std::size_t index = predicted_class(predictions, row);
    if (label_.class_names.empty()) {
      const auto number = static_cast<std::int64_t>(index);
      append_bytes(out, &number, 1);
    } else {
      const std::string& name = label_.class_names.at(index);
      const auto length = static_cast<std::uint32_t>(name.size());
      append_bytes(out, &length, 1);
      out += name;
    }
  }
}

}  // namespace freshet
