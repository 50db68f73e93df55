#include "learners/training/learner.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>

#include "learners/modules/module_engine.h"
#include "learners/torch/torch_engine.h"
#include "learners/training/round_sifting.h"
#include "learners/training/row_feed.h"
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
constexpr std::string_view kPlanPart = "plan";

}  // namespace

class Learner::Impl {
 public:
  Impl(const LearnerOptions& options, std::unique_ptr<TrainingEngine> engine, Loss loss,
       std::unique_ptr<const Schedule> schedule, std::unique_ptr<Strategy> strategy,
       std::unique_ptr<RoundSifting> sifting)
      : options_(options),
        engine_(std::move(engine)),
        loss_(std::move(loss)),
        schedule_(std::move(schedule)),
        strategy_(std::move(strategy)),
        values_(strategy_->columns()),
        sifting_(std::move(sifting)) {
    plan_rng_ = Rng(options.model.seed ^ kPlanSeedMix);
    replay_rows_ =
        static_cast<std::size_t>(std::lround(strategy_->replay_ratio() * static_cast<float>(options.batch_size)));
    replay_rows_ = std::min<std::size_t>(replay_rows_, options.batch_size - 1);
    fresh_rows_ = options.batch_size - replay_rows_;
  }

  std::size_t replay_rows_for(std::size_t fresh_rows, std::size_t memory_rows) const {
    std::size_t rows = 0;
    for (const RoundPhase& phase : strategy_->plan(rounds_)) {
      const bool streams = phase.rows == RoundPhase::Rows::kStream;
      if (streams) rows = std::max(rows, stream_steps(fresh_rows) * replay_rows_ * strategy_->candidates());
      if (phase.uses_memory()) rows = std::max(rows, memory_rows);
    }
    return rows;
  }
  bool reads_memory_in_pieces() const {
    const auto phases = strategy_->plan(rounds_);
    return std::ranges::any_of(phases, [](const RoundPhase& phase) { return phase.uses_memory(); });
  }

  Result<const KeptRows*> sift(const EncodedBatch& fresh, std::span<const float> replay_losses) {
    if (!sifting_) return nullptr;
    const std::size_t steps = stream_steps(fresh.size());
    const auto replay = replay_losses.first(std::min(replay_losses.size(), steps * replay_rows_));
    return sifting_->sift(fresh, replay, steps, steps_, loss_);
  }

  Result<RoundReport> train_round(const RoundInput& input) {
    if (input.fresh == nullptr) return invalid_argument("a round without fresh rows");
    TRY(failure_);
    TRY(engine_->mark_good());
    rate_factor_ = input.rate_factor;
    RoundReport report;
    const std::uint64_t first_step = steps_;
    Status trained = train_phases(input, report);
    // Also after a step that failed: an earlier one may have spoilt the weights, which others go on with.
    const bool sane = TRY(engine_->sane());
    if (!sane) TRY(restore(report));
    TRY(std::move(trained));
    if (sifting_) TRY(sifting_->end_round(first_step, steps_));
    TRY(strategy_->end_round(engine_->model(), loss_, {rounds_, {input.fresh, 0, input.fresh->size()}}));
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

  Status save_published(const Predictor& version, ByteWriter& out) const {
    return engine_->save_published(version, out);
  }
  Result<std::shared_ptr<const Predictor>> load_published(ByteReader& in) { return engine_->load_published(in); }

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

  Status export_model(const std::string& path, std::string_view about, const Predictor& version) {
    return engine_->export_model(path, about, version);
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
    TRY(strategy_->save(out));
    // Parts by their names, where they are anything else than new.
    const auto put_part = [&](std::string_view name, const ByteWriter& part) {
      out.put_text(name);
      out.put_text(part.buffer());
    };
    if (plans()) {
      ByteWriter part;
      part.put(schedule_origin_);
      for (const auto word : plan_rng_.state()) part.put(word);
      put_part(kPlanPart, part);
    }
    if (sifting_) {
      ByteWriter part;
      TRY(sifting_->save(part));
      put_part(kSiftingPart, part);
    }
    if (bad_steps_ > 0) {
      ByteWriter part;
      part.put(bad_steps_);
      put_part(kGuardPart, part);
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
          fmt::format("the stored model was learnt with the strategy {}, configured is {}; give back the old "
                      "learning.strategy, or begin anew with another memory.path",
                      strategy, strategy_->name()));
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

  Status copy_weights(std::vector<float>& to) { return engine_->copy_weights(to); }
  Status take_weights(std::span<const float> weights) { return engine_->take_weights(weights); }

  bool sifts() const { return sifting_ != nullptr; }
  SiftingTotals sifting_totals() const { return sifting_ ? sifting_->totals() : SiftingTotals{}; }
  bool sifting_rests() const { return sifting_ && sifting_->resting(); }
  std::span<const StoredColumn> stored_columns() const { return strategy_->columns(); }
  std::uint64_t steps() const { return steps_; }
  const LearnerOptions& options() const { return options_; }
  std::uint64_t parameter_count() const { return engine_->parameter_count(); }

 private:
  static constexpr std::uint64_t kPlanSeedMix = 0x726F756E64706C61;

  std::size_t stream_steps(std::size_t fresh_rows) const { return (fresh_rows + fresh_rows_ - 1) / fresh_rows_; }

  // Whether rounds are other than one pass through the stream, which needs no state.
  bool plans() const {
    const auto phases = strategy_->plan(0);
    return phases.size() != 1 || phases.front().rows != RoundPhase::Rows::kStream;
  }

  Status load_parts(ByteReader& in) {
    if (sifting_) TRY(sifting_->restart());
    bad_steps_ = 0;
    bool planned = false;
    while (!in.at_end()) {
      const std::string name = in.get_text();
      const std::string bytes = in.get_text();
      if (!in.ok()) return data_loss("the state of the learner is cut short");
      ByteReader part(bytes);
      if (name == kPlanPart) {
        planned = true;
        load_plan(part);
      } else if (name == kGuardPart) {
        bad_steps_ = part.get<std::uint64_t>();
      } else if (name != kSiftingPart) {
        return failed_precondition(
            fmt::format("the state of the learner has a part \"{}\" that this program does not know", name));
      } else if (sifting_) {
        TRY(sifting_->load(part));
      }
      if (!part.ok()) return data_loss("the state of the learner is cut short");
    }
    return plans() && !planned ? data_loss("the state of the learner has no plan of its rounds") : Status::ok();
  }

  void load_plan(ByteReader& in) {
    schedule_origin_ = in.get<std::uint64_t>();
    Rng::State state;
    for (auto& word : state) word = in.get<std::uint64_t>();
    plan_rng_.set_state(state);
  }

  Status train_phases(const RoundInput& input, RoundReport& report) {
    const auto phases = strategy_->plan(rounds_);
    if (input.kept == nullptr) TRY(values_.begin_round(input));
    for (std::size_t p = 0; p < phases.size(); ++p) {
      if (phases[p].anew) TRY(engine_->begin_anew());
      if (phases[p].fresh_optimizer) {
        TRY(engine_->reset_optimizer());
        schedule_origin_ = steps_;
      }
      TRY(strategy_->begin_phase(rounds_, p));
      if (phases[p].rows != RoundPhase::Rows::kStream) {
        TRY(pass_over(input, phases[p], report));
      } else if (input.kept == nullptr) {
        TRY(stream(input, report));
      } else {
        TRY(stream_kept(input, report));
      }
    }
    return Status::ok();
  }

  Status stream(const RoundInput& input, RoundReport& report) {
    const std::size_t fresh = input.fresh->size();
    const std::size_t steps = stream_steps(fresh);
    const std::size_t wanted = steps * replay_rows_ * strategy_->candidates();
    const std::size_t replay = input.replay == nullptr ? 0 : std::min(input.replay->size(), wanted);
    const bool each_loss = input.replay_losses.size() >= replay;
    for (std::size_t s = 0; s < steps; ++s) {
      MiniBatch batch{{input.fresh, s * fresh_rows_, std::min((s + 1) * fresh_rows_, fresh)},
                      {input.replay, s * replay / steps, (s + 1) * replay / steps},
                      replay_rows_};
      if (each_loss && batch.replay.size() > 0) batch.replay.losses = input.replay_losses.data() + batch.replay.begin;
      values_.show(batch);
      TRY(step(batch, report).with_context("training step"));
    }
    return Status::ok();
  }

  // What was kept fills whole batches: all have as many rows, to one, and their share of the fresh ones.
  Status stream_kept(const RoundInput& input, RoundReport& report) {
    const RoundInput rows = sifting_->gather(input);
    TRY(values_.begin_round(rows));
    const std::size_t fresh = rows.fresh->size();
    const std::size_t replay = rows.replay == nullptr ? 0 : rows.replay->size();
    const std::size_t all = fresh + replay;
    const std::size_t steps = (all + options_.batch_size - 1) / options_.batch_size;
    const bool each_loss = rows.replay_losses.size() >= replay;
    const auto rows_before = [&](std::size_t step) { return step * all / steps; };
    const auto fresh_before = [&](std::size_t step) { return rows_before(step) * fresh / all; };
    const auto replay_before = [&](std::size_t step) { return rows_before(step) - fresh_before(step); };
    for (std::size_t s = 0; s < steps; ++s) {
      MiniBatch batch{{rows.fresh, fresh_before(s), fresh_before(s + 1)},
                      {rows.replay, replay_before(s), replay_before(s + 1)}};
      batch.replay_rows_max = batch.replay.size();
      if (each_loss && batch.replay.size() > 0) batch.replay.losses = rows.replay_losses.data() + batch.replay.begin;
      values_.show(batch);
      TRY(step(batch, report).with_context("training step"));
    }
    sifting_->finish(input, steps, report);
    return Status::ok();
  }

  Status pass_over(const RoundInput& input, const RoundPhase& phase, RoundReport& report) {
    feed_.begin(input, phase, options_.batch_size, plan_rng_);
    MiniBatch batch;
    while (TRY(feed_.next(batch, plan_rng_))) {
      batch.replay_rows_max = batch.replay.size();
      TRY(step(batch, report).with_context("training step"));
    }
    return Status::ok();
  }

  Status restore(RoundReport& report) {
    ++report.restored;
    bad_steps_ = 0;
    TRY(engine_->restore_good());
    return strategy_->went_back();
  }

  Status step(MiniBatch& batch, RoundReport& report) {
    engine_->clear_gradients();
    const float rate = schedule_->rate(steps_ - schedule_origin_) * rate_factor_;
    batch.learning_rate = rate;
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
    TRY(engine_->step(rate));
    TRY(strategy_->after_step(engine_->model()));
    ++steps_;
    ++report.steps;
    report.samples_fresh += batch.fresh.size();
    report.samples_replayed += loss.replay.usable + loss.replay.unusable;
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
  std::unique_ptr<RoundSifting> sifting_;  // null: no sifting
  std::uint64_t bad_steps_ = 0;            // skipped ones in a row
  float rate_factor_ = 1.0F;               // of the round's learning rates
  Status failure_ = Status::ok();          // why the last publication was none
  std::size_t fresh_rows_ = 0;             // of a full mini-batch
  std::size_t replay_rows_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t rounds_ = 0;
  // Of rounds that pass over whole sets of rows; part of the state where a strategy plans such.
  std::uint64_t schedule_origin_ = 0;  // the step that the schedule counts from
  Rng plan_rng_{0};
  RowFeed feed_;
};

Result<std::unique_ptr<Learner>> Learner::create(const LearnerOptions& given, const EncodedLayout& layout,
                                                 const Device& device) {
  const LearnerOptions options = TRY(checked_options(given, device));
  const bool module = is_module(options.model.architecture);
  const bool through_torch = device.kind == Device::Kind::kCuda || options.engine == EngineKind::kTorch;
  auto engine = TRY(module          ? make_module_engine(options, layout, device)
                    : through_torch ? make_torch_engine(options, layout, device)
                                    : make_native_engine(options, layout));
  auto loss = TRY(Loss::create(options.loss, options.model.task, engine->model().outputs()));
  if (auto own = engine->model().own_loss(); own != nullptr) loss.replace(std::move(own));
  auto schedule = TRY(Schedule::create(options.schedule));
  auto strategy =
      TRY(Strategy::create({options.strategy, options.replay_ratio, options.strategies, options.model.seed}));
  TRY(strategy->prepare(engine->model()).with_context("learning.strategy"));
  TRY(strategy->attach(*engine).with_context("learning.strategy"));
  std::unique_ptr<RoundSifting> sifting;
  if (options.sifting.kind != SiftingKind::kNone) {
    const auto phases = strategy->plan(0);
    if (strategy->candidates() > 1 || phases.size() != 1 || phases.front().rows != RoundPhase::Rows::kStream) {
      return invalid_argument(fmt::format("learning.sifting: the strategy {} chooses its own rows", options.strategy));
    }
    sifting = TRY(RoundSifting::create(options, layout, *engine, strategy->columns()));
  }
  auto impl = std::make_unique<Impl>(options, std::move(engine), std::move(loss), std::move(schedule),
                                     std::move(strategy), std::move(sifting));
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
Status Learner::save_published(const Predictor& version, ByteWriter& out) const {
  return impl_->save_published(version, out);
}
Result<std::shared_ptr<const Predictor>> Learner::load_published(ByteReader& in) { return impl_->load_published(in); }
std::span<const StoredColumn> Learner::stored_columns() const { return impl_->stored_columns(); }
std::size_t Learner::replay_rows_for(std::size_t fresh_rows, std::size_t memory_rows) const {
  return impl_->replay_rows_for(fresh_rows, memory_rows);
}
bool Learner::reads_memory_in_pieces() const { return impl_->reads_memory_in_pieces(); }
Result<std::vector<float>> Learner::losses(const EncodedBatch& batch) { return impl_->losses(batch); }
Status Learner::evaluate(const EncodedBatch& batch, Predictions& out) { return impl_->evaluate(batch, out); }
Status Learner::export_model(const std::string& path, std::string_view about, const Predictor& version) {
  return impl_->export_model(path, about, version);
}
Status Learner::save(ByteWriter& out) const { return impl_->save(out); }
Status Learner::load(ByteReader& in) { return impl_->load(in); }
Status Learner::copy_weights(std::vector<float>& to) const { return impl_->copy_weights(to); }
Status Learner::take_weights(std::span<const float> weights) { return impl_->take_weights(weights); }
std::uint64_t Learner::steps() const { return impl_->steps(); }
std::uint64_t Learner::parameter_count() const { return impl_->parameter_count(); }
const LearnerOptions& Learner::options() const { return impl_->options(); }

}  // namespace freshet
