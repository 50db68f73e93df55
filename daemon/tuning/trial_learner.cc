#include "daemon/tuning/trial_learner.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <unordered_set>

#include "core/rng.h"
#include "daemon/config/learning_config.h"
#include "daemon/room_options.h"
#include "daemon/tuning/adopted_settings.h"
#include "learners/device.h"
#include "learners/evaluation/losses.h"
#include "learners/evaluation/progressive_evaluation.h"
#include "learners/training/learner.h"
#include "learners/training/strategy.h"

namespace freshet {
namespace {

constexpr std::uint32_t kTrialFormat = 2;  // 1: without the progressive evaluation and gain
constexpr std::size_t kRoundRowsMin = 16;
constexpr std::array<std::string_view, 4> kLowerIsBetter = {"log_loss", "brier", "mae", "rmse"};

}  // namespace

class TrialLearner final : public tuning::TrialTrainer {
 public:
  TrialLearner(Config config, const TrialSnapshot& snapshot, const TrialObjective& objective,
               std::uint64_t max_resource, std::unique_ptr<Learner> learner)
      : config_(std::move(config)),
        snapshot_(snapshot),
        objective_(objective),
        max_resource_(max_resource),
        learner_(std::move(learner)),
        rng_(config_.model.seed),
        progressive_(progressive_options(config_, snapshot.spec)),
        best_(snapshot.slices.size(), -std::numeric_limits<double>::infinity()) {
    const auto round = static_cast<double>(config_.learning.round.every_events);
    round_rows_ = std::min(static_cast<std::size_t>(round), snapshot.training.size());
    // As long in the stream as a round is there.
    rows_since_change_ = std::max(static_cast<std::size_t>(round / snapshot.events_a_row), kRoundRowsMin);
    rows_since_change_ = std::min(rows_since_change_, round_rows_);
    fresh_ = EncodedBatch(snapshot.layout.dense(), snapshot.layout.categorical(), round_rows_);
    for (const StoredColumn& column : learner_->stored_columns()) {
      widths_.push_back(column.width);
      values_.emplace_back(snapshot.training.size() * column.width, kNeverStored);
      to_store_.emplace_back(round_rows_ * column.width);
    }
    stored_.resize(widths_.size());
  }

  Status train_to(std::uint64_t resource, const tuning::StopFlag& stop) override {
    const std::size_t first = snapshot_.knows_change() ? snapshot_.since_change : 0;
    const std::size_t rows = snapshot_.training.size() - first;
    const auto share = static_cast<double>(resource) / static_cast<double>(max_resource_);
    const std::size_t end = first + std::min(rows, static_cast<std::size_t>(static_cast<double>(rows) * share));
    TRY(go_through_before_change(stop));
    while (next_ < end) {
      if (stop) return cancelled("stopped");
      const std::size_t round = snapshot_.knows_change() ? rows_since_change_ : round_rows_;
      const std::size_t count = std::min(round, end - next_);
      if (snapshot_.knows_change()) TRY(predict_rows(count));
      TRY(train_round(count));
    }
    return Status::ok();
  }

  // All but the events since the change, where one is known.
  Status go_through_before_change(const tuning::StopFlag& stop) {
    if (!snapshot_.knows_change()) return Status::ok();
    while (next_ < snapshot_.since_change) {
      if (stop) return cancelled("stopped");
      TRY(train_round(std::min(round_rows_, snapshot_.since_change - next_)));
    }
    return Status::ok();
  }

  Result<double> evaluate() override {
    const auto model = learner_->publish(round_ + 1);
    std::optional<double> found;
    if (snapshot_.knows_change()) {
      if (objective_.is_loss) {
        if (gained_of_ > 0) found = -gained_ / gained_of_;
      } else {
        found = find_metric(progressive_.report().stream, objective_.metric);
      }
    } else {
      Predictions predictions;
      TRY(model->predict(snapshot_.judging, 0, snapshot_.judging.size(), predictions));
      ProgressiveEvaluation evaluation(progressive_options(config_, snapshot_.spec));
      std::vector<float> losses(snapshot_.judging.size());
      evaluation.add(predictions, snapshot_.judging.labels, snapshot_.judging.weights, model->version(), losses);
      found = find_metric(evaluation.report().stream, objective_.metric);
    }
    if (!found) return failed_precondition(fmt::format("the judging events give no {}", objective_.metric));
    const double score = objective_.is_loss || lower_is_better(objective_.metric) ? -*found : *found;
    return score - objective_.forgetting_penalty * TRY(forgetting(*model));
  }

  Status checkpoint(ByteWriter& out) override {
    out.put(kTrialFormat);
    out.put(static_cast<std::uint64_t>(next_));
    out.put(round_);
    for (const std::uint64_t word : rng_.state()) out.put(word);
    for (const double best : best_) out.put(best);
    ByteWriter progressive;
    progressive_.save(progressive);
    out.put_text(progressive.buffer());
    out.put(gained_);
    out.put(gained_of_);
    for (std::size_t c = 0; c < values_.size(); ++c) {
      for (std::size_t i = 0; i < next_ * widths_[c]; ++i) out.put(values_[c][i]);
    }
    return learner_->save(out);
  }

  Status save_learner(ByteWriter& out) const { return learner_->save(out); }

  Status load(std::string_view bytes) {
    ByteReader in(bytes);
    if (in.get<std::uint32_t>() != kTrialFormat) return data_loss("a trial's checkpoint has another format");
    next_ = static_cast<std::size_t>(in.get<std::uint64_t>());
    if (next_ > snapshot_.training.size()) return data_loss("a trial's checkpoint is of a larger snapshot");
    round_ = in.get<std::uint64_t>();
    Rng::State words{};
    for (auto& word : words) word = in.get<std::uint64_t>();
    rng_.set_state(words);
    for (double& best : best_) best = in.get<double>();
    const std::string evaluation = in.get_text();
    ByteReader progressive(evaluation);
    TRY(progressive_.load(progressive));
    gained_ = in.get<double>();
    gained_of_ = in.get<double>();
    for (std::size_t c = 0; c < values_.size(); ++c) {
      for (std::size_t i = 0; i < next_ * widths_[c]; ++i) values_[c][i] = in.get<float>();
    }
    return learner_->load(in);
  }

  Learner& learner() { return *learner_; }
  std::vector<std::vector<float>> stored_before_change() const {
    std::vector<std::vector<float>> columns;
    for (std::size_t c = 0; c < values_.size(); ++c) {
      columns.emplace_back(values_[c].begin(),
                           values_[c].begin() + static_cast<std::ptrdiff_t>(snapshot_.since_change * widths_[c]));
    }
    return columns;
  }
  // Its learner is what has gone through the rows before the change, which stored these columns with them.
  void begin_at_change(const std::vector<std::vector<float>>& columns) {
    next_ = snapshot_.since_change;
    for (std::size_t c = 0; c < values_.size() && c < columns.size(); ++c) {
      std::copy_n(columns[c].begin(), std::min(columns[c].size(), next_ * widths_[c]), values_[c].begin());
    }
  }

 private:
  static EvaluationOptions progressive_options(const Config& config, const EventSpec& spec) {
    EvaluationOptions options = evaluation_options(config, spec);
    options.window_events = 1;
    return options;
  }

  // The next rows, as a daemon that trains in these rounds predicts them.
  Status predict_rows(std::size_t rows) {
    const auto model = learner_->publish(round_ + 1);
    TRY(model->predict(snapshot_.training, next_, next_ + rows, predictions_));
    losses_of_fresh_.resize(rows);
    const auto columns = [&](const std::vector<float>& all) {
      return std::span<const float>(all).subspan(next_, rows);
    };
    progressive_.add(predictions_, columns(snapshot_.training.labels), columns(snapshot_.training.weights),
                     model->version(), losses_of_fresh_);
    for (std::size_t i = 0; i < rows; ++i) {
      const auto weight = static_cast<double>(snapshot_.training.weights[next_ + i]);
      const double gain = static_cast<double>(snapshot_.training.losses[next_ + i]) - losses_of_fresh_[i];
      if (!std::isfinite(gain) || !(weight > 0)) continue;
      gained_ += weight * gain;
      gained_of_ += weight;
    }
    return Status::ok();
  }

  Status train_round(std::size_t rows) {
    fresh_.resize(rows);
    for (std::size_t i = 0; i < rows; ++i) fresh_.take_row(snapshot_.training, next_ + i, i);
    draw_replay(learner_->replay_rows_for(rows, next_));
    ++round_;
    RoundInput input{&fresh_, &replay_, round_, losses_, stored_views_, to_store_views_};
    TRY(learner_->train_round(input));
    for (std::size_t c = 0; c < values_.size(); ++c) {
      std::copy_n(to_store_[c].begin(), rows * widths_[c],
                  values_[c].begin() + static_cast<std::ptrdiff_t>(next_ * widths_[c]));
    }
    next_ += rows;
    return Status::ok();
  }

  // Without replacement, of the events before this round: what a memory of the snapshot's events would hold by now.
  void draw_replay(std::size_t wanted) {
    const std::size_t count = std::min(wanted, next_);
    if (replay_.capacity() < count) {
      replay_ = EncodedBatch(snapshot_.layout.dense(), snapshot_.layout.categorical(), count);
    }
    replay_.resize(count);
    losses_.assign(count, 0.0F);
    for (std::size_t c = 0; c < values_.size(); ++c) stored_[c].resize(count * widths_[c]);
    // Floyd's sampling (Bentley and Floyd, 1987): as many draws as rows.
    drawn_.clear();
    for (std::size_t i = next_ - count; i < next_; ++i) {
      const std::size_t at = rng_.below(i + 1);
      drawn_.push_back(taken_.insert(at).second ? at : *taken_.insert(i).first);
    }
    taken_.clear();
    for (std::size_t i = 0; i < count; ++i) {
      replay_.take_row(snapshot_.training, drawn_[i], i);
      for (std::size_t c = 0; c < values_.size(); ++c) {
        std::copy_n(values_[c].begin() + static_cast<std::ptrdiff_t>(drawn_[i] * widths_[c]), widths_[c],
                    stored_[c].begin() + static_cast<std::ptrdiff_t>(i * widths_[c]));
      }
    }
    stored_views_.assign(stored_.begin(), stored_.end());
    to_store_views_.assign(to_store_.begin(), to_store_.end());
  }

  Result<double> forgetting(const Predictor& model) {
    double sum = 0.0;
    Predictions predictions;
    for (std::size_t s = 0; s < best_.size(); ++s) {
      const EncodedBatch& rows = snapshot_.slices[s];
      TRY(model.predict(rows, 0, rows.size(), predictions));
      const double score = score_predictions(config_.model.task, predictions, rows.labels);
      best_[s] = std::max(best_[s], score);
      sum += best_[s] - score;
    }
    return best_.empty() ? 0.0 : sum / static_cast<double>(best_.size());
  }

  const Config config_;
  const TrialSnapshot& snapshot_;
  const TrialObjective objective_;
  const std::uint64_t max_resource_;
  std::unique_ptr<Learner> learner_;
  Rng rng_;
  std::size_t next_ = 0;  // rows of the snapshot trained on
  std::uint64_t round_ = 0;
  std::size_t round_rows_ = 0;
  std::size_t rows_since_change_ = 0;  // of a round then
  ProgressiveEvaluation progressive_;  // of the rows since the change
  double gained_ = 0;                  // loss under the versions that were served minus that of the trial, weighted
  double gained_of_ = 0;               // weights
  Predictions predictions_;
  std::vector<float> losses_of_fresh_;
  std::vector<double> best_;  // score of each slice
  EncodedBatch fresh_, replay_;
  std::vector<float> losses_;
  std::vector<std::size_t> drawn_;
  std::unordered_set<std::size_t> taken_;
  std::vector<std::uint32_t> widths_;       // of the strategy's columns
  std::vector<std::vector<float>> values_;  // of each snapshot row
  std::vector<std::vector<float>> stored_, to_store_;
  std::vector<std::span<float>> stored_views_, to_store_views_;
};

bool lower_is_better(std::string_view metric) {
  return std::ranges::find(kLowerIsBetter, metric) != kLowerIsBetter.end();
}

TrialLearners::TrialLearners(const Config& config, const TrialSnapshot& snapshot, const TrialObjective& objective,
                             std::uint64_t max_resource, std::vector<std::string> searched)
    : config_text_(learning_config_text(config)),
      snapshot_(snapshot),
      objective_(objective),
      max_resource_(max_resource),
      searched_(std::move(searched)) {}
TrialLearners::~TrialLearners() = default;

Result<Config> TrialLearners::configured(std::span<const tuning::Setting> settings) const {
  return with_settings(config_text_, whole_settings(settings, searched_));
}

Result<std::unique_ptr<tuning::TrialTrainer>> TrialLearners::create(std::uint64_t /*trial*/,
                                                                    std::span<const tuning::Setting> settings) {
  return std::unique_ptr<tuning::TrialTrainer>(TRY(make(settings)));
}

Result<std::unique_ptr<tuning::TrialTrainer>> TrialLearners::resume(std::uint64_t /*trial*/,
                                                                    std::span<const tuning::Setting> settings,
                                                                    std::string_view checkpoint) {
  auto trial = TRY(make(settings));
  TRY(trial->load(checkpoint));
  return std::unique_ptr<tuning::TrialTrainer>(std::move(trial));
}

Result<std::string> TrialLearners::learner_after_all(std::span<const tuning::Setting> settings,
                                                     std::string_view checkpoint, const tuning::StopFlag& stop) {
  const auto trial = TRY(make(settings));
  if (!checkpoint.empty()) TRY(trial->load(checkpoint));
  TRY(trial->train_to(max_resource_, stop));
  ByteWriter out;
  TRY(trial->save_learner(out));
  return out.take();
}

Result<std::unique_ptr<TrialLearner>> TrialLearners::make_new(Config config) const {
  const LearnerOptions options = TRY(learner_options(config, snapshot_.spec));
  auto learner = TRY(Learner::create(options, snapshot_.layout, Device{}));
  return std::make_unique<TrialLearner>(std::move(config), snapshot_, objective_, max_resource_, std::move(learner));
}

Result<std::unique_ptr<TrialLearner>> TrialLearners::make(std::span<const tuning::Setting> settings) const {
  const Config config = TRY(configured(settings));
  auto trial = TRY(make_new(config));
  if (!beginning_) return trial;
  // The state of another optimizer, or of averages that are not kept, does not fit: then the weights alone go on.
  ByteReader in(beginning_->learner);
  if (!trial->learner().load(in).is_ok()) {
    trial = TRY(make_new(config));
    TRY(trial->learner().take_weights(beginning_->weights));
  }
  trial->begin_at_change(beginning_->stored);
  return trial;
}

Status TrialLearners::prepare(const tuning::StopFlag& stop) {
  if (!snapshot_.knows_change() || snapshot_.since_change == 0) return Status::ok();
  Config in_force = TRY(with_settings(config_text_, {}));
  const auto before = TRY(make_new(std::move(in_force)));
  Beginning beginning;
  const Status given = before->learner().copy_weights(beginning.weights);
  if (given.code() == Code::kUnsupported) return Status::ok();
  TRY(before->go_through_before_change(stop));
  TRY(before->learner().copy_weights(beginning.weights));
  ByteWriter state;
  TRY(before->save_learner(state));
  beginning.learner = state.take();
  beginning.stored = before->stored_before_change();
  beginning_ = std::move(beginning);
  return Status::ok();
}

}  // namespace freshet
