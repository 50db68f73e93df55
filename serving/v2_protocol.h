// V2Protocol: the Open Inference Protocol v2 over REST for one model: health, metadata, inference with JSON and binary
// tensors, and the model repository extension (serving/model_repository.h).
//
//   GET  /v2                                   POST /v2/models/{model}/infer
//   GET  /v2/health/live, /v2/health/ready     POST /v2/models/{model}/versions/{version}/infer
//   GET  /v2/models/{model}[/versions/{version}][/ready]
//
// One named input per raw feature (serving/infer_request.h), encoded by the same encoder as training; outputs as
// serving/infer_response.h says. A response names the version that computed it: a request takes one version from the
// slot and keeps it.
//
// Threads: handlers run on the server's threads, one scratch space per thread.
// Owns: scratch spaces.  Failure: 400 bad request, 404 unknown model or version, 503 no model yet, 500 model failed.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/metrics.h"
#include "core/predictor.h"
#include "serving/http_message.h"
#include "serving/infer_response.h"
#include "serving/model_repository.h"
#include "serving/model_slot.h"
#include "serving/router.h"

namespace freshet {

struct V2Options {
  std::string model_name = "freshet";
  std::string server_version;
  std::string platform = "freshet";
  std::size_t rows_max = 10'000;    // of one request
  std::size_t workers = 1;          // as HttpServerOptions::threads
  std::function<bool()> accepting;  // beside a live model, what readiness asks for; empty: nothing
};

class V2Protocol {
 public:
  // All but `options` outlive this object, which outlives the server.
  V2Protocol(V2Options options, const ModelSlot& slot, const FeatureEncoding& encoding, const Clock& clock,
             MetricsRegistry& metrics);
  ~V2Protocol();

  void add_routes(Router& router) { add_routes(router, router); }
  // What changes which versions answer goes to a router of its own, which answers health too.
  void add_routes(Router& requests, Router& changes);

 private:
  struct Scratch;
  using ModelHandler = Response (V2Protocol::*)(const Request&, const Predictor&);

  void add_health_routes(Router& router);
  void add_model_routes(Router& router, std::string_view method, std::string_view suffix, ModelHandler handler,
                        Access access = Access::kInference);
  // Calls `handler` with the version that the path names, or answers 404 or 503.
  Response with_model(const Request& request, ModelHandler handler);
  Response server_ready() const;
  Response model_metadata(const Request& request, const Predictor& model);
  Response model_ready(const Request& request, const Predictor& model);
  Response infer(const Request& request, const Predictor& model);
  Response infer_into(Scratch& scratch, const Request& request, const Predictor& model);
  std::string describe_inputs() const;

  const V2Options options_;
  const ModelSlot& slot_;
  const FeatureEncoding& encoding_;
  const Clock& clock_;
  ModelRepository repository_;
  const InferResponder responder_;
  const std::string tensors_;  // of the metadata: "inputs":[…],"outputs":[…]
  Counter& rows_predicted_;
  Histogram& infer_seconds_;
  std::vector<std::unique_ptr<Scratch>> scratch_;
};

}  // namespace freshet
