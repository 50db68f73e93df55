// freshet consume: the records of a topic to standard output, a line each.
#include <fmt/format.h>

#include "daemon/adapters/spdlog_log.h"
#include "daemon/cli/signals.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/kafka_arguments.h"
#include "stream/consume.h"

namespace freshet {
namespace {

Status consume(const ConsumeArguments& arguments) {
  ConsumeOptions options;
  options.connection = TRY(kafka_connection_of(arguments.brokers, arguments.properties));
  options.topic = arguments.topic;
  options.follow = arguments.follow;
  options.records_max = arguments.count;
  const StopOnSignal signals;
  const SystemClock clock;
  SpdlogLog log(LogConfig{}, clock);
  TRY(consume_topic(options, log, [&](const ConsumedRecord* record) {
    if (record == nullptr) return !signals.flag();
    if (arguments.headers) {
      fmt::print("{}\n", consumed_record_json(*record));
    } else {
      fmt::print("{}\n", record->value);
    }
    return !signals.flag();
  }));
  return Status::ok();
}

}  // namespace

int run_consume(const ConsumeArguments& arguments) {
  const Status status = consume(arguments);
  if (status.is_ok()) return kExitOk;
  fmt::print(stderr, "freshet consume: {}\n", status.message());
  return kExitFailed;
}

}  // namespace freshet
