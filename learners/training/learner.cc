#include "learners/training/learner.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>

#include "learners/modules/module_engine.h"
#include "learners/torch/torch_engine.h"
#include "learners/training/stored_values.h"
#include "learners/training/strategy.h"
#include "learners/training/training_engine.h"

namespace freshet {

namespace {

constexpr std::uint32_t kMagic = 0x524C5246;  // "FRLR"
constexpr std::uint32_t kFormat = 1;
constexpr std::uint32_t kFormatLinked = 2;  // followed by the link of the outputs, which is not the identity

Status check(const LearnerOptions& options) {
  if (options.batch_size == 0 || options.batch_size > 1U << 20) {
    return invalid_argument(
        fmt::format("learning.batch_size is {}; it must be between 1 and 2^20", options.batch_size));
  }
  if (!(options.clip_norm >= 0.0F)) return invalid_argument("the clipping norm must not be negative");
  if (!(options.ema_decay >= 0.0 && options.ema_decay < 1.0)) {
    return invalid_argument(fmt::format("learning.ema.decay is {}; it must be in [0, 1)", options.ema_decay));
  }
  if (options.average_rounds == 0 || options.average_rounds > 1024) {
    return invalid_argument(
        fmt::format("learning.average_rounds is {}; it must be between 1 and 1024", options.average_rounds));
  }
  return Status::ok();
}

// What follows from other options.
LearnerOptions completed(LearnerOptions options) {
  options.model.link = output_link(options.loss.kind);
  const bool hidden = options.model.architecture != Architecture::kLinear &&
                      options.model.architecture != Architecture::kTorchScript && !options.model.hidden.empty();
  if (options.schedule.dim == 0 && hidden) options.schedule.dim = options.model.hidden.front();
  return options;
}

}  // namespace

Result<PublishedWeights> parse_published_weights(std::string_view name) {
  if (name == "raw") return PublishedWeights::kRaw;
  if (name == "ema") return PublishedWeights::kEma;
  if (name == "average") return PublishedWeights::kAverage;
  return invalid_argument(fmt::format("no weights \"{}\"; there are raw, ema and average", name));
}

class Learner::Impl {
 public:
  Impl(const LearnerOptions& options, std::unique_ptr<TrainingEngine> engine, Loss loss,
       std::unique_ptr<const Schedule> schedule, std::unique_ptr<Strategy> strategy)
      : options_(options),
        engine_(std::move(engine)),
        loss_(std::move(loss)),
        schedule_(std::move(schedule)),
        strategy_(std::move(strategy)),
        values_(strategy_->columns()) {
    replay_rows_ =
        static_cast<std::size_t>(std::lround(strategy_->replay_ratio() * static_cast<float>(options.batch_size)));
    replay_rows_ = std::min<std::size_t>(replay_rows_, options.batch_size - 1);
    fresh_rows_ = options.batch_size - replay_rows_;
  }

  std::size_t replay_rows_for(std::size_t fresh_rows) const {
    return (fresh_rows + fresh_rows_ - 1) / fresh_rows_ * replay_rows_;
  }

  Result<RoundReport> train_round(const RoundInput& input) {
    if (input.fresh == nullptr) return invalid_argument("a round without fresh rows");
    TRY(failure_);
    const std::size_t fresh = input.fresh->size();
    const std::size_t steps = (fresh + fresh_rows_ - 1) / fresh_rows_;
    const std::size_t replay = input.replay == nullptr ? 0 : std::min(input.replay->size(), steps * replay_rows_);
    const bool each_loss = input.replay_losses.size() >= replay;
    TRY(values_.begin_round(input));
    RoundReport report;
    for (std::size_t s = 0; s < steps; ++s) {
      MiniBatch batch{{input.fresh, s * fresh_rows_, std::min((s + 1) * fresh_rows_, fresh)},
                      {input.replay, s * replay / steps, (s + 1) * replay / steps}};
      if (each_loss && batch.replay.size() > 0) batch.replay.losses = input.replay_losses.data() + batch.replay.begin;
      values_.show(batch);
      TRY(step(batch, report).with_context("training step"));
    }
    strategy_->end_round(engine_->model());
    TRY(engine_->end_round());
    if (report.samples_fresh > 0) report.mean_loss /= static_cast<double>(report.samples_fresh);
    if (report.samples_replayed > 0) report.mean_replay_loss /= static_cast<double>(report.samples_replayed);
    ++rounds_;
    return report;
  }

  std::shared_ptr<const Predictor> publish(std::uint64_t version, bool again) {
    auto published = engine_->publish(version, again);
    if (published.is_ok()) return *published;
    failure_ = published.status().with_context("publishing");
    return engine_->publish_last(version);
  }

  Result<std::vector<float>> losses(const EncodedBatch& batch) {
    std::vector<float> losses(batch.size());
    const auto rows = static_cast<std::size_t>(options_.batch_size);
    for (std::size_t begin = 0; begin < batch.size(); begin += rows) {
      const RowRange range{&batch, begin, std::min(begin + rows, batch.size())};
      const auto outputs = TRY(engine_->model().infer({&range, 1}));
      loss_.evaluate(outputs, std::span<const float>(batch.labels).subspan(begin, range.size()),
                     std::span<const float>(batch.weights).subspan(begin, range.size()), 1.0F,
                     std::span<float>(losses).subspan(begin, range.size()), {});
    }
    return losses;
  }

  Status evaluate(const EncodedBatch& batch, Predictions& out) { return engine_->evaluate(batch, out); }

  Status export_model(const std::string& path, std::string_view about) { return engine_->export_model(path, about); }

  Status save(ByteWriter& out) {
    out.put(kMagic);
    // Read by older versions too, where they know what is in it.
    const bool linked = options_.model.link != OutputLink::kIdentity;
    out.put(linked ? kFormatLinked : kFormat);
    if (linked) out.put(options_.model.link);
    out.put(options_.model.seed);
    out.put(options_.model.embedding_scale);
    out.put(steps_);
    out.put(rounds_);
    out.put_text(strategy_->name());
    TRY(engine_->save(out));
    strategy_->save(out);
    return Status::ok();
  }

  Status load(ByteReader& in) {
    if (in.get<std::uint32_t>() != kMagic) return data_loss("these bytes are not the state of a learner");
    const auto format = in.get<std::uint32_t>();
    if (format != kFormat && format != kFormatLinked) {
      return failed_precondition(
          fmt::format("the state has format {}, this program reads up to {}", format, kFormatLinked));
    }
    // The same weights would mean something else.
    const auto link = format == kFormatLinked ? in.get<OutputLink>() : OutputLink::kIdentity;
    if (link != options_.model.link) {
      return failed_precondition(link == OutputLink::kLog
                                     ? "the stored model was learnt with the loss poisson: its outputs are logarithms"
                                     : "the loss poisson takes outputs for logarithms; the stored model's are not");
    }
    const auto seed = in.get<std::uint64_t>();
    const auto scale = in.get<float>();
    const auto steps = in.get<std::uint64_t>();
    const auto rounds = in.get<std::uint64_t>();
    const auto strategy = in.get_text();
    if (!in.ok()) return data_loss("the state of the learner is cut short");
    if (strategy != strategy_->name()) {
      return failed_precondition(
          fmt::format("the state is that of the strategy {}, configured is {}", strategy, strategy_->name()));
    }
    // Rows that were never trained on are not stored: they come from the seed again.
    options_.model.seed = seed;
    options_.model.embedding_scale = scale;
    TRY(engine_->load(in, seed, scale));
    TRY(strategy_->load(in));
    if (!in.ok()) return data_loss("the state of the learner is cut short");
    steps_ = steps;
    rounds_ = rounds;
    failure_ = Status::ok();
    return Status::ok();
  }

  std::span<const StoredColumn> stored_columns() const { return strategy_->columns(); }
  std::uint64_t steps() const { return steps_; }
  const LearnerOptions& options() const { return options_; }
  std::uint64_t parameter_count() const { return engine_->parameter_count(); }

 private:
  Status step(const MiniBatch& batch, RoundReport& report) {
    engine_->clear_gradients();
    const StepLoss loss = TRY(strategy_->compute_gradients(engine_->model(), loss_, batch));
    values_.check(batch);
    report.samples_unusable += loss.fresh.unusable + loss.replay.unusable;
    const double norm_squared = TRY(engine_->squared_gradient_norm());
    if (!std::isfinite(loss.fresh.weighted) || !std::isfinite(loss.replay.weighted) || !std::isfinite(norm_squared)) {
      ++report.skipped_non_finite;
      return Status::ok();
    }
    if (const double norm = std::sqrt(norm_squared); options_.clip_norm > 0.0F && norm > options_.clip_norm) {
      TRY(engine_->scale_gradients(static_cast<float>(static_cast<double>(options_.clip_norm) / norm)));
      ++report.clipped;
    }
    const float rate = schedule_->rate(steps_);
    TRY(engine_->step(rate));
    strategy_->after_step(engine_->model());
    ++steps_;
    ++report.steps;
    report.samples_fresh += batch.fresh.size();
    report.samples_replayed += batch.replay.size();
    report.mean_loss += loss.fresh.weighted;
    report.mean_replay_loss += loss.replay.weighted;
    report.learning_rate = static_cast<double>(rate);
    return Status::ok();
  }

  LearnerOptions options_;
  std::unique_ptr<TrainingEngine> engine_;
  Loss loss_;
  std::unique_ptr<const Schedule> schedule_;
  std::unique_ptr<Strategy> strategy_;
  StoredValues values_;
  Status failure_ = Status::ok();  // why the last publication was none
  std::size_t fresh_rows_ = 0;     // of a full mini-batch
  std::size_t replay_rows_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t rounds_ = 0;
};

Result<std::unique_ptr<Learner>> Learner::create(const LearnerOptions& given, const EncodedLayout& layout,
                                                 const Device& device) {
  const LearnerOptions options = completed(given);
  TRY(check(options));
  const bool on_gpu = device.kind == Device::Kind::kCuda;
  const bool module = is_module(options.model.architecture);
  if (module && options.engine == EngineKind::kNative) {
    return invalid_argument(
        fmt::format("the native engine knows no {}", architecture_name(options.model.architecture)));
  }
  if (on_gpu && options.engine == EngineKind::kNative) {
    return invalid_argument("the native engine runs on the CPU alone");
  }
  const bool through_torch = on_gpu || options.engine == EngineKind::kTorch;
  auto engine = TRY(module          ? make_module_engine(options, layout, device)
                    : through_torch ? make_torch_engine(options, layout, device)
                                    : make_native_engine(options, layout));
  auto loss = TRY(Loss::create(options.loss, options.model.task, engine->model().outputs()));
  if (auto own = engine->model().own_loss(); own != nullptr) loss.replace(std::move(own));
  auto schedule = TRY(Schedule::create(options.schedule));
  auto strategy = TRY(Strategy::create({options.strategy, options.replay_ratio, options.strategies}));
  TRY(strategy->prepare(engine->model()).with_context("learning.strategy"));
  auto impl =
      std::make_unique<Impl>(options, std::move(engine), std::move(loss), std::move(schedule), std::move(strategy));
  return std::unique_ptr<Learner>(new Learner(std::move(impl)));
}

Learner::Learner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Learner::~Learner() = default;

Result<RoundReport> Learner::train_round(const RoundInput& input) { return impl_->train_round(input); }
std::shared_ptr<const Predictor> Learner::publish(std::uint64_t version) { return impl_->publish(version, false); }
std::shared_ptr<const Predictor> Learner::republish(std::uint64_t version) { return impl_->publish(version, true); }
std::span<const StoredColumn> Learner::stored_columns() const { return impl_->stored_columns(); }
std::size_t Learner::replay_rows_for(std::size_t fresh_rows) const { return impl_->replay_rows_for(fresh_rows); }
Result<std::vector<float>> Learner::losses(const EncodedBatch& batch) { return impl_->losses(batch); }
Status Learner::evaluate(const EncodedBatch& batch, Predictions& out) { return impl_->evaluate(batch, out); }
Status Learner::export_model(const std::string& path, std::string_view about) {
  return impl_->export_model(path, about);
}
Status Learner::save(ByteWriter& out) const { return impl_->save(out); }
Status Learner::load(ByteReader& in) { return impl_->load(in); }
std::uint64_t Learner::steps() const { return impl_->steps(); }
std::uint64_t Learner::parameter_count() const { return impl_->parameter_count(); }
const LearnerOptions& Learner::options() const { return impl_->options(); }

}  // namespace freshet
