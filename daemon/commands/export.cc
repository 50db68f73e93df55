// freshet export: the model of the newest checkpoint as a TorchScript file, beside a running daemon too.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "core/json_writer.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/state_access.h"
#include "daemon/config/config_loader.h"
#include "daemon/pipeline/publishing.h"
#include "daemon/pipeline/served_average.h"
#include "daemon/room_options.h"
#include "daemon/tuning/adopted_settings.h"
#include "learners/device.h"
#include "learners/features/feature_encoder.h"
#include "learners/training/learner.h"
#include "storage/store.h"

namespace freshet {
namespace {

struct Exported {
  std::string state;
  CheckpointInfo checkpoint;
};

// Whole or not at all: what is there under that name stays until the new file is.
Status write_whole(Learner& learner, const Predictor& version, const std::string& out, std::string_view about) {
  const std::string partial = out + ".partial";
  TRY(learner.export_model(partial, about, version));
  std::error_code error;
  std::filesystem::rename(partial, out, error);
  if (error) return unavailable(fmt::format("cannot rename {} to {}: {}", partial, out, error.message()));
  return Status::ok();
}

Result<Exported> export_model(const ExportArguments& arguments) {
  const Config config =
      TRY(load_config({arguments.config.file, std::nullopt, arguments.config.sets, process_environment()}));
  TRY(set_threads(static_cast<int>(config.learning.threads)));
  Exported done;
  done.state = arguments.path.empty() ? config.memory.path : arguments.path;
  NullLog log;
  LocalMetrics metrics;
  const auto store = TRY(open_to_read(done.state, log, metrics));
  const auto identity = store->identity();
  const auto kept = store->checkpoints();
  if (!identity.has_value() || kept.empty()) {
    return failed_precondition(fmt::format("there is no checkpoint yet in {}", done.state));
  }
  done.checkpoint = kept.back();
  const Checkpoint checkpoint = TRY(store->read_checkpoint(done.checkpoint.id));
  const auto found = checkpoint.blobs.find("learner");
  if (found == checkpoint.blobs.end()) return data_loss("the checkpoint has no model");

  const EventSpec spec = TRY(parse_event_spec(identity->event_spec));
  const auto encoder = TRY(FeatureEncoder::create(spec));
  const Config in_force = TRY(config_in_force(config, checkpoint));
  const LearnerOptions options = TRY(learner_options(in_force, spec));
  const auto learner = TRY(Learner::create(options, encoder->layout(), Device{}));
  ByteReader bytes(found->second);
  TRY(learner->load(bytes).with_context("reading the checkpoint's model"));
  const std::uint64_t version = done.checkpoint.model_version;
  std::unique_ptr<Learner> averaged;
  const auto average = [&]() -> Result<std::shared_ptr<const Predictor>> {
    averaged = TRY(Learner::create(options, encoder->layout(), Device{}));
    const auto state = checkpoint.blobs.find(kServedAverageBlob);
    if (state == checkpoint.blobs.end()) return data_loss("the checkpoint lacks the average that is served");
    ByteReader in(state->second);
    TRY(averaged->load(in).with_context("reading the average that is served"));
    return averaged->republish(version);
  };
  const StoredVersions versions = TRY(load_versions(checkpoint.blobs, *learner, version, average));
  TRY(write_whole(*learner, *versions.served, arguments.out,
                  fmt::format("{}, version {}", config.model.name, version)));
  return done;
}

}  // namespace

int run_export(const ExportArguments& arguments) {
  const auto done = export_model(arguments);
  if (!done.is_ok()) {
    fmt::print(stderr, "freshet export: {}\n", done.status().message());
    return kExitFailed;
  }
  if (arguments.json) {
    JsonWriter json;
    json.begin_object();
    json.field("file", arguments.out);
    json.field("checkpoint", done->checkpoint.id);
    json.field("model_version", done->checkpoint.model_version);
    json.field("events", done->checkpoint.seq);
    json.end_object();
    fmt::print("{}\n", json.take());
  } else {
    fmt::print("{}: model version {}, learnt from {} events (checkpoint {})\n", arguments.out,
               done->checkpoint.model_version, done->checkpoint.seq, done->checkpoint.id);
  }
  return kExitOk;
}

}  // namespace freshet
