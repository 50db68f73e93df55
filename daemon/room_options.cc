#include "daemon/room_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <tuple>

#include "core/feature_spec.h"
#include "daemon/config/option_table.h"

namespace freshet {
namespace {

LossOptions loss_options(const Config& config) {
  const auto& learning = config.learning;
  LossOptions options;
  options.kind = default_loss(config.model.task);
  if (learning.loss != setting::Loss::kAuto) {
    const auto kind = parse_loss(option_text(config, "learning.loss"));
    if (!kind) abort_with("an unknown loss passed the option table");
    options.kind = *kind;
  }
  options.label_smoothing = static_cast<float>(learning.label_smoothing);
  options.huber_delta = static_cast<float>(learning.huber_delta);
  options.quantile = static_cast<float>(learning.quantile);
  for (const double weight : learning.class_weights) options.class_weights.push_back(static_cast<float>(weight));
  return options;
}

StrategySettings strategy_settings(const LearningConfig& learning) {
  StrategySettings settings;
  settings.der.alpha = static_cast<float>(learning.der.alpha);
  settings.der_pp.alpha = static_cast<float>(learning.der_pp.alpha);
  settings.der_pp.beta = static_cast<float>(learning.der_pp.beta);
  settings.der_pp.two_draws = learning.der_pp.two_draws;
  settings.pod_er.alpha = static_cast<float>(learning.pod_er.alpha);
  const auto real = [](double value) { return static_cast<float>(value); };
  const auto& [lwf, ewc, cls_er, super_er] = std::tie(learning.lwf, learning.ewc, learning.cls_er, learning.super_er);
  settings.lwf = {real(lwf.alpha), real(lwf.temperature), lwf.every_rounds};
  settings.ewc = {real(ewc.lambda), real(ewc.decay), ewc.fisher_rows, ewc.every_rounds};
  settings.cls_er = {real(cls_er.alpha),
                     real(cls_er.beta),
                     real(cls_er.stable_decay),
                     real(cls_er.plastic_decay),
                     real(cls_er.stable_probability),
                     real(cls_er.plastic_probability)};
  settings.mir.candidates = learning.mir.candidates;
  settings.super_er.alpha = real(super_er.alpha);
  settings.super_er.beta = real(super_er.beta);
  settings.super_er.cls.beta = real(super_er.cls_beta);
  settings.super_er.shrink = real(super_er.shrink);
  settings.super_er.sigma = real(super_er.sigma);
  settings.super_er.shrink_every_rounds = super_er.shrink_every_rounds;
  settings.gdumb = {learning.gdumb.passes, learning.gdumb.every_rounds};
  settings.joint = {learning.joint.passes, learning.joint.every_rounds};
  settings.offline_er = {learning.offline_er.passes, real(learning.offline_er.fresh_weight)};
  const auto& distillation = learning.repeated_distillation;
  settings.repeated_distillation = {distillation.expert_passes, distillation.passes, real(distillation.temperature)};
  return settings;
}

Result<ScheduleOptions> schedule_options(const Config& config) {
  const ScheduleConfig& schedule = config.learning.schedule;
  ScheduleOptions options;
  options.kind = TRY(parse_schedule(option_text(config, "learning.schedule.kind")));
  options.learning_rate = static_cast<float>(config.learning.learning_rate);
  options.scale = schedule.scale;
  options.dim = schedule.dim;
  options.warmup_steps = schedule.warmup_steps;
  options.first_period = schedule.first_period;
  options.t_mult = schedule.t_mult;
  options.decay_rate = schedule.decay_rate;
  options.decay_steps = schedule.decay_steps;
  options.staircase = schedule.staircase;
  options.start_step = schedule.start_step;
  options.step_duration = schedule.step_duration;
  options.minimum_rate = schedule.minimum_rate;
  return options;
}

Result<SiftingOptions> sifting_options(const Config& config) {
  const SiftingConfig& sifting = config.learning.sifting;
  SiftingOptions options;
  options.kind = TRY(parse_sifting(option_text(config, "learning.sifting.kind")));
  options.beta = sifting.beta;
  options.replay_beta = sifting.replay_beta;
  options.loss_history = sifting.loss_history;
  options.delay_steps = sifting.delay_steps;
  options.reweigh = sifting.reweigh;
  options.only_where_it_pays = sifting.only_where_it_pays;
  options.seed = config.model.seed;
  return options;
}

LostOffsets lost_offsets(setting::LostOffsets choice) {
  switch (choice) {
    case setting::LostOffsets::kFail:
      return LostOffsets::kFail;
    case setting::LostOffsets::kEarliest:
      return LostOffsets::kEarliest;
    case setting::LostOffsets::kLatest:
      return LostOffsets::kLatest;
  }
  abort_with("an unknown choice for lost offsets passed the option table");
}

}  // namespace

StoreOptions store_options(const Config& config) {
  StoreOptions options;
  options.path = config.memory.path;
  options.record_cache_bytes = static_cast<std::uint64_t>(config.memory.block_cache_bytes);
  options.write_buffer_bytes = static_cast<std::uint64_t>(config.memory.write_buffer_bytes);
  options.checkpoints_kept = config.checkpoint.keep;
  options.keep_all_events = config.memory.keep_events == setting::KeepEvents::kAll;
  return options;
}

StoreIdentity store_identity(const Schema& schema) {
  return {schema.fingerprint(), serialize_event_spec(schema.spec()), "freshet " FRESHET_VERSION};
}

ReplayOptions replay_options(const Config& config, std::uint64_t record_bytes, std::uint64_t seed) {
  ReplayOptions options;
  options.policy = option_text(config, "memory.policy");
  options.capacity_events = config.memory.capacity_events;
  options.ttl_ms = config.memory.ttl_ms;
  options.seed = seed;
  options.capacity_bytes = static_cast<std::uint64_t>(config.memory.capacity_bytes);
  options.record_bytes = record_bytes;
  options.sampling = option_text(config, "memory.sampling");
  options.priority_alpha = config.memory.priority_alpha;
  options.recency_half_life = config.memory.recency_half_life_events;
  options.metadata.folder = config.memory.path;
  return options;
}

Result<LearnerOptions> learner_options(const Config& config, const EventSpec& spec) {
  LearnerOptions options;
  options.model.architecture = TRY(parse_architecture(option_text(config, "model.architecture")));
  options.model.task = config.model.task;
  options.model.classes = spec.label.classes;
  options.model.hidden.assign(config.model.hidden.begin(), config.model.hidden.end());
  options.model.embedding_dim = config.model.embedding_dim;
  options.model.embedding_rows = config.model.embedding_rows;
  options.model.cross_layers = config.model.cross_layers;
  options.model.cross_rank = config.model.cross_rank;
  options.model.cross = TRY(parse_cross_place(option_text(config, "model.cross")));
  options.model.initial = TRY(parse_initial_weights(option_text(config, "model.initial")));
  options.model.recompute = config.model.recompute == setting::Recompute::kLayers;
  options.model.seed = config.model.seed;
  options.model.path = config.model.path;
  const auto& image = config.model.image;
  options.model.convnet = {image.channels,
                           image.height,
                           image.width,
                           image.field,
                           {config.model.filters.begin(), config.model.filters.end()},
                           config.model.kernel};
  options.loss = loss_options(config);
  options.optimizer.kind = TRY(parse_optimizer(option_text(config, "learning.optimizer")));
  options.optimizer.weight_decay = static_cast<float>(config.learning.weight_decay);
  options.optimizer.momentum = static_cast<float>(config.learning.momentum);
  options.optimizer.nesterov = config.learning.nesterov;
  options.optimizer.beta1 = static_cast<float>(config.learning.beta1);
  options.optimizer.beta2 = static_cast<float>(config.learning.beta2);
  options.optimizer.epsilon = static_cast<float>(config.learning.epsilon);
  options.optimizer.initial_accumulator = static_cast<float>(config.learning.initial_accumulator);
  options.schedule = TRY(schedule_options(config));
  options.autocast = TRY(parse_autocast(option_text(config, "learning.autocast")));
  options.strategy = option_text(config, "learning.strategy");
  options.strategies = strategy_settings(config.learning);
  options.replay_ratio = static_cast<float>(config.learning.replay_ratio);
  options.batch_size = config.learning.batch_size;
  options.clip_norm = static_cast<float>(config.learning.clip_norm);
  options.sifting = TRY(sifting_options(config));
  options.restore_after = config.learning.guard.restore_after;
  options.ema_decay = config.learning.ema_decay;
  options.average_rounds = config.learning.average_last;
  options.published = TRY(parse_published_weights(option_text(config, "serving.weights")));
  return options;
}

GateOptions gate_options(const Config& config, const EventSpec& spec) {
  const GateConfig& gate = config.serving.gate;
  GateOptions options;
  options.enabled = gate.enabled;
  options.alpha = gate.alpha;
  options.slice_margin = gate.slice_margin;
  options.rows = gate.rows;
  options.watch_rows = gate.watch_rows;
  options.proof_rows = gate.proof_rows;
  options.hold_events = gate.hold_events;
  options.slices_every_rounds = gate.slices_every_rounds;
  options.classes = config.model.task == Task::kRegression ? 0 : std::max<std::uint32_t>(2, spec.label.classes);
  options.task = config.model.task;
  options.loss = loss_options(config);
  return options;
}

EvaluationOptions evaluation_options(const Config& config, const EventSpec& spec) {
  return {config.model.task, spec.label.classes, static_cast<std::size_t>(config.evaluation.window_events),
          loss_options(config)};
}

std::optional<SliceSpec> slice_spec(const Config& config) {
  SliceSpec spec;
  switch (config.evaluation.slices_by) {
    case setting::SliceBy::kNone:
      return std::nullopt;
    case setting::SliceBy::kClass:
      spec.kind = SliceKind::kClass;
      break;
    case setting::SliceBy::kMonth:
      spec.kind = SliceKind::kMonth;
      break;
    case setting::SliceBy::kField:
      spec.kind = SliceKind::kFieldValue;
      break;
    case setting::SliceBy::kTime:
      spec.kind = SliceKind::kTimeWindow;
      spec.window_ms = config.evaluation.slices_window_ms;
      break;
  }
  spec.field = config.evaluation.slices_field;
  spec.values = config.evaluation.slices_values;
  return spec;
}

DecoderOptions decoder_options(const Config& config) {
  DecoderOptions options;
  options.record_bytes_max = static_cast<std::size_t>(config.stream.record_bytes_max);
  return options;
}

FileSourceOptions file_source_options(const Config& config, const std::string& path) {
  FileSourceOptions options;
  options.path = path;
  options.decoder = decoder_options(config);
  return options;
}

KafkaConnection kafka_connection(const Config& config) {
  KafkaConnection connection;
  connection.brokers = fmt::format("{}", fmt::join(config.stream.brokers, ","));
  connection.properties = config.stream.properties;
  for (const auto& [name, file] : config.stream.properties_files) connection.properties[name + "_file"] = file;
  return connection;
}

KafkaSourceOptions kafka_source_options(const Config& config) {
  KafkaSourceOptions options;
  options.connection = kafka_connection(config);
  options.topic = config.stream.topic;
  options.group = config.stream.group;
  options.start = config.stream.start == setting::Start::kLatest ? StartAt::kLatest : StartAt::kEarliest;
  options.on_lost_offsets = lost_offsets(config.stream.on_lost_offsets);
  options.erase_on_tombstone = config.stream.tombstones == setting::Tombstones::kErase ||
                               (config.stream.tombstones == setting::Tombstones::kAuto && config.stream.key.empty());
  options.decoder = decoder_options(config);
  options.pause_at_batches = config.stream.queue_batches;
  options.resume_at_batches = std::max<std::size_t>(1, config.stream.queue_batches / 4);
  return options;
}

KafkaDeadLetterOptions kafka_dead_letter_options(const Config& config) {
  KafkaDeadLetterOptions options;
  options.connection = kafka_connection(config);
  options.topic = config.stream.dead_letter_topic;
  return options;
}

KafkaNoticeOptions kafka_notice_options(const Config& config) {
  KafkaNoticeOptions options;
  options.connection = kafka_connection(config);
  options.topic = config.drift.topic;
  return options;
}

}  // namespace freshet
