// freshet state erase: forgets keys, and says what that means for the model.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/hash.h"
#include "core/json_writer.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/state_access.h"
#include "daemon/commands/stopped_state.h"
#include "daemon/config/config_loader.h"
#include "daemon/control/state_operations.h"

namespace freshet {
namespace {

constexpr std::size_t kKeysMax = 1'000'000;

std::uint64_t number(const JsonObject& object, std::string_view name) {
  return std::strtoull(member(object, name).c_str(), nullptr, 10);
}

struct Erased {
  std::string path;
  ErasureReport report;
  std::uint64_t events = 0;    // as many as report.seqs has, where it is known
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
    auto ledgers = old->ledger();  // Kafka goes on where it was
    const auto relearnt_ledgers = fresh->store().ledger();
    for (PartitionLedger& ledger : ledgers) {
      const auto anew = std::find_if(relearnt_ledgers.begin(), relearnt_ledgers.end(),
                                     [&](const auto& entry) { return entry.partition == ledger.partition; });
      ledger = relearnt(ledger, anew == relearnt_ledgers.end() ? PartitionLedger{} : *anew);
    }
    TRY(fresh->store().adopt_ledger(ledgers));
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

// What the daemon said, by parts: adds one answer to `erased`.
Status add_answer(const std::string& answer, Erased& erased) {
  const JsonObject told = TRY(parse_json_object(answer).with_context("the daemon's answer"));
  ErasureReport& report = erased.report;
  report.keys += number(told, "keys");
  erased.events += number(told, "events");
  report.memory_events += number(told, "memory_events");
  report.held_out_events += number(told, "held_out_events");
  const JsonObject learnt_by = TRY(parse_json_object(member(told, "learnt_by")).with_context("the daemon's answer"));
  for (const auto& [id, text] : learnt_by) {
    const JsonObject info = TRY(parse_json_object(text).with_context("the daemon's answer"));
    CheckpointInfo& checkpoint = report.learnt_by.emplace_back();
    checkpoint.id = std::strtoull(id.c_str(), nullptr, 10);
    checkpoint.seq = number(info, "seq");
    checkpoint.round = number(info, "round");
    checkpoint.model_version = number(info, "model_version");
  }
  std::sort(report.learnt_by.begin(), report.learnt_by.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return Status::ok();
}

// By the daemon that has the store open; `refused` says so.
Result<Erased> erase_there(const std::string& path, const Status& refused, std::span<const std::uint64_t> keys,
                           bool retrain, const ControlOptions& control) {
  const ControlClient daemon = TRY(daemon_that_holds(path, refused, control));
  if (retrain) {
    return failed_precondition(
        "a daemon runs on this store, and --retrain puts another in its place: stop the daemon first and start it "
        "again afterwards; without --retrain it erases the keys while it runs");
  }
  Erased erased;
  erased.path = path;
  for (std::size_t begin = 0; begin < keys.size(); begin += kErasedKeysMax) {
    const auto part = keys.subspan(begin, std::min(kErasedKeysMax, keys.size() - begin));
    const std::string answer = TRY(daemon.run("erase", {{"key_hashes", key_hashes_text(part)}}, nullptr));
    TRY(add_answer(answer, erased));
  }
  return erased;
}

Result<Erased> erase(const EraseArguments& arguments) {
  const auto keys = TRY(read_keys(arguments));
  Erased erased;
  erased.path = TRY(state_folder(arguments.path, arguments.config));
  if (arguments.config.file.empty()) {
    if (arguments.retrain) return invalid_argument("--retrain needs the configuration: --config FILE");
    NullLog log;
    LocalMetrics metrics;
    const auto store = open_stopped_store(erased.path, nullptr, false, log, metrics);
    if (!store.is_ok())
      return erase_there(erased.path, store.status(), keys, false, control_options(arguments.control));
    TRY((*store)->request_erasures(keys));
    erased.report.keys = keys.size();
    erased.recorded_only = true;
    return erased;
  }
  const Config config =
      TRY(load_config({arguments.config.file, std::nullopt, arguments.config.sets, process_environment()}));
  {
    auto state = StoppedState::open(config, erased.path, false, nullptr);
    if (!state.is_ok())
      return erase_there(erased.path, state.status(), keys, arguments.retrain, control_options(arguments.control));
    TRY((*state)->run().with_context("redoing the log"));
    erased.report = TRY((*state)->pipeline().erase_now(keys));
    TRY(check_durable(erased.report));
    erased.events = erased.report.seqs.size();
    TRY((*state)->store().purge(erased.report.seqs));
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
             erased.events, report.keys, report.memory_events, report.held_out_events);
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
  json.field("events", erased.events);
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
