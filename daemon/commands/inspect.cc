// freshet state inspect: what is stored, without disturbing a daemon that runs on it.
#include <fmt/format.h>

#include "daemon/commands/commands.h"
#include "daemon/commands/state_access.h"
#include "storage/inspect.h"

namespace freshet {
namespace {

Result<StoreReport> inspect(const StateArguments& arguments) {
  NullLog log;
  LocalMetrics metrics;
  const std::string folder = TRY(state_folder(arguments));
  const auto store = TRY(open_to_read(folder, log, metrics));
  return inspect_store(*store);
}

void print_for_people(const StoreReport& report) {
  fmt::print("{}: format {}, {} events, {:.1f} MB on disk\n", report.path, report.format, report.last_seq,
             static_cast<double>(report.bytes_on_disk) * 1e-6);
  fmt::print("  {:>9}  {:>12}  {:>12}  {:>10}  {:>8}  {:>7}  hash\n", "partition", "first", "last", "learnt", "skipped",
             "gaps");
  for (const PartitionLedger& partition : report.partitions) {
    fmt::print("  {:>9}  {:>12}  {:>12}  {:>10}  {:>8}  {:>7}  {:016x}\n", partition.partition, partition.first_offset,
               partition.last_offset, partition.learnt, partition.skipped_total(), partition.gaps, partition.hash);
  }
  for (std::size_t i = 0; i < report.checkpoints.size(); ++i) {
    const CheckpointInfo& checkpoint = report.checkpoints[i];
    fmt::print("  checkpoint {}: up to event {}, round {}, model version {}, {:.1f} MB, state {}\n", checkpoint.id,
               checkpoint.seq, checkpoint.round, checkpoint.model_version, static_cast<double>(checkpoint.bytes) * 1e-6,
               report.state_hashes[i].empty() ? "unknown" : report.state_hashes[i]);
  }
  if (report.memory) {
    fmt::print("  replay memory: {} of {} events ({}), {} seen\n", report.memory->size, report.memory->capacity,
               report.memory->policy, report.memory->seen);
  }
}

}  // namespace

int run_inspect(const StateArguments& arguments) {
  const auto report = inspect(arguments);
  if (!report.is_ok()) {
    fmt::print(stderr, "freshet state inspect: {}\n", report.status().message());
    return kExitFailed;
  }
  if (arguments.json) {
    fmt::print("{}\n", to_json(*report));
  } else {
    print_for_people(*report);
  }
  return kExitOk;
}

}  // namespace freshet
