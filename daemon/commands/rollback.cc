// freshet state rollback: the state as of an older checkpoint, so that Kafka delivers what came after it again.
#include <fmt/format.h>

#include <charconv>

#include "core/json_writer.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/stopped_state.h"

namespace freshet {
namespace {

struct RolledBack {
  std::string path;
  CheckpointInfo to;
  std::uint64_t events_dropped = 0;
  std::vector<PartitionLedger> partitions;
};

Result<std::uint64_t> choose(const Store& store, const std::string& to) {
  const auto kept = store.checkpoints();
  if (to == "previous") {
    if (kept.size() < 2) {
      return not_found(
          fmt::format("{} keeps {} checkpoint(s): there is none before the newest; checkpoint.keep says how "
                      "many are kept",
                      store.path(), kept.size()));
    }
    return kept[kept.size() - 2].id;
  }
  std::uint64_t id = 0;
  const auto [end, code] = std::from_chars(to.data(), to.data() + to.size(), id);
  if (code != std::errc() || end != to.data() + to.size()) {
    return invalid_argument(fmt::format("--to {}: name a checkpoint by its number, or `previous`", to));
  }
  return id;
}

Result<RolledBack> rollback(const RollbackArguments& arguments) {
  RolledBack done;
  done.path = TRY(state_folder(arguments.path, arguments.config));
  NullLog log;
  LocalMetrics metrics;
  const auto store = TRY(open_stopped_store(done.path, nullptr, false, log, metrics));
  const std::uint64_t before = store->last_seq();
  const std::uint64_t id = TRY(choose(*store, arguments.to));
  TRY(store->rollback(id));
  done.to = store->checkpoints().back();
  done.events_dropped = before - store->last_seq();
  done.partitions = store->ledger();
  return done;
}

std::string to_json(const RolledBack& done) {
  JsonWriter json;
  json.begin_object();
  json.field("path", done.path);
  json.field("checkpoint", done.to.id);
  json.field("seq", done.to.seq);
  json.field("model_version", done.to.model_version);
  json.field("events_dropped", done.events_dropped);
  json.key("next_offsets");
  json.begin_object();
  for (const PartitionLedger& partition : done.partitions) {
    json.field(std::to_string(partition.partition), partition.next_offset);
  }
  json.end_object();
  json.end_object();
  return json.take();
}

}  // namespace

int run_rollback(const RollbackArguments& arguments) {
  const auto done = rollback(arguments);
  if (!done.is_ok()) {
    fmt::print(stderr, "freshet state rollback: {}\n", done.status().message());
    return kExitFailed;
  }
  if (arguments.json) {
    fmt::print("{}\n", to_json(*done));
    return kExitOk;
  }
  fmt::print("{}: back at checkpoint {} (event {}, round {}, model version {}); {} events after it are dropped\n",
             done->path, done->to.id, done->to.seq, done->to.round, done->to.model_version, done->events_dropped);
  for (const PartitionLedger& partition : done->partitions) {
    fmt::print("  partition {} goes on at offset {}\n", partition.partition, partition.next_offset);
  }
  return kExitOk;
}

}  // namespace freshet
