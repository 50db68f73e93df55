// freshet state erase: forgets keys, and says what that means for the model.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "core/hash.h"
#include "core/json_writer.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/stopped_state.h"
#include "daemon/config/config_loader.h"

namespace freshet {
namespace {

constexpr std::size_t kKeysMax = 1'000'000;

struct Erased {
  std::string path;
  ErasureReport report;
  bool recorded_only = false;  // without a configuration nothing can be redone: the next start does it
  bool retrained = false;
  std::uint64_t retrained_events = 0;
};

Result<std::vector<std::uint64_t>> read_keys(const EraseArguments& arguments) {
  std::vector<std::string> keys = arguments.keys;
  if (!arguments.keys_file.empty()) {
    std::ifstream file(arguments.keys_file);
    if (!file) return not_found(fmt::format("cannot read {}", arguments.keys_file));
    for (std::string line; std::getline(file, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (!line.empty()) keys.push_back(line);
    }
  }
  if (keys.empty()) return invalid_argument("name the keys: --key KEY, or --keys-file FILE with one a line");
  if (keys.size() > kKeysMax) return invalid_argument(fmt::format("more than {} keys at once", kKeysMax));
  std::vector<std::uint64_t> hashes;
  hashes.reserve(keys.size());
  for (const std::string& key : keys) hashes.push_back(hash_category(0, key));
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  return hashes;
}

// A model made from scratch of what `path` still holds, put in its place by one exchange of two folders.
Result<std::uint64_t> retrain(const Config& config, const std::string& path) {
  const std::string made = path + ".retrain";
  std::error_code error;
  std::filesystem::remove_all(made, error);  // of an attempt that was cut short
  if (error) return unavailable(fmt::format("cannot remove {}: {}", made, error.message()));
  std::uint64_t events = 0;
  {
    NullLog log;
    LocalMetrics metrics;
    const auto old = TRY(open_stopped_store(path, &config, false, log, metrics));
    auto fresh = TRY(StoppedState::open(config, made, true, old.get()));
    TRY(fresh->run());
    events = fresh->store().last_seq();
    const auto ledger = old->ledger();  // Kafka goes on where it was
    TRY(fresh->store().adopt_ledger(ledger));
    TRY(fresh->pipeline().finish());
    TRY(fresh->store().flush());
  }
  if (renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) != 0) {
    const int code = errno;
    std::filesystem::remove_all(made, error);
    return unavailable(fmt::format(
        "cannot exchange {} and {}: {}; the old model stays. The store must be a folder on a volume, not the volume "
        "itself",
        made, path, std::generic_category().message(code)));
  }
  std::filesystem::remove_all(made, error);
  if (error)
    return unavailable(fmt::format("the new model is in place, but {} cannot be removed: {}", made, error.message()));
  return events;
}

Result<Erased> erase(const EraseArguments& arguments) {
  const auto keys = TRY(read_keys(arguments));
  Erased erased;
  erased.path = TRY(state_folder(arguments.path, arguments.config));
  if (arguments.config.file.empty()) {
    if (arguments.retrain) return invalid_argument("--retrain needs the configuration: --config FILE");
    NullLog log;
    LocalMetrics metrics;
    const auto store = TRY(open_stopped_store(erased.path, nullptr, false, log, metrics));
    TRY(store->request_erasures(keys));
    erased.report.keys = keys.size();
    erased.recorded_only = true;
    return erased;
  }
  const Config config =
      TRY(load_config({arguments.config.file, std::nullopt, arguments.config.sets, process_environment()}));
  {
    auto state = TRY(StoppedState::open(config, erased.path, false, nullptr));
    TRY(state->run().with_context("redoing the log"));
    erased.report = TRY(state->pipeline().erase_now(keys));
    if (!erased.report.durable && erased.report.through_id != 0 && !erased.report.seqs.empty()) {
      return resource_exhausted(
          "the erasure is recorded, but its checkpoint could not be written; make room and start "
          "the daemon, or ask again");
    }
    TRY(state->store().purge(erased.report.seqs));
  }
  if (arguments.retrain) {
    erased.retrained_events = TRY(retrain(config, erased.path).with_context("retraining"));
    erased.retrained = true;
  }
  return erased;
}

void print_for_people(const Erased& erased) {
  const ErasureReport& report = erased.report;
  if (erased.recorded_only) {
    fmt::print(
        "{}: the erasure of {} key(s) is recorded; the next start of the daemon does it at its first cut.\n"
        "With --config it is done now.\n",
        erased.path, report.keys);
    return;
  }
  fmt::print("{}: erased {} event(s) of {} key(s); {} stood in the replay memory, {} in held-out sets\n", erased.path,
             report.seqs.size(), report.keys, report.memory_events, report.held_out_events);
  for (const CheckpointInfo& info : report.learnt_by) {
    fmt::print("  checkpoint {} (up to event {}, model version {}) had seen them; it is gone\n", info.id, info.seq,
               info.model_version);
  }
  if (erased.retrained) {
    fmt::print("The model was made anew from the {} events still stored; nothing of it has seen these keys.\n",
               erased.retrained_events);
  } else {
    fmt::print(
        "What remains: weights, target means and quality figures have learnt from these events, as have backups\n"
        "and exported models. --retrain makes a model that has not.\n");
  }
}

std::string to_json(const Erased& erased) {
  JsonWriter json;
  json.begin_object();
  json.field("path", erased.path);
  json.field("keys", erased.report.keys);
  json.field("recorded_only", erased.recorded_only);
  json.field("events", static_cast<std::uint64_t>(erased.report.seqs.size()));
  json.field("memory_events", erased.report.memory_events);
  json.field("held_out_events", erased.report.held_out_events);
  json.key("checkpoints_that_had_learnt");
  json.begin_array();
  for (const CheckpointInfo& info : erased.report.learnt_by) json.value(info.id);
  json.end_array();
  json.field("retrained", erased.retrained);
  json.field("retrained_events", erased.retrained_events);
  json.end_object();
  return json.take();
}

}  // namespace

int run_erase(const EraseArguments& arguments) {
  const auto erased = erase(arguments);
  if (!erased.is_ok()) {
    fmt::print(stderr, "freshet state erase: {}\n", erased.status().message());
    return kExitFailed;
  }
  if (arguments.json) {
    fmt::print("{}\n", to_json(*erased));
  } else {
    print_for_people(*erased);
  }
  return kExitOk;
}

}  // namespace freshet
