// freshet produce: a file of JSON lines to a topic.
#include <fmt/format.h>

#include "daemon/adapters/spdlog_log.h"
#include "daemon/cli/progress_bar.h"
#include "daemon/cli/signals.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/kafka_arguments.h"
#include "stream/produce.h"

namespace freshet {
namespace {

Status produce(const ProduceArguments& arguments) {
  ProduceOptions options;
  options.connection = TRY(kafka_connection_of(arguments.brokers, arguments.properties));
  options.topic = arguments.topic;
  options.input = arguments.input;
  options.key_field = arguments.key;
  options.time_field = arguments.time;
  options.records_per_second = arguments.rate;
  options.records_max = arguments.count;
  options.create_partitions = arguments.create_partitions;

  const StopOnSignal signals;
  const SystemClock clock;
  SpdlogLog log(LogConfig{}, clock);
  ProgressOptions shown;
  shown.title = "produce";
  shown.unit = "bytes";
  shown.terminal = is_terminal(stderr);
  shown.columns = terminal_columns(stderr);
  std::unique_ptr<ProgressBar> bar;
  const ProduceReport report = produce_lines(options, log, [&](const ProduceReport& now) {
    shown.total = now.input_bytes_total;
    if (!bar) bar = std::make_unique<ProgressBar>(shown, clock, write_to_stderr);
    bar->update(now.input_bytes_read, fmt::format("{} records", now.sent));
    return !signals.flag();
  });
  if (bar) bar->finish(report.input_bytes_read, fmt::format("{} records", report.sent));
  fmt::print("{} records acknowledged of {} sent, {} bytes, {:.1f} s\n", report.acknowledged, report.sent, report.bytes,
             report.seconds);
  if (report.without_key > 0)
    fmt::print("{} lines had no field '{}': sent without a key\n", report.without_key, arguments.key);
  if (report.too_large > 0) fmt::print("{} lines were too large and left out\n", report.too_large);
  return report.status;
}

}  // namespace

int run_produce(const ProduceArguments& arguments) {
  const Status status = produce(arguments);
  if (status.is_ok()) return kExitOk;
  fmt::print(stderr, "freshet produce: {}\n", status.message());
  return kExitFailed;
}

}  // namespace freshet
