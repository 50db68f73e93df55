// freshet run: the daemon.
#include <fmt/format.h>

#include <thread>

#include "daemon/adapters/spdlog_log.h"
#include "daemon/cli/signals.h"
#include "daemon/commands/commands.h"
#include "daemon/config/config_loader.h"
#include "daemon/open_files.h"
#include "daemon/service.h"

namespace freshet {
namespace {

constexpr std::chrono::milliseconds kLookAtSignalsEvery{100};

Result<Config> load(const ConfigArguments& arguments) {
  return load_config({arguments.file, std::nullopt, arguments.sets, process_environment()});
}

void reload(const ConfigArguments& arguments, Service& service, SpdlogLog& log) {
  auto wanted = load(arguments);
  if (!wanted.is_ok()) {
    log.error("reload_refused", fmt::format("the configuration stays as it was: {}", wanted.status().message()));
    return;
  }
  service.reload(*wanted);
  log.set_level(service.config().log.level);
}

// Connections, and what the store, the stream and libraries hold open beside them.
std::uint64_t files_needed(const Config& config) {
  constexpr std::uint64_t kOthers = 1024;
  const std::uint64_t servers = config.serving.admin.listen.empty() ? 1 : 2;
  return servers * config.serving.connections_max + kOthers;
}

Status serve(const ConfigArguments& arguments) {
  const Config config = TRY(load(arguments));
  TRY(check_runnable(config));
  StopOnSignal signals;
  const SystemClock clock;
  SpdlogLog log(config.log, clock);
  raise_open_files(files_needed(config), log);
  Service::Options options;
  options.set_log_level = [&log](LogLevel level) { log.set_level(level); };
  auto service = TRY(Service::open(config, options, clock, log));
  service->start_learning();
  std::optional<Status> ended;
  while (!signals.flag() && !ended) {
    ended = service->wait(kLookAtSignalsEvery);
    if (signals.take_reload()) reload(arguments, *service, log);
  }
  if (ended && ended->code() == Code::kDataLoss) {
    // A restart would meet the same damage: the last good model is worth more than a process that starts in vain.
    log.error("serving_without_learning", "the last good model is served until the process is asked to stop");
    while (!signals.flag()) {
      std::this_thread::sleep_for(kLookAtSignalsEvery);
      if (signals.take_reload()) reload(arguments, *service, log);
    }
    static_cast<void>(service->stop());  // what ended learning is what there is to say
  }
  if (ended) TRY(std::move(*ended));
  log.info("stopping", "asked to stop; draining");
  return service->stop();
}

}  // namespace

int run_daemon(const ConfigArguments& arguments) {
  const Status status = serve(arguments);
  if (status.is_ok()) return kExitOk;
  fmt::print(stderr, "freshet run: {}\n", status.message());
  return kExitFailed;
}

}  // namespace freshet
