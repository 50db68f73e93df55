// freshet demo: the daemon on an embedded broker, fed with a real stream, against a copy of itself that stops learning.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "daemon/adapters/spdlog_log.h"
#include "daemon/cli/progress_bar.h"
#include "daemon/cli/signals.h"
#include "daemon/cli/temporary_folder.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/demo_display.h"
#include "daemon/config/config_loader.h"
#include "daemon/service.h"
#include "stream/embedded_broker.h"
#include "stream/line_reader.h"

namespace freshet {
namespace {

constexpr std::chrono::milliseconds kTick{100};
constexpr std::int64_t kRedrawNs = 250'000'000;
constexpr std::int64_t kPlainLineNs = 2'000'000'000;
constexpr std::int64_t kFlushMs = 30'000;
constexpr std::size_t kLineBytesMax = std::size_t{1} << 20;

Result<std::uint64_t> count_lines(const std::string& path) {
  const auto reader = TRY(LineReader::open(path, kLineBytesMax));
  std::uint64_t lines = 0;
  for (Line line; TRY(reader->next(line));) ++lines;
  return lines;
}

// Plays the file into the embedded broker at a steady rate, on a thread of its own.
class Player {
 public:
  Player(const std::string& path, double rate, PacedProducer& producer, const Clock& clock)
      : thread_([this, path, rate, &producer, &clock] {
          outcome_ = play(path, rate, producer, clock);
          done_ = true;
        }),
        producer_(producer) {}
  ~Player() {
    stop_ = true;
    producer_.cancel();
    thread_.join();
  }
  Player(const Player&) = delete;
  Player& operator=(const Player&) = delete;

  bool done() const { return done_; }
  const Status& outcome() const { return outcome_; }  // once done
  std::uint64_t sent() const { return sent_; }

 private:
  Status play(const std::string& path, double rate, PacedProducer& producer, const Clock& clock) {
    const auto reader = TRY(LineReader::open(path, kLineBytesMax));
    const std::int64_t begin = clock.monotonic_ns();
    Line line;
    while (!stop_) {
      const bool more = TRY(reader->next(line));
      if (!more) break;
      if (rate > 0) {
        const auto due = begin + static_cast<std::int64_t>(static_cast<double>(sent_.load()) / rate * 1e9);
        const std::int64_t early = due - clock.monotonic_ns();
        if (early > 1'000'000) std::this_thread::sleep_for(std::chrono::nanoseconds(early));
      }
      TRY(producer.send(0, line.text, clock.wall_ms()));
      ++sent_;
    }
    return producer.flush(kFlushMs);
  }

  std::atomic<bool> stop_{false};
  std::atomic<bool> done_{false};
  std::atomic<std::uint64_t> sent_{0};
  Status outcome_;
  std::thread thread_;
  PacedProducer& producer_;
};

class Demo {
 public:
  explicit Demo(const DemoArguments& arguments)
      : arguments_(arguments), terminal_(is_terminal(stdout)), display_(terminal_) {}

  Status run() {
    Config config = TRY(configure());
    fmt::print(
        "Freshet learns the flights of 2013 as they happen: will this flight arrive more than 15 minutes late?\n");
    const TemporaryFolder folder = TRY(TemporaryFolder::create("freshet-demo"));
    config.memory.path = folder.path();
    const auto broker = TRY(EmbeddedBroker::start());
    TRY(broker->create_topic(config.stream.topic, 1));
    config.stream.brokers = {broker->brokers()};
    progress_.events_total = TRY(count_lines(arguments_.data).with_context(arguments_.data));
    progress_.freeze_after =
        static_cast<std::uint64_t>(arguments_.freeze_share * static_cast<double>(progress_.events_total));

    SpdlogLog log(config.log, clock_);
    Service::Options options;
    options.fail_on_gap = true;
    options.pipeline.baseline_after_events = progress_.freeze_after;
    const auto service = TRY(Service::open(config, options, clock_, log));
    progress_.port = service->port();
    fmt::print("  embedded broker at {}, state in {}, HTTP at localhost:{}\n\n", broker->brokers(), folder.path(),
               service->port());
    std::fflush(stdout);
    TRY(learn(*service, config, broker->brokers()));
    if (!signals_.flag()) TRY(finish(*service, config, broker->brokers()));
    return service->stop();
  }

 private:
  Result<Config> configure() {
    LoadOptions options{arguments_.config, std::nullopt, arguments_.sets, process_environment()};
    options.sets.push_back(fmt::format("serving.listen=127.0.0.1:{}", arguments_.port));
    options.sets.emplace_back("log.level=warning");
    return load_config(options);
  }

  Status learn(Service& service, const Config& config, const std::string& brokers) {
    PacedProducerOptions options;
    options.brokers = brokers;
    options.topic = config.stream.topic;
    auto producer = TRY(
        PacedProducer::create(options, [&service](std::int32_t partition) { return service.next_offset(partition); }));
    service.start_learning();
    const Player player(arguments_.data, arguments_.rate, *producer, clock_);
    begin_ns_ = clock_.monotonic_ns();
    std::int64_t drawn_ns = 0;
    while (!signals_.flag()) {
      if (const auto ended = service.wait(kTick)) return *ended;
      const PipelineSnapshot snapshot = service.snapshot();
      measure(snapshot.events, player.sent());
      if (clock_.monotonic_ns() - drawn_ns >= (terminal_ ? kRedrawNs : kPlainLineNs)) {
        drawn_ns = clock_.monotonic_ns();
        fmt::print("{}", display_.draw(snapshot, progress_));
        std::fflush(stdout);
      }
      if (!player.done()) continue;
      TRY(player.outcome());
      if (snapshot.events + snapshot.skipped >= player.sent()) break;
    }
    seconds_ = static_cast<double>(clock_.monotonic_ns() - begin_ns_) * 1e-9;
    return Status::ok();
  }

  void measure(std::uint64_t events, std::uint64_t produced) {
    const std::int64_t now = clock_.monotonic_ns();
    progress_.produced = produced;
    if (now - rate_since_ns_ < 1'000'000'000) return;
    if (rate_since_ns_ != 0) {
      progress_.events_per_second =
          static_cast<double>(events - rate_events_) * 1e9 / static_cast<double>(now - rate_since_ns_);
    }
    rate_since_ns_ = now;
    rate_events_ = events;
  }

  Status finish(Service& service, const Config& config, const std::string& brokers) {
    const PipelineSnapshot snapshot = service.snapshot();
    fmt::print("{}", display_.draw(snapshot, progress_));
    fmt::print("{}", demo_summary(snapshot, seconds_));
    fmt::print(
        "\nTry it:\n"
        "  curl -s localhost:{0}/v2/models/{1}/infer -d '{{\"inputs\":["
        "{{\"name\":\"carrier\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"UA\"]}},"
        "{{\"name\":\"origin\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"EWR\"]}},"
        "{{\"name\":\"dest\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"ORD\"]}},"
        "{{\"name\":\"hour\",\"shape\":[1],\"datatype\":\"INT64\",\"data\":[18]}}]}}'\n"
        "  curl -s localhost:{0}/metrics | grep freshet_live_\n"
        "  curl -s localhost:{0}/status\n"
        "  build/release/freshet consume --brokers {2} --topic {3} --count 3\n"
        "  build/release/freshet backtest --config {4} --input {5}\n",
        service.port(), config.model.name, brokers, config.stream.topic, arguments_.config, arguments_.data);
    std::fflush(stdout);
    if (!terminal_ || arguments_.once) return Status::ok();
    fmt::print("\nThe daemon stays up for them. Ctrl-C ends it.\n");
    std::fflush(stdout);
    while (!signals_.flag()) {
      if (const auto ended = service.wait(kTick)) return *ended;
    }
    return Status::ok();
  }

  const DemoArguments arguments_;
  const SystemClock clock_;
  StopOnSignal signals_;
  bool terminal_;
  DemoDisplay display_;
  DemoProgress progress_;
  std::int64_t begin_ns_ = 0;
  std::int64_t rate_since_ns_ = 0;
  std::uint64_t rate_events_ = 0;
  double seconds_ = 0;
};

}  // namespace

int run_demo(const DemoArguments& arguments) {
  const Status status = Demo(arguments).run();
  if (status.is_ok()) return kExitOk;
  fmt::print(stderr, "freshet demo: {}\n", status.message());
  return kExitFailed;
}

}  // namespace freshet
