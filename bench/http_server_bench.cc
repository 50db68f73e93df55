// Serves a model that costs next to nothing, so that bench/http_bench.sh measures the server and the protocol alone.
// Usage: http_server_bench [threads]. Prints its port, serves until SIGTERM or SIGINT.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "serving/http_server.h"
#include "serving/v2_protocol.h"

namespace freshet {
namespace {

EventSpec bench_spec() {
  EventSpec spec;
  const auto add = [&](std::string name, FeatureKind kind) {
    FeatureSpec feature;
    feature.name = std::move(name);
    feature.kind = kind;
    spec.features.push_back(std::move(feature));
  };
  for (const auto* name : {"distance", "temp", "humid", "wind_speed", "visib", "seats"})
    add(name, FeatureKind::kNumber);
  for (const auto* name : {"carrier", "origin", "dest", "tailnum"}) add(name, FeatureKind::kCategory);
  spec.label.classes = 2;
  spec.time_field = "ts";
  return spec;
}

class BenchEncoding final : public FeatureEncoding {
 public:
  BenchEncoding() : schema_(bench_spec()) {
    for (const auto& column : schema_.columns()) {
      (column.kind == ColumnKind::kNumber ? layout_.dense_names : layout_.categorical_names).push_back(column.name);
    }
  }
  const Schema& schema() const override { return schema_; }
  const EncodedLayout& layout() const override { return layout_; }
  void encode(const EventBatch& events, std::size_t begin, std::size_t end, EncodedBatch& out) const override {
    for (std::size_t row = begin; row < end; ++row) {
      for (std::uint32_t c = 0; c < events.number_columns(); ++c)
        out.dense_row(row - begin)[c] = events.numbers(c)[row];
    }
  }

 private:
  Schema schema_;
  EncodedLayout layout_;
};

class BenchPredictor final : public Predictor {
 public:
  std::uint64_t version() const override { return 1; }
  Task task() const override { return Task::kBinary; }
  std::uint32_t outputs() const override { return 1; }
  Status predict(const EncodedBatch&, std::size_t begin, std::size_t end, Predictions& out) const override {
    out.rows = end - begin;
    out.width = 1;
    out.values.assign(out.rows, 0.23456789F);
    return Status::ok();
  }
};

int serve(std::size_t threads) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const SystemClock clock;
  LocalMetrics metrics;
  NullLog log;
  const BenchEncoding encoding;
  ModelSlot slot(clock);
  slot.publish(std::make_shared<BenchPredictor>());
  V2Options v2;
  v2.model_name = "bench";
  v2.workers = threads;
  V2Protocol protocol(v2, slot, encoding, clock, metrics);
  Router router;
  protocol.add_routes(router);
  HttpServerOptions options;
  options.address = "127.0.0.1";
  options.port = 0;
  options.threads = threads;
  auto server = HttpServer::start(
      options, [&](const Request& request) { return router.handle(request); }, metrics, log, clock);
  if (!server) {
    std::fprintf(stderr, "%s\n", server.status().to_string().c_str());
    return 1;
  }
  std::printf("%u\n", static_cast<unsigned>((*server)->port()));
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  (*server)->drain(std::chrono::seconds(5));
  return 0;
}

}  // namespace
}  // namespace freshet

int main(int argc, char** argv) {
  const long threads = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 1;
  return freshet::serve(threads > 0 ? static_cast<std::size_t>(threads) : 1);
}
