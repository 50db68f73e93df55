#include <array>

#include "learners/training/strategies/part_losses.h"
#include "learners/training/strategies/strategies.h"

namespace freshet::strategies {

namespace {

// ER-ACE: experience replay with an asymmetric cross-entropy (Caccia, Aljundi, Asadi, Tuytelaars, Pineau and
// Belilovsky, "New Insights on Reducing Abrupt Representation Change in Online Continual Learning", 2022). A fresh
// event's softmax runs over the classes of its mini-batch's fresh events alone, and over classes that no event had
// before, as in the paper's code: fresh events do not push down the classes that only the memory still knows. A
// replayed event's softmax runs over all classes.
//
//   mean loss of the fresh rows, so restricted + mean loss of the replayed rows
//
// A binary task has the classes no and yes: a mini-batch whose fresh events are all of one class, after both were seen,
// learns from the replayed ones alone. Label smoothing spreads over the classes that take part. The losses that are
// reported of fresh rows are the restricted ones.
class AsymmetricReplay final : public Strategy {
 public:
  explicit AsymmetricReplay(float replay_ratio) : replay_ratio_(replay_ratio) {}
  std::string_view name() const override { return "er_ace"; }
  float replay_ratio() const override { return replay_ratio_; }

  Status prepare(const Model& model) override {
    if (model.task() == Task::kRegression) {
      return invalid_argument("er_ace tells classes apart; for a regression take er, der_pp or another strategy");
    }
    const std::size_t classes = model.task() == Task::kBinary ? 2 : model.outputs();
    seen_.assign(classes, 0);
    present_.assign(classes, 0);
    return Status::ok();
  }

  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    const std::array<RowRange, 2> parts = {batch.fresh, batch.replay};
    const std::size_t replayed = batch.replay.size();
    const auto outputs = TRY(model.forward(std::span(parts).first(replayed > 0 ? 2 : 1)));
    const std::size_t fresh = batch.fresh.size() * model.outputs();
    const auto gradients = room(gradients_, outputs.size());
    StepLoss sums;
    sums.fresh = fresh_loss(model.task(), loss, batch.fresh, outputs.first(fresh), gradients.first(fresh));
    sums.replay = part_loss(loss, batch.replay, outputs.subspan(fresh), share_of(replayed), gradients.subspan(fresh));
    TRY(model.backward(gradients));
    return sums;
  }

  Status save(ByteWriter& out) const override {
    out.put<std::uint64_t>(seen_.size());
    for (const std::uint8_t seen : seen_) out.put(seen);
    return Status::ok();
  }
  Status load(ByteReader& in) override {
    if (in.get<std::uint64_t>() != seen_.size()) return data_loss("the stored state of er_ace has other classes");
    for (std::uint8_t& seen : seen_) seen = in.get<std::uint8_t>();
    return Status::ok();
  }

 private:
  // Classes of the fresh rows; whether they, with those that were never seen, are all.
  bool note_present(Task task, const Loss& loss, const RowRange& fresh) {
    std::ranges::fill(present_, std::uint8_t{0});
    const auto note = [&](std::size_t label) { present_[label] = 1; };
    for (std::size_t i = fresh.begin; i < fresh.end; ++i) {
      const float label = fresh.batch->labels[i];
      if (!loss.usable(label, fresh.batch->weights[i])) continue;
      if (task == Task::kMulticlass) {
        note(static_cast<std::size_t>(label));
        continue;
      }
      if (label > 0.0F) note(1);  // a label between the two is some of both
      if (label < 1.0F) note(0);
    }
    bool all = true;
    for (std::size_t k = 0; k < seen_.size(); ++k) {
      const std::uint8_t before = seen_[k];
      seen_[k] |= present_[k];
      if (before == 0) present_[k] = 1;
      all = all && present_[k] != 0;
    }
    return all;
  }

  LossSum fresh_loss(Task task, const Loss& loss, const RowRange& fresh, std::span<const float> outputs,
                     std::span<float> gradients) {
    if (note_present(task, loss, fresh)) return part_loss(loss, fresh, outputs, share_of(fresh.size()), gradients);
    LossSum sum;
    const std::size_t width = loss.outputs();
    const float scale = share_of(fresh.size());
    std::ranges::fill(gradients, 0.0F);
    for (std::size_t row = 0; row < fresh.size(); ++row) {
      const float label = fresh.batch->labels[fresh.begin + row];
      const float weight = fresh.batch->weights[fresh.begin + row];
      const bool usable = loss.usable(label, weight);
      ++(usable ? sum.usable : sum.unusable);
      float value = 0.0F;
      // With one class of two left there is nothing to tell apart.
      if (usable && task == Task::kMulticlass) {
        const float counts = weight * loss.class_weight(label);
        value = restricted_row(loss, outputs.data() + row * width, static_cast<std::size_t>(label), scale * counts,
                               gradients.data() + row * width);
        sum.weighted += static_cast<double>(counts) * value;
      }
      if (fresh.losses != nullptr) fresh.losses[row] = value;
    }
    return sum;
  }

  // Cross-entropy over the classes that take part; the others' gradients stay 0.
  float restricted_row(const Loss& loss, const float* logits, std::size_t label, float scale, float* gradients) const {
    float highest = logits[label];
    float classes = 0.0F;
    for (std::size_t k = 0; k < present_.size(); ++k) {
      if (present_[k] == 0) continue;
      highest = std::max(highest, logits[k]);
      classes += 1.0F;
    }
    float sum = 0.0F;
    for (std::size_t k = 0; k < present_.size(); ++k) {
      if (present_[k] == 0) continue;
      gradients[k] = std::exp(logits[k] - highest);
      sum += gradients[k];
    }
    const float log_sum = highest + std::log(sum);
    const float spread = loss.options().label_smoothing / classes;
    const float own = 1.0F - loss.options().label_smoothing + spread;
    float value = own * (log_sum - logits[label]);
    for (std::size_t k = 0; k < present_.size(); ++k) {
      if (present_[k] == 0) continue;
      if (spread > 0.0F && k != label) value += spread * (log_sum - logits[k]);
      gradients[k] = scale * (gradients[k] / sum - (k == label ? own : spread));
    }
    return value;
  }

  float replay_ratio_;
  std::vector<std::uint8_t> seen_;     // by class: an event of it was fresh once
  std::vector<std::uint8_t> present_;  // by class: it takes part in the fresh rows' softmax
  std::vector<float> gradients_;       // [rows, outputs]
};

}  // namespace

Result<std::unique_ptr<Strategy>> make_er_ace(const StrategyOptions& options) {
  return std::unique_ptr<Strategy>(std::make_unique<AsymmetricReplay>(options.replay_ratio));
}

}  // namespace freshet::strategies
