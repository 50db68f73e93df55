#include "daemon/commands/stopped_state.h"

#include "daemon/config/config_loader.h"
#include "daemon/event_spec_choice.h"
#include "daemon/pipeline/stored_source.h"
#include "daemon/room_options.h"
#include "learners/device.h"

namespace freshet {

Result<std::string> state_folder(const std::string& path, const ConfigArguments& config) {
  if (!path.empty()) return path;
  if (config.file.empty()) return invalid_argument("name the store: --path FOLDER, or --config FILE");
  const Config loaded = TRY(load_config({config.file, std::nullopt, config.sets, process_environment()}));
  return loaded.memory.path;
}

Result<std::unique_ptr<Store>> open_stopped_store(const std::string& path, const Config* config, bool create, Log& log,
                                                  MetricsRegistry& metrics) {
  StoreOptions options;
  if (config != nullptr) options = store_options(*config);
  options.path = path;
  options.create_if_missing = create;
  return Store::open(options, std::nullopt, log, metrics);
}

Result<std::unique_ptr<StoppedState>> StoppedState::open(const Config& config, const std::string& path, bool create,
                                                         const Store* events) {
  std::unique_ptr<StoppedState> state(new StoppedState());
  state->config_ = config;
  state->config_.memory.path = path;
  // Seconds decide nothing here: there is no stream to keep up with.
  state->config_.learning.round.every_ms = 0;
  state->config_.learning.round.go_live = setting::GoLive::kNextCut;
  state->config_.checkpoint.every_ms = 0;
  TRY(set_threads(static_cast<int>(config.learning.threads)));
  state->store_ = TRY(open_stopped_store(path, &state->config_, create, state->log_, state->metrics_));
  const Store& known = events != nullptr ? *events : *state->store_;
  const auto identity = known.identity();
  if (!identity.has_value()) return failed_precondition("the store holds no events yet");
  const EventSpec spec = TRY(choose_event_spec(state->config_, known, state->log_));
  state->schema_.emplace(spec);
  TRY(state->store_->bind(store_identity(*state->schema_)));
  state->layout_ = TRY(FeatureEncoder::create(spec));
  state->codec_ = std::make_unique<EventRecordCodec>(*state->schema_, state->layout_->layout());
  state->source_ = std::make_unique<StoredSource>(events, state->codec_.get());
  state->slot_ = std::make_unique<ModelSlot>(state->clock_);
  state->pipeline_ = TRY(
      Pipeline::open(state->config_, *state->schema_, {},
                     {*state->store_, *state->source_, *state->slot_, state->clock_, state->log_, state->metrics_}));
  return state;
}

Status StoppedState::run() { return pipeline_->run(never_); }

}  // namespace freshet
