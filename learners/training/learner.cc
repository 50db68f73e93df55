#include "learners/training/learner.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "learners/torch/torch_engine.h"
#include "learners/training/stored_values.h"
#include "learners/training/strategy.h"
#include "learners/training/training_engine.h"

namespace freshet {

namespace {

constexpr std::uint32_t kMagic = 0x524C5246;  // "FRLR"
constexpr std::uint32_t kFormat = 1;
constexpr std::uint32_t kFormatLinked = 2;  // followed by the link of the outputs, which is not the identity
// Parts after the strategy's, each a name and bytes.
constexpr std::string_view kSiftingPart = "sifting";
constexpr std::string_view kGuardPart = "guard";

Status check(const LearnerOptions& options) {
  if (options.batch_size == 0 || options.batch_size > 1U << 20) {
    return invalid_argument(
        fmt::format("learning.batch_size is {}; it must be between 1 and 2^20", options.batch_size));
  }
  if (!(options.clip_norm >= 0.0F)) return invalid_argument("the clipping norm must not be negative");
  if (!(options.ema_decay >= 0.0 && options.ema_decay < 1.0)) {
    return invalid_argument(fmt::format("learning.ema.decay is {}; it must be in [0, 1)", options.ema_decay));
  }
  if (options.restore_after == 0) return invalid_argument("learning.guard.restore_after must be 1 or more");
  if (options.average_rounds == 0 || options.average_rounds > 1024) {
    return invalid_argument(
        fmt::format("learning.average_rounds is {}; it must be between 1 and 1024", options.average_rounds));
  }
  return Status::ok();
}

// Weights of the layers, which every row goes through.
std::uint64_t layer_weights(const ModelOptions& model, const EncodedLayout& layout) {
  std::uint64_t inputs = layout.dense() + static_cast<std::uint64_t>(layout.categorical()) * model.embedding_dim;
  std::uint64_t weights = 0;
  if (model.architecture != Architecture::kLinear) {
    for (const auto width : model.hidden) weights += std::exchange(inputs, width) * width;
  }
  return weights + inputs * (model.task == Task::kMulticlass ? model.classes : 1);
}

Result<std::optional<Sifter>> make_sifter(const LearnerOptions& options, const EncodedLayout& layout) {
  if (options.sifting.kind == SiftingKind::kNone) return std::optional<Sifter>();
  const auto costs = sifting_costs(layer_weights(options.model, layout), layout.dense() + layout.categorical());
  return std::optional<Sifter>(TRY(Sifter::create(options.sifting, costs)));
}

// What follows from other options.
LearnerOptions completed(LearnerOptions options) {
  options.model.link = output_link(options.loss.kind);
  const bool hidden = options.model.architecture != Architecture::kLinear && !options.model.hidden.empty();
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
       std::unique_ptr<const Schedule> schedule, std::unique_ptr<Strategy> strategy, std::optional<Sifter> sifter)
      : options_(options),
        engine_(std::move(engine)),
        loss_(std::move(loss)),
        schedule_(std::move(schedule)),
        strategy_(std::move(strategy)),
        values_(strategy_->columns()),
        sifter_(std::move(sifter)) {
    replay_rows_ =
        static_cast<std::size_t>(std::lround(strategy_->replay_ratio() * static_cast<float>(options.batch_size)));
    replay_rows_ = std::min<std::size_t>(replay_rows_, options.batch_size - 1);
    fresh_rows_ = options.batch_size - replay_rows_;
  }

  std::size_t replay_rows_for(std::size_t fresh_rows) const {
    return (fresh_rows + fresh_rows_ - 1) / fresh_rows_ * replay_rows_;
  }

  Result<const KeptRows*> sift(const EncodedBatch& fresh, std::span<const float> replay_losses) {
    const std::size_t steps = whole_steps(fresh.size());
    const auto replay = replay_losses.first(std::min(replay_losses.size(), steps * replay_rows_));
    if (!sifter_ || !sifter_->begin_round(steps_, fresh.size() + replay.size())) return nullptr;
    return &sifter_->choose(std::span(fresh.losses).first(fresh.size()), replay, steps);
  }

  Result<RoundReport> train_round(const RoundInput& input) {
    if (input.fresh == nullptr) return invalid_argument("a round without fresh rows");
    TRY(failure_);
    TRY(engine_->mark_good());
    RoundReport report;
    Status trained = input.kept == nullptr ? train_steps(input, report) : train_kept(input, report);
    // Also after a step that failed: an earlier one may have spoilt the weights, which others go on with.
    const bool sane = TRY(engine_->sane());
    if (!sane) TRY(restore(report));
    TRY(std::move(trained));
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
      const auto outputs = TRY(engine_->model().forward({&range, 1}));
      loss_.evaluate(outputs, std::span<const float>(batch.labels).subspan(begin, range.size()),
                     std::span<const float>(batch.weights).subspan(begin, range.size()), 1.0F,
                     std::span<float>(losses).subspan(begin, range.size()), {});
    }
    return losses;
  }

  Status evaluate(const EncodedBatch& batch, Predictions& out) {
    return engine_->evaluate(batch, out);
  }

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
    // Parts by their names, where they are anything else than new.
    if (sifter_) {
      ByteWriter part;
      sifter_->save(part);
      out.put_text(kSiftingPart);
      out.put_text(part.buffer());
    }
    if (bad_steps_ > 0) {
      out.put_text(kGuardPart);
      out.put_text({reinterpret_cast<const char*>(&bad_steps_), sizeof bad_steps_});
    }
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
    TRY(load_parts(in));
    steps_ = steps;
    rounds_ = rounds;
    failure_ = Status::ok();
    return Status::ok();
  }

  bool sifts() const { return sifter_.has_value(); }
  SiftingTotals sifting_totals() const { return sifter_ ? sifter_->totals() : SiftingTotals{}; }
  bool sifting_rests() const { return sifter_ && sifter_->resting(); }
  std::span<const StoredColumn> stored_columns() const { return strategy_->columns(); }
  std::uint64_t steps() const { return steps_; }
  const LearnerOptions& options() const { return options_; }
  std::uint64_t parameter_count() const { return engine_->parameter_count(); }

 private:
  Status load_parts(ByteReader& in) {
    if (sifter_) sifter_->restart();
    bad_steps_ = 0;
    while (!in.at_end()) {
      const std::string name = in.get_text();
      const std::string bytes = in.get_text();
      if (!in.ok()) return data_loss("the state of the learner is cut short");
      ByteReader part(bytes);
      if (name == kGuardPart) {
        bad_steps_ = part.get<std::uint64_t>();
      } else if (name != kSiftingPart) {
        return failed_precondition(fmt::format("the state of the learner has a part \"{}\" that this program does not know", name));
      } else if (sifter_) {
        TRY(sifter_->load(part));
      }
      if (!part.ok()) return data_loss("the state of the learner is cut short");
    }
    return Status::ok();
  }

  std::size_t whole_steps(std::size_t fresh) const { return (fresh + fresh_rows_ - 1) / fresh_rows_; }

  // The steps of a round of which all rows are trained on, or those that stand in `input` alone were kept.
  Status train_steps(const RoundInput& input, RoundReport& report) {
    const std::size_t fresh = input.fresh->size();
    std::size_t steps = whole_steps(fresh);
    std::size_t replay = input.replay == nullptr ? 0 : input.replay->size();
    if (input.kept == nullptr) {
      replay = std::min(replay, steps * replay_rows_);
    } else {
      // What was kept fills whole batches, shared evenly among them; each has fresh rows.
      steps = std::min<std::size_t>(fresh, (fresh + replay + options_.batch_size - 1) / options_.batch_size);
    }
    const bool each_loss = input.replay_losses.size() >= replay;
    TRY(values_.begin_round(input));
    for (std::size_t s = 0; s < steps; ++s) {
      MiniBatch batch{{input.fresh, s * fresh_rows_, std::min((s + 1) * fresh_rows_, fresh)},
                      {input.replay, s * replay / steps, (s + 1) * replay / steps}};
      if (input.kept != nullptr) {
        batch.fresh.begin = s * fresh / steps;
        batch.fresh.end = (s + 1) * fresh / steps;
      }
      if (each_loss && batch.replay.size() > 0) batch.replay.losses = input.replay_losses.data() + batch.replay.begin;
      values_.show(batch);
      TRY(step(batch, report).with_context("training step"));
    }
    if (input.kept != nullptr) sifter_->end_round(steps);
    return Status::ok();
  }

  // The kept rows stand together, as a mini-batch wants them.
  Status train_kept(const RoundInput& input, RoundReport& report) {
    const EncodedBatch& fresh = *input.fresh;
    const KeptRows& kept = *input.kept;
    if (sifted_.capacity() < fresh.size()) {
      sifted_ = EncodedBatch(fresh.dense_width(), fresh.categorical_width(), fresh.capacity());
    }
    sifted_.resize(kept.fresh.size());
    for (std::size_t i = 0; i < kept.fresh.size(); ++i) sifted_.take_row(fresh, kept.fresh[i], i);
    for (std::size_t i = 0; i < kept.fresh_factors.size(); ++i) sifted_.weights[i] *= kept.fresh_factors[i];
    const auto columns = strategy_->columns();
    sifted_values_.resize(input.to_store.size());
    for (std::size_t c = 0; c < sifted_values_.size(); ++c) {
      sifted_values_[c].resize(kept.fresh.size() * columns[c].width);
    }
    sifted_views_.assign(sifted_values_.begin(), sifted_values_.end());
    RoundInput inner = input;
    inner.fresh = &sifted_;
    inner.to_store = sifted_views_;
    const SiftingTotals before = sifter_->totals();
    TRY(train_steps(inner, report));
    const SiftingTotals& after = sifter_->totals();
    report.samples_considered = after.considered - before.considered;
    report.samples_sifted_out = after.left_out - before.left_out;
    report.sifting_forwards = after.looked_at - before.looked_at;
    // Of what was left out nothing is stored.
    for (std::size_t c = 0; c < sifted_values_.size(); ++c) {
      const std::size_t width = columns[c].width;
      std::ranges::fill(input.to_store[c], kNeverStored);
      for (std::size_t i = 0; i < kept.fresh.size(); ++i) {
        std::copy_n(sifted_values_[c].data() + i * width, width, input.to_store[c].data() + kept.fresh[i] * width);
      }
    }
    return Status::ok();
  }

  Status restore(RoundReport& report) {
    ++report.restored;
    bad_steps_ = 0;
    return engine_->restore_good();
  }

  Status step(const MiniBatch& batch, RoundReport& report) {
    engine_->clear_gradients();
    const StepLoss loss = TRY(strategy_->compute_gradients(engine_->model(), loss_, batch));
    values_.check(batch);
    report.samples_unusable += loss.fresh.unusable + loss.replay.unusable;
    const double norm_squared = TRY(engine_->squared_gradient_norm());
    if (!std::isfinite(loss.fresh.weighted) || !std::isfinite(loss.replay.weighted) || !std::isfinite(norm_squared)) {
      ++report.skipped_non_finite;
      return ++bad_steps_ < options_.restore_after ? Status::ok() : restore(report);
    }
    bad_steps_ = 0;
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
  std::optional<Sifter> sifter_;
  EncodedBatch sifted_;  // rows that sifting kept of the round in training
  std::vector<std::vector<float>> sifted_values_;  // what is to be stored with them
  std::vector<std::span<float>> sifted_views_;
  std::uint64_t bad_steps_ = 0;  // skipped ones in a row
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
  if (on_gpu && options.engine == EngineKind::kNative) {
    return invalid_argument("the native engine runs on the CPU alone");
  }
  const bool through_torch = on_gpu || options.engine == EngineKind::kTorch;
  auto engine = TRY(through_torch ? make_torch_engine(options, layout, device) : make_native_engine(options, layout));
  auto loss = TRY(Loss::create(options.loss, options.model.task, engine->model().outputs()));
  auto schedule = TRY(Schedule::create(options.schedule));
  auto strategy = TRY(Strategy::create({options.strategy, options.replay_ratio, options.strategies}));
  TRY(strategy->prepare(engine->model()).with_context("learning.strategy"));
  auto sifter = TRY(make_sifter(options, layout));
  auto impl = std::make_unique<Impl>(options, std::move(engine), std::move(loss), std::move(schedule),
                                     std::move(strategy), std::move(sifter));
  return std::unique_ptr<Learner>(new Learner(std::move(impl)));
}

Learner::Learner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Learner::~Learner() = default;

Result<const KeptRows*> Learner::sift(const EncodedBatch& fresh, std::span<const float> replay_losses) {
  return impl_->sift(fresh, replay_losses);
}
bool Learner::sifts() const { return impl_->sifts(); }
SiftingTotals Learner::sifting_totals() const { return impl_->sifting_totals(); }
bool Learner::sifting_rests() const { return impl_->sifting_rests(); }
Result<RoundReport> Learner::train_round(const RoundInput& input) { return impl_->train_round(input); }
std::shared_ptr<const Predictor> Learner::publish(std::uint64_t version) { return impl_->publish(version, false); }
std::shared_ptr<const Predictor> Learner::republish(std::uint64_t version) { return impl_->publish(version, true); }
std::span<const StoredColumn> Learner::stored_columns() const { return impl_->stored_columns(); }
std::size_t Learner::replay_rows_for(std::size_t fresh_rows) const { return impl_->replay_rows_for(fresh_rows); }
Result<std::vector<float>> Learner::losses(const EncodedBatch& batch) { return impl_->losses(batch); }
Status Learner::evaluate(const EncodedBatch& batch, Predictions& out) { return impl_->evaluate(batch, out); }
Status Learner::save(ByteWriter& out) const { return impl_->save(out); }
Status Learner::load(ByteReader& in) { return impl_->load(in); }
std::uint64_t Learner::steps() const { return impl_->steps(); }
std::uint64_t Learner::parameter_count() const { return impl_->parameter_count(); }
const LearnerOptions& Learner::options() const { return impl_->options(); }

}  // namespace freshet
