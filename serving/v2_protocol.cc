#include "serving/v2_protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>
#include <utility>

#include "core/json_writer.h"

namespace freshet {
namespace {

constexpr std::size_t kEchoedMax = 100;

std::vector<std::string> output_names(const LabelSpec& label) {
  if (label.classes == 0) return {"prediction"};
  return {"prediction", "probability"};
}

int http_status(Code code) {
  switch (code) {
    case Code::kOk:
      return 200;
    case Code::kInvalidArgument:
    case Code::kOutOfRange:
      return 400;
    case Code::kNotFound:
      return 404;
    case Code::kUnavailable:
    case Code::kResourceExhausted:
      return 503;
    default:
      return 500;
  }
}

// Floats as the shortest text that reads back the same; they must be finite.
template <typename T>
void append_number(std::string& out, T value) {
  std::array<char, 48> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

Response json_response(std::string body) {
  Response response;
  response.body = std::move(body);
  return response;
}

Response not_ready(std::string_view model) {
  Response response = error_response(503, fmt::format("model '{}' has no version yet; try again shortly", model));
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

void append_tensor(std::string& out, std::string_view name, std::string_view datatype, std::string_view shape) {
  out += R"({"name":)";
  append_json_text(out, name);
  out.append(R"(,"datatype":")").append(datatype).append(R"(","shape":)").append(shape).append("}");
}

}  // namespace

struct V2Protocol::Scratch {
  Scratch(const FeatureEncoding& encoding, const std::vector<std::string>& outputs, std::size_t rows_max)
      : request(encoding.schema(), outputs, rows_max),
        small(encoding.layout().dense(), encoding.layout().categorical(), InferRequest::kSmallRows) {}
  InferRequest request;
  EncodedBatch small;
  Predictions predictions;
};

V2Protocol::V2Protocol(V2Options options, const ModelSlot& slot, const FeatureEncoding& encoding, const Clock& clock,
                       MetricsRegistry& metrics)
    : options_(std::move(options)),
      slot_(slot),
      encoding_(encoding),
      clock_(clock),
      label_(encoding.schema().spec().label),
      outputs_(output_names(label_)),
      tensors_(describe_tensors()),
      rows_predicted_(metrics.counter("freshet_http_predictions_total", "Rows predicted for HTTP clients.")),
      infer_seconds_(metrics.histogram(
          "freshet_http_infer_seconds", "Time of an inference request: parsing, encoding, the model, the answer.",
          {0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1})) {
  for (std::size_t i = 0; i < std::max<std::size_t>(options_.workers, 1); ++i) {
    scratch_.push_back(std::make_unique<Scratch>(encoding_, outputs_, options_.rows_max));
  }
}

V2Protocol::~V2Protocol() = default;

void V2Protocol::add_routes(Router& router) {
  // First what is called most.
  add_model_routes(router, "POST", "/infer", &V2Protocol::infer);
  router.add("GET", "/v2/health/live", [](const Request&) { return json_response(R"({"live":true})"); });
  router.add("GET", "/v2/health/ready", [this](const Request&) { return server_ready(); });
  add_model_routes(router, "GET", "/ready", &V2Protocol::model_ready);
  add_model_routes(router, "GET", "", &V2Protocol::model_metadata);
  std::string server = R"({"name":"freshet","version":)";
  append_json_text(server, options_.server_version);
  server += R"(,"extensions":[]})";
  router.add("GET", "/v2", [server](const Request&) { return json_response(server); });
}

void V2Protocol::add_model_routes(Router& router, std::string_view method, std::string_view suffix,
                                  ModelHandler handler) {
  for (const std::string_view base : {"/v2/models/{model}", "/v2/models/{model}/versions/{version}"}) {
    router.add(method, fmt::format("{}{}", base, suffix),
               [this, handler](const Request& request) { return with_model(request, handler); });
  }
}

Response V2Protocol::with_model(const Request& request, ModelHandler handler) {
  const std::string_view name = request.param("model");
  if (name != options_.model_name) {
    return error_response(404, fmt::format("there is no model '{}'; this server has '{}'", name.substr(0, kEchoedMax),
                                           options_.model_name));
  }
  std::shared_ptr<const Predictor> model = slot_.current();
  if (!model) return not_ready(name);
  if (const std::string_view text = request.param("version"); !text.empty()) {
    std::uint64_t version = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), version);
    const bool number = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
    if (!number || version != model->version()) model = number ? slot_.find(version) : nullptr;
    if (!model) {
      return error_response(404, fmt::format("model '{}' has no version '{}' loaded; loaded: {}", name,
                                             text.substr(0, kEchoedMax), fmt::join(slot_.loaded_versions(), ", ")));
    }
  }
  return (this->*handler)(request, *model);
}

Response V2Protocol::server_ready() const {
  const bool ready = slot_.current() != nullptr && (!options_.accepting || options_.accepting());
  Response response = json_response(ready ? R"({"live":true,"ready":true})" : R"({"live":true,"ready":false})");
  if (!ready) {
    response.status = 503;
    response.headers.emplace_back("Retry-After", "1");
  }
  return response;
}

Response V2Protocol::model_ready(const Request&, const Predictor&) {
  std::string body = R"({"name":)";
  append_json_text(body, options_.model_name);
  body += R"(,"ready":true})";
  return json_response(std::move(body));
}

Response V2Protocol::model_metadata(const Request&, const Predictor&) {
  std::string body = R"({"name":)";
  append_json_text(body, options_.model_name);
  body += fmt::format(R"(,"versions":["{}"],"platform":)", fmt::join(slot_.loaded_versions(), R"(",")"));
  append_json_text(body, options_.platform);
  body.append(",").append(tensors_).append("}");
  return json_response(std::move(body));
}

std::string V2Protocol::describe_tensors() const {
  std::string out = R"("inputs":[)";
  const Schema& schema = encoding_.schema();
  for (const auto& column : schema.columns()) {
    if (out.back() == '}') out += ',';
    switch (column.kind) {
      case ColumnKind::kNumber:
        append_tensor(out, column.name, column.boolean ? "BOOL" : "FP32", "[-1]");
        break;
      case ColumnKind::kCategory:
        append_tensor(out, column.name, "BYTES", "[-1]");
        break;
      case ColumnKind::kVector:
        append_tensor(out, column.name, "FP32", fmt::format("[-1,{}]", column.width));
        break;
    }
  }
  const auto& time_field = schema.spec().time_field;
  if (!time_field.empty() && schema.find(time_field) == nullptr) {
    if (out.back() == '}') out += ',';
    append_tensor(out, time_field, "BYTES", "[-1]");
  }
  out += R"(],"outputs":[)";
  const std::string_view predicted = label_.classes == 0 ? "FP32" : label_.class_names.empty() ? "INT64" : "BYTES";
  append_tensor(out, "prediction", predicted, "[-1]");
  if (label_.classes != 0) {
    out += ',';
    append_tensor(out, "probability", "FP32", label_.classes == 2 ? "[-1]" : fmt::format("[-1,{}]", label_.classes));
  }
  out += ']';
  return out;
}

Response V2Protocol::infer(const Request& request, const Predictor& model) {
  if (request.worker >= scratch_.size()) {
    return error_response(500, "the server runs more threads than the protocol was made for");
  }
  if (request.has_header("Inference-Header-Content-Length")) {
    return error_response(400, "binary tensors are not read here; send the data as JSON (binary_data=False)");
  }
  const std::int64_t began_ns = clock_.monotonic_ns();
  Scratch& scratch = *scratch_[request.worker];
  Response response = infer_into(scratch, request, model);
  scratch.request.release_large();
  infer_seconds_.observe(static_cast<double>(clock_.monotonic_ns() - began_ns) * 1e-9);
  return response;
}

Response V2Protocol::infer_into(Scratch& scratch, const Request& request, const Predictor& model) {
  const auto refuse = [](const Status& status) { return error_response(http_status(status.code()), status.message()); };
  if (const Status read = scratch.request.read(request.body, request.body_slack, clock_.wall_ms()); !read) {
    return refuse(read);
  }
  const EventBatch& events = scratch.request.events();
  const std::size_t rows = events.size();
  std::optional<EncodedBatch> large;
  if (rows > scratch.small.capacity())
    large.emplace(scratch.small.dense_width(), scratch.small.categorical_width(), rows);
  EncodedBatch& encoded = large ? *large : scratch.small;
  encoded.clear();
  encoded.resize(rows);
  encoding_.encode(events, 0, rows, encoded);
  Predictions& predictions = scratch.predictions;
  if (const Status predicted = model.predict(encoded, 0, rows, predictions); !predicted) {
    return error_response(500, fmt::format("model version {} failed: {}", model.version(), predicted.message()));
  }
  const std::uint32_t width = label_.classes <= 2 ? 1 : label_.classes;
  if (predictions.rows != rows || predictions.width != width || predictions.values.size() < rows * width) {
    return error_response(500, fmt::format("model version {} answered {} x {} values where {} x {} were due",
                                           model.version(), predictions.rows, predictions.width, rows, width));
  }
  const std::span<const float> values(predictions.values.data(), rows * width);
  if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); })) {
    return error_response(500, fmt::format("model version {} predicted a value that is not finite", model.version()));
  }
  rows_predicted_.add(static_cast<double>(rows));
  return write_response(scratch.request, predictions, model.version());
}

Response V2Protocol::write_response(const InferRequest& request, const Predictions& predictions,
                                    std::uint64_t version) const {
  Response response;
  std::string& out = response.body;
  out.reserve(256 + predictions.rows * (16 + std::size_t{12} * predictions.width));
  out += R"({"model_name":)";
  append_json_text(out, options_.model_name);
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
  for (std::size_t i = 0; i < request.outputs().size(); ++i) {
    if (i > 0) out += ',';
    if (request.outputs()[i] == 0) {
      append_prediction(out, predictions);
      continue;
    }
    out += R"({"name":"probability","datatype":"FP32","shape":[)";
    append_number(out, std::uint64_t{predictions.rows});
    if (predictions.width > 1) {
      out += ',';
      append_number(out, std::uint64_t{predictions.width});
    }
    out += R"(],"data":[)";
    for (std::size_t at = 0; at < predictions.rows * predictions.width; ++at) {
      if (at > 0) out += ',';
      append_number(out, predictions.values[at]);
    }
    out += "]}";
  }
  out += "]}";
  return response;
}

void V2Protocol::append_prediction(std::string& out, const Predictions& predictions) const {
  const std::string_view datatype = label_.classes == 0 ? "FP32" : label_.class_names.empty() ? "INT64" : "BYTES";
  out.append(R"({"name":"prediction","datatype":")").append(datatype).append(R"(","shape":[)");
  append_number(out, std::uint64_t{predictions.rows});
  out += R"(],"data":[)";
  for (std::size_t row = 0; row < predictions.rows; ++row) {
    if (row > 0) out += ',';
    const float* const values = predictions.values.data() + row * predictions.width;
    if (label_.classes == 0) {
      append_number(out, *values);
    } else if (predictions.width == 1) {
      append_class(out, *values >= 0.5F ? 1 : 0);
    } else {
      append_class(out, static_cast<std::size_t>(std::max_element(values, values + predictions.width) - values));
    }
  }
  out += "]}";
}

void V2Protocol::append_class(std::string& out, std::size_t index) const {
  if (index < label_.class_names.size()) {
    append_json_text(out, label_.class_names[index]);
  } else {
    append_number(out, std::uint64_t{index});
  }
}

}  // namespace freshet
