#include "serving/v2_protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <utility>

#include "core/json_writer.h"
#include "serving/input_table.h"

namespace freshet {
namespace {

constexpr std::size_t kEchoedMax = 100;
constexpr std::string_view kJsonBytesHeader = "Inference-Header-Content-Length";

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

Response json_response(std::string body) {
  Response response;
  response.body = std::move(body);
  return response;
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
      repository_(options_.model_name, slot),
      responder_(options_.model_name, encoding.schema().spec().label),
      tensors_(describe_inputs() + R"(,"outputs":)" + responder_.describe_outputs()),
      rows_predicted_(metrics.counter("freshet_http_predictions_total", "Rows predicted for HTTP clients.")),
      infer_seconds_(metrics.histogram(
          "freshet_http_infer_seconds", "Time of an inference request: parsing, encoding, the model, the answer.",
          {0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1})) {
  for (std::size_t i = 0; i < std::max<std::size_t>(options_.workers, 1); ++i) {
    scratch_.push_back(std::make_unique<Scratch>(encoding_, responder_.outputs(), options_.rows_max));
  }
}

V2Protocol::~V2Protocol() = default;

void V2Protocol::add_routes(Router& requests, Router& changes) {
  // First what is called most.
  add_model_routes(requests, "POST", "/infer", &V2Protocol::infer);
  add_health_routes(requests);
  if (&requests != &changes) add_health_routes(changes);
  add_model_routes(requests, "GET", "/ready", &V2Protocol::model_ready, Access::kOpen);
  add_model_routes(requests, "GET", "", &V2Protocol::model_metadata);
  std::string server = R"({"name":"freshet","version":)";
  append_json_text(server, options_.server_version);
  server += R"(,"extensions":["binary_tensor_data","model_repository"]})";
  requests.add("GET", "/v2", [server](const Request&) { return json_response(server); });
  repository_.add_routes(requests, changes);
}

void V2Protocol::add_health_routes(Router& router) {
  router.add(
      "GET", "/v2/health/live", [](const Request&) { return json_response(R"({"live":true})"); }, Access::kOpen);
  router.add(
      "GET", "/v2/health/ready", [this](const Request&) { return server_ready(); }, Access::kOpen);
}

void V2Protocol::add_model_routes(Router& router, std::string_view method, std::string_view suffix,
                                  ModelHandler handler, Access access) {
  for (const std::string_view base : {"/v2/models/{model}", "/v2/models/{model}/versions/{version}"}) {
    router.add(
        method, fmt::format("{}{}", base, suffix),
        [this, handler](const Request& request) { return with_model(request, handler); }, access);
  }
}

Response V2Protocol::with_model(const Request& request, ModelHandler handler) {
  const std::string_view name = request.param("model");
  if (name != options_.model_name) return unknown_model(name, options_.model_name);
  std::shared_ptr<const Predictor> model = slot_.current();
  if (!model) return no_version_yet(name);
  if (const std::string_view text = request.param("version"); !text.empty()) {
    const std::optional<std::uint64_t> version = parse_version(text);
    if (!version || *version != model->version()) model = version ? repository_.find(*version) : nullptr;
    if (!model) {
      return error_response(
          404, fmt::format("model '{}' has no version '{}' loaded; loaded: {}", name, text.substr(0, kEchoedMax),
                           fmt::join(repository_.served_versions(), ", ")));
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
  body += fmt::format(R"(,"versions":["{}"],"platform":)", fmt::join(repository_.served_versions(), R"(",")"));
  append_json_text(body, options_.platform);
  body.append(",").append(tensors_).append("}");
  return json_response(std::move(body));
}

std::string V2Protocol::describe_inputs() const {
  std::string out = R"("inputs":[)";
  const InputTable inputs(encoding_.schema());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (i > 0) out += ',';
    const Input& input = inputs[i];
    append_tensor_description(out, input.name, input.preferred_datatype().name,
                              input.vector() ? fmt::format("[-1,{}]", input.width()) : "[-1]");
  }
  out += ']';
  return out;
}

Response V2Protocol::infer(const Request& request, const Predictor& model) {
  if (request.worker >= scratch_.size()) {
    return error_response(500, "the server runs more threads than the protocol was made for");
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
  std::optional<std::uint64_t> json_bytes;
  if (request.has_header(kJsonBytesHeader)) {
    json_bytes = parse_version(request.header(kJsonBytesHeader));
    if (!json_bytes) return error_response(400, fmt::format("{} must be a number of bytes", kJsonBytesHeader));
  }
  const Status read = scratch.request.read(request.body, json_bytes, request.body_slack, clock_.wall_ms());
  if (!read) return refuse(read);
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
  const std::uint32_t width = responder_.width();
  if (predictions.rows != rows || predictions.width != width || predictions.values.size() < rows * width) {
    return error_response(500, fmt::format("model version {} answered {} x {} values where {} x {} were due",
                                           model.version(), predictions.rows, predictions.width, rows, width));
  }
  const std::span<const float> values(predictions.values.data(), rows * width);
  if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); })) {
    return error_response(500, fmt::format("model version {} predicted a value that is not finite", model.version()));
  }
  rows_predicted_.add(static_cast<double>(rows));
  return responder_.write(scratch.request, predictions, model.version());
}

}  // namespace freshet
