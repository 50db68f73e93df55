// freshet state replay: redoes the recorded order in memory and compares the state at every kept checkpoint.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "core/json_writer.h"
#include "daemon/adapters/spdlog_log.h"
#include "daemon/cli/signals.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/state_access.h"
#include "daemon/config/config_loader.h"
#include "daemon/config/learning_config.h"
#include "daemon/pipeline/pipeline.h"
#include "learners/device.h"

namespace freshet {
namespace {

// The log alone is redone.
class NoSource final : public EventSource {
 public:
  Status start(const NextOffsets&) override { return Status::ok(); }
  Result<SourceState> next(EventBatch&, std::size_t, std::chrono::milliseconds) override { return SourceState::kEnd; }
  void committed(const NextOffsets&) override {}
  Status acknowledge_dead_letters(std::uint64_t, std::chrono::milliseconds) override { return Status::ok(); }
  void stop() override {}
  SourceProgress progress() const override { return {}; }
};

struct Compared {
  CheckpointInfo checkpoint;
  StateHash stored;
  StateHash replayed;
};

struct Replay {
  std::uint64_t from_checkpoint = 0;
  std::uint64_t from_seq = 0;
  std::string options_from;  // "checkpoint" or the file's name
  std::vector<Compared> compared;
  std::vector<std::pair<std::uint64_t, std::string>> not_compared;  // checkpoint, why
  bool missed = false;  // a checkpoint's position was not come by: the order is not the one it was made of
  std::uint64_t end_seq = 0;
  StateHash end;

  bool equal() const {
    return !missed && std::all_of(compared.begin(), compared.end(),
                                  [](const Compared& one) { return one.stored == one.replayed; });
  }
};

// A kept checkpoint as far as a replay needs to know it.
struct KeptCheckpoint {
  CheckpointInfo info;
  std::string config;  // empty: none, or damaged
  std::optional<StateHash> hash;
  bool damaged = false;
  std::string trouble;  // why it cannot be compared
};

Result<std::vector<KeptCheckpoint>> look_at(const Store& store) {
  std::vector<KeptCheckpoint> all;
  for (const CheckpointInfo& info : store.checkpoints()) {
    KeptCheckpoint& one = all.emplace_back();
    one.info = info;
    const auto read = store.read_checkpoint(info.id);
    if (read.code() == Code::kDataLoss) {
      one.damaged = true;
      one.trouble = read.status().message();
      continue;
    }
    if (!read.is_ok()) return read.status();
    const auto config = read->blobs.find(kConfigBlob);
    if (config != read->blobs.end()) one.config = config->second;
    const auto hash = read->blobs.find(kStateHashBlob);
    if (hash != read->blobs.end()) {
      one.hash = TRY(decode_state_hash(hash->second));
    } else {
      one.trouble = "it was written before checkpoints had a state hash";
    }
  }
  return all;
}

// The options of the newest checkpoint that keeps any.
std::string newest_config(const std::vector<KeptCheckpoint>& kept) {
  const auto found = std::find_if(kept.rbegin(), kept.rend(), [](const auto& one) { return !one.config.empty(); });
  return found == kept.rend() ? std::string() : found->config;
}

// What was learnt between two checkpoints was learnt under the options that the later one keeps. So the oldest place to
// begin is the checkpoint before the first of those that share the newest one's options.
std::size_t oldest_start(const std::vector<KeptCheckpoint>& kept) {
  const std::string newest = newest_config(kept);
  std::size_t begin = 0;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (!kept[i].config.empty() && kept[i].config != newest) begin = i;
  }
  while (begin + 1 < kept.size() && kept[begin].damaged) ++begin;
  return begin;
}

Result<std::uint64_t> starting_checkpoint(const std::string& from, const std::vector<KeptCheckpoint>& kept) {
  if (from == "start" || kept.empty()) return std::uint64_t{0};
  if (from == "oldest") return kept[oldest_start(kept)].info.id;
  std::uint64_t id = 0;
  const auto read = std::from_chars(from.data(), from.data() + from.size(), id);
  const bool known = read.ec == std::errc() && read.ptr == from.data() + from.size() &&
                     std::any_of(kept.begin(), kept.end(), [id](const auto& one) { return one.info.id == id; });
  if (known) return id;
  std::vector<std::uint64_t> ids;
  for (const KeptCheckpoint& one : kept) ids.push_back(one.info.id);
  return invalid_argument(
      fmt::format("--from takes oldest, start, or the id of a kept checkpoint: {}", fmt::join(ids, ", ")));
}

Status check_whole_log(const Store& store) {
  std::uint64_t events = 0;
  TRY(store.scan(1, store.last_seq(), [&](std::uint64_t, std::string_view) {
    ++events;
    return Status::ok();
  }));
  const auto order = TRY(store.order_since(0));
  if (events == store.last_seq() && order.size() == store.next_order_index()) return Status::ok();
  return failed_precondition(
      "the log is not kept whole from its start; begin at a checkpoint (--from oldest), or run with memory."
      "keep_events: all from the start");
}

Result<Config> options_for(const ReplayArguments& arguments, const std::vector<KeptCheckpoint>& kept, Replay& replay) {
  Config config;
  if (const std::string stored = newest_config(kept); !stored.empty()) {
    config = TRY(parse_learning_config(stored));
    replay.options_from = "checkpoint";
  } else {
    const ConfigArguments& file = arguments.state.config;
    if (file.file.empty()) {
      return failed_precondition(
          "no checkpoint of this store keeps the options under which it learnt; name their file: --config FILE");
    }
    config = TRY(load_config({file.file, std::nullopt, file.sets, process_environment()}));
    replay.options_from = file.file;
  }
  config.log = LogConfig();
  config.log.level = LogLevel::kWarning;
  return config;
}

Result<Replay> replay(const ReplayArguments& arguments) {
  const std::string folder = TRY(state_folder(arguments.state));
  LocalMetrics metrics;
  const SystemClock clock;
  LogConfig log_config;
  log_config.level = LogLevel::kWarning;
  SpdlogLog log(log_config, clock);
  const auto store = TRY(open_to_read(folder, log, metrics));
  const auto identity = store->identity();
  if (!identity) return failed_precondition(fmt::format("nothing was learnt yet in {}", folder));
  const Schema schema(TRY(parse_event_spec(identity->event_spec)));
  const auto kept = TRY(look_at(*store));

  Replay result;
  const Config config = TRY(options_for(arguments, kept, result));
  result.from_checkpoint = TRY(starting_checkpoint(arguments.from, kept));
  if (result.from_checkpoint == 0) TRY(check_whole_log(*store));
  std::map<std::pair<std::uint64_t, std::uint64_t>, const KeptCheckpoint*> expected;
  for (const KeptCheckpoint& one : kept) {
    if (one.info.id == result.from_checkpoint) result.from_seq = one.info.seq;
    if (one.info.id < result.from_checkpoint) {
      result.not_compared.emplace_back(one.info.id, "the replay begins after it");
    } else if (!one.hash) {
      result.not_compared.emplace_back(one.info.id, one.trouble);
    } else {
      expected[{one.info.seq, one.info.order_index}] = &one;
    }
  }

  TRY(set_threads(static_cast<int>(config.learning.threads)));
  NoSource source;
  ModelSlot slot(clock);
  CommandProgress progress("replaying", "events", arguments.state.quiet);
  const std::uint64_t total = store->last_seq() - result.from_seq;
  PipelineOptions options;
  RedoOnly& redo = options.redo_only.emplace();
  redo.from_checkpoint = result.from_checkpoint;
  redo.redone = [&](std::uint64_t seq) { progress.show(seq - result.from_seq, total); };
  redo.at_rest = [&](Pipeline& pipeline, std::uint64_t seq, std::uint64_t order_index) -> Status {
    const auto found = expected.find({seq, order_index});
    if (found == expected.end()) return Status::ok();
    result.compared.push_back({found->second->info, *found->second->hash, TRY(pipeline.state_hash())});
    expected.erase(found);
    return Status::ok();
  };
  const StopOnSignal stop;
  const auto pipeline = TRY(Pipeline::open(config, schema, options, {*store, source, slot, clock, log, metrics}));
  TRY(pipeline->redo_log(stop.flag()));
  result.end = TRY(pipeline->state_hash());
  result.end_seq = store->last_seq();
  progress.finish();
  for (const auto& [position, one] : expected) {
    result.missed = true;
    result.not_compared.emplace_back(one->info.id, "the recorded order does not come by its position");
  }
  return result;
}

void write_hashes(JsonWriter& json, const StateHash& hash) {
  json.begin_object();
  for (const auto& [name, value] : hash.parts) json.field(name, hash_text_of(value));
  json.end_object();
}

std::string to_json(const Replay& replay) {
  JsonWriter json(0);
  json.begin_object();
  json.field("equal", replay.equal());
  json.field("from_checkpoint", replay.from_checkpoint);
  json.field("from_seq", replay.from_seq);
  json.field("options_from", replay.options_from);
  json.key("compared");
  json.begin_array();
  for (const Compared& one : replay.compared) {
    json.begin_object();
    json.field("checkpoint", one.checkpoint.id);
    json.field("seq", one.checkpoint.seq);
    json.field("equal", one.stored == one.replayed);
    json.field("state_hash", hash_text_of(one.stored.whole));
    json.field("replayed_hash", hash_text_of(one.replayed.whole));
    json.key("differs");
    json.begin_array();
    for (const std::string& part : differing_parts(one.stored, one.replayed)) json.value(part);
    json.end_array();
    json.end_object();
  }
  json.end_array();
  json.key("not_compared");
  json.begin_array();
  for (const auto& [id, why] : replay.not_compared) {
    json.begin_object();
    json.field("checkpoint", id);
    json.field("why", why);
    json.end_object();
  }
  json.end_array();
  json.key("end");
  json.begin_object();
  json.field("seq", replay.end_seq);
  json.field("state_hash", hash_text_of(replay.end.whole));
  json.key("parts");
  write_hashes(json, replay.end);
  json.end_object();
  json.end_object();
  return json.take();
}

void print_for_people(const Replay& replay) {
  if (replay.from_checkpoint == 0) {
    fmt::print("replayed from event 1 to event {}\n", replay.end_seq);
  } else {
    fmt::print("replayed from checkpoint {} (event {}) to event {}\n", replay.from_checkpoint, replay.from_seq,
               replay.end_seq);
  }
  for (const Compared& one : replay.compared) {
    if (one.stored == one.replayed) {
      fmt::print("  checkpoint {} at event {}: the same, {}\n", one.checkpoint.id, one.checkpoint.seq,
                 hash_text_of(one.stored.whole));
    } else {
      fmt::print("  checkpoint {} at event {}: DIFFERENT, stored {}, replayed {}; differs: {}\n", one.checkpoint.id,
                 one.checkpoint.seq, hash_text_of(one.stored.whole), hash_text_of(one.replayed.whole),
                 fmt::join(differing_parts(one.stored, one.replayed), ", "));
    }
  }
  for (const auto& [id, why] : replay.not_compared) fmt::print("  checkpoint {}: not compared: {}\n", id, why);
  fmt::print("  end of the log: {}\n", hash_text_of(replay.end.whole));
}

}  // namespace

int run_replay(const ReplayArguments& arguments) {
  const auto result = replay(arguments);
  if (!result.is_ok()) {
    fmt::print(stderr, "freshet state replay: {}\n", result.status().message());
    return kExitFailed;
  }
  if (arguments.state.json) {
    fmt::print("{}\n", to_json(*result));
  } else {
    print_for_people(*result);
  }
  return result->equal() ? kExitOk : kExitFailed;
}

}  // namespace freshet
