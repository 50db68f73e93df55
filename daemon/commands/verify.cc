// freshet state verify: whether everything that is stored is whole and fits together.
#include "storage/verify.h"

#include <fmt/format.h>

#include <memory>

#include "core/bytes.h"
#include "daemon/cli/signals.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/state_access.h"
#include "daemon/pipeline/ingest_state.h"
#include "learners/features/feature_encoder.h"

namespace freshet {
namespace {

Result<VerifyReport> verify(const StateArguments& arguments) {
  const std::string folder = TRY(state_folder(arguments));
  NullLog log;
  LocalMetrics metrics;
  const auto store = TRY(open_to_read(folder, log, metrics));
  VerifyHooks hooks;
  hooks.needs_from = [](const Checkpoint& checkpoint) { return first_event_needed(checkpoint); };
  std::unique_ptr<EventRecordCodec> codec;
  if (const auto identity = store->identity()) {
    const Schema schema(TRY(parse_event_spec(identity->event_spec)));
    const auto encoder = TRY(FeatureEncoder::create(schema.spec()));
    codec = std::make_unique<EventRecordCodec>(schema, encoder->layout());
    hooks.origin_of = [&codec](std::string_view record) { return codec->origin_of(record); };
  }
  const StopOnSignal stop;
  CommandProgress progress("verifying", "bytes", arguments.quiet);
  auto report = verify_store(*store, hooks, [&](std::uint64_t done, std::uint64_t total) {
    progress.show(done, total);
    return !stop.flag();
  });
  progress.finish();
  return report;
}

void print_for_people(const VerifyReport& report) {
  fmt::print("{}\n", report.path);
  for (const VerifyCheck& check : report.checks) {
    fmt::print("  {:<12}  {:>12} {:<12}  {}\n", check.name, format_count(check.checked), check.unit,
               check.problems == 0 ? "sound" : fmt::format("{} PROBLEMS", check.problems));
    for (const std::string& problem : check.listed) fmt::print("      {}\n", problem);
    if (check.problems > check.listed.size()) {
      fmt::print("      and {} more\n", check.problems - check.listed.size());
    }
  }
  if (report.sound()) {
    fmt::print("everything is whole\n");
  } else {
    fmt::print(
        "damaged: restore a backup (freshet state restore), or let the daemon try; it leaves out a checkpoint "
        "that is damaged and goes on from the one before\n");
  }
}

}  // namespace

int run_verify(const StateArguments& arguments) {
  const auto report = verify(arguments);
  if (!report.is_ok()) {
    fmt::print(stderr, "freshet state verify: {}\n", report.status().message());
    return kExitFailed;
  }
  if (arguments.json) {
    fmt::print("{}\n", to_json(*report));
  } else {
    print_for_people(*report);
  }
  return report->sound() ? kExitOk : kExitFailed;
}

}  // namespace freshet
