// freshet state average: the mean of the weights of kept checkpoints, served instead of the last round's model.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/json_writer.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/state_access.h"
#include "daemon/commands/stopped_state.h"
#include "daemon/config/config_loader.h"
#include "daemon/config/learning_config.h"
#include "daemon/room_options.h"
#include "daemon/status_json.h"
#include "learners/training/state_average.h"

namespace freshet {
namespace {

// One of the states that go in.
struct Member {
  CheckpointInfo info;  // id 0: the end of the log, later than any checkpoint
  std::string learner;
  std::uint64_t steps = 0;
};

struct Averaged {
  std::string path;
  std::vector<Member> members;
  HeldOutComparison held_out;
  bool served = false;
  CheckpointInfo checkpoint;  // that has it, where it is served
};

struct Kept {
  std::vector<CheckpointInfo> infos;
  std::vector<Member> members;  // oldest first
  std::string config;           // of the newest checkpoint; empty: it keeps none
};

Status check_named(const std::vector<std::uint64_t>& named, const std::vector<CheckpointInfo>& kept,
                   const std::string& path) {
  std::vector<std::uint64_t> ids;
  for (const CheckpointInfo& info : kept) ids.push_back(info.id);
  for (const std::uint64_t id : named) {
    if (std::ranges::find(ids, id) != ids.end()) continue;
    return not_found(fmt::format("checkpoint {} is not kept in {}; these are: {}. checkpoint.keep says how many are",
                                 id, path, fmt::join(ids, ", ")));
  }
  return Status::ok();
}

// The states that are asked for, before anything is written. They are read whole: a checkpoint that is written later
// lets the oldest one go.
Result<Kept> read_kept(const AverageArguments& arguments, const std::string& path) {
  NullLog log;
  LocalMetrics metrics;
  const auto store = open_stopped_store(path, nullptr, false, log, metrics);
  if (!store.is_ok()) {
    const auto daemon = daemon_that_holds(path, store.status());
    if (!daemon.is_ok()) return daemon.status();
    return failed_precondition(
        "a daemon runs on this store and would serve its next model in the place of an average within a round: stop "
        "it first. For an average that is always served there is `serving.weights: average` or `ema`");
  }
  Kept kept;
  kept.infos = (*store)->checkpoints();
  if (kept.infos.empty()) return failed_precondition("there is no checkpoint yet");
  TRY(check_named(arguments.checkpoints, kept.infos, path));
  for (std::size_t i = 0; i < kept.infos.size(); ++i) {
    const CheckpointInfo& info = kept.infos[i];
    const bool wanted = arguments.checkpoints.empty()
                            ? i + arguments.last >= kept.infos.size()
                            : std::ranges::find(arguments.checkpoints, info.id) != arguments.checkpoints.end();
    if (!wanted) continue;
    Checkpoint checkpoint = TRY((*store)->read_checkpoint(info.id, "learner"));
    kept.members.push_back({info, std::move(checkpoint.blobs["learner"]), 0});
  }
  const Checkpoint newest = TRY((*store)->read_checkpoint(kept.infos.back().id, kConfigBlob));
  const auto config = newest.blobs.find(kConfigBlob);
  if (config != newest.blobs.end()) kept.config = config->second;
  return kept;
}

// The options of a file where one is named, else those under which the model learnt.
Result<Config> options_for(const AverageArguments& arguments, const Kept& kept) {
  if (!arguments.config.file.empty()) {
    return load_config({arguments.config.file, std::nullopt, arguments.config.sets, process_environment()});
  }
  if (kept.config.empty()) {
    return failed_precondition("the newest checkpoint does not keep its options; name their file: --config FILE");
  }
  Config config = TRY(parse_learning_config(kept.config));
  config.checkpoint.keep = static_cast<std::uint32_t>(kept.infos.size()) + 1;  // none goes for it
  return config;
}

Result<std::uint64_t> steps_of(const LearnerOptions& options, const EncodedLayout& layout, const std::string& state) {
  const auto learner = TRY(Learner::create(options, layout, Device{}));
  ByteReader in(state);
  TRY(learner->load(in));
  return learner->steps();
}

std::string name_of(const Member& member) {
  return member.info.id == 0 ? "the end of the log" : fmt::format("checkpoint {}", member.info.id);
}

// Fewer than asked for where fewer are kept; one alone is no average.
Result<std::unique_ptr<Learner>> average_of(std::vector<Member>& members, const LearnerOptions& options,
                                            const EncodedLayout& layout) {
  if (members.size() < 2) {
    return failed_precondition(
        "there is one state alone to average; checkpoint.keep says how many checkpoints are kept");
  }
  StateAverage average = TRY(StateAverage::create(options, layout));
  for (Member& member : members) {
    TRY(average.add(member.learner).with_context(name_of(member)));
    member.steps = average.steps();
    member.learner = {};
  }
  return average.take();
}

Result<Averaged> average(const AverageArguments& arguments) {
  Averaged done;
  done.path = TRY(state_folder(arguments.path, arguments.config));
  Kept kept = TRY(read_kept(arguments, done.path));
  done.members = std::move(kept.members);
  const Config config = TRY(options_for(arguments, kept));
  const auto state = TRY(StoppedState::open(config, done.path, false, nullptr));
  TRY(state->run().with_context("redoing the log"));
  Pipeline& pipeline = state->pipeline();
  TRY(pipeline.settle());
  const LearnerOptions options = TRY(learner_options(pipeline.config_in_force(), state->schema().spec()));
  if (arguments.checkpoints.empty()) {
    // What was learnt after the newest checkpoint is the newest state.
    Member now;
    now.learner = pipeline.learner_bytes();
    const std::uint64_t steps = TRY(steps_of(options, state->layout(), now.learner));
    if (steps > TRY(steps_of(options, state->layout(), done.members.back().learner))) {
      const PipelineSnapshot snapshot = pipeline.snapshot();
      now.info.seq = state->store().last_seq();
      now.info.round = snapshot.rounds;
      now.info.model_version = snapshot.served_version;
      done.members.push_back(std::move(now));
      if (done.members.size() > arguments.last) done.members.erase(done.members.begin());
    }
  }
  const auto learner = TRY(average_of(done.members, options, state->layout()));
  const auto model = learner->republish(pipeline.snapshot().served_version);
  done.held_out = TRY(pipeline.compare_on_held_out(*model));
  if (done.held_out.loss_difference > 0 && !arguments.force) return done;
  ByteWriter out;
  TRY(learner->save(out));
  TRY(pipeline.serve_average(out.take(), done.members.size()));
  TRY(state->store().flush());
  done.checkpoint = state->store().checkpoints().back();
  done.served = true;
  return done;
}

void print_for_people(const Averaged& done) {
  fmt::print("{}: the average of the weights of {} states\n", done.path, done.members.size());
  for (const Member& member : done.members) {
    fmt::print("  {}: event {}, round {}, model version {}, {} steps\n", name_of(member), member.info.seq,
               member.info.round, member.info.model_version, member.steps);
  }
  const HeldOutComparison& held_out = done.held_out;
  if (held_out.set.empty()) {
    fmt::print("No event is held out (evaluation.held_out), so nothing says which of the two is better.\n");
  } else {
    fmt::print("On the {} events held out for {}:\n", held_out.events, held_out.set);
    for (const MetricValue& metric : held_out.candidate) {
      fmt::print("  {:<12} {:.5f}, served before {:.5f}\n", metric.name, metric.value,
                 find_metric(held_out.served, metric.name).value_or(0));
    }
    fmt::print("  loss         {:+.5f} (standard error {:.5f})\n", held_out.loss_difference,
               held_out.loss_difference_error);
  }
  if (done.served) {
    fmt::print(
        "It is in checkpoint {} and served from the next start on, until the model of the next round goes live; "
        "training goes on from its own weights.\n",
        done.checkpoint.id);
  } else {
    fmt::print("It is worse there, so it is not served; --force serves it all the same.\n");
  }
}

std::string to_json(const Averaged& done) {
  JsonWriter json;
  json.begin_object();
  json.field("path", done.path);
  json.key("states");
  json.begin_array();
  for (const Member& member : done.members) {
    json.begin_object();
    json.key("checkpoint");
    if (member.info.id == 0) {
      json.null();
    } else {
      json.value(member.info.id);
    }
    json.field("seq", member.info.seq);
    json.field("round", member.info.round);
    json.field("model_version", member.info.model_version);
    json.field("steps", member.steps);
    json.end_object();
  }
  json.end_array();
  const HeldOutComparison& held_out = done.held_out;
  if (!held_out.set.empty()) {
    json.key("held_out");
    json.begin_object();
    json.field("set", held_out.set);
    json.field("events", held_out.events);
    write_metrics(json, "served_before", held_out.served);
    write_metrics(json, "average", held_out.candidate);
    json.field("loss_difference", held_out.loss_difference);
    json.field("loss_difference_error", held_out.loss_difference_error);
    json.end_object();
  }
  json.field("served", done.served);
  if (done.served) json.field("checkpoint", done.checkpoint.id);
  json.end_object();
  return json.take();
}

}  // namespace

int run_average(const AverageArguments& arguments) {
  const auto done = average(arguments);
  if (!done.is_ok()) {
    fmt::print(stderr, "freshet state average: {}\n", done.status().message());
    return kExitFailed;
  }
  if (arguments.json) {
    fmt::print("{}", to_json(*done));
  } else {
    print_for_people(*done);
  }
  return done->served ? kExitOk : kExitFailed;
}

}  // namespace freshet
