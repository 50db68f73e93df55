#include "daemon/pipeline/served_average.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "daemon/pipeline/held_out_rows.h"
#include "daemon/pipeline/pipeline.h"
#include "daemon/room_options.h"
#include "learners/device.h"

namespace freshet {

Result<std::shared_ptr<const Predictor>> Pipeline::averaged_model() const {
  const LearnerOptions options = TRY(learner_options(config_, schema_.spec()));
  const auto learner = TRY(Learner::create(options, state_->encoder->layout(), Device{}));
  ByteReader in(served_average_);
  TRY(learner->load(in).with_context("reading the average that is served"));
  return learner->republish(state_->counters.served_version);
}

Status Pipeline::serve_average(std::string state, std::uint64_t states) {
  if (trainer_->busy() || gathered() > 0) return failed_precondition("an average is served between rounds only");
  served_average_ = std::move(state);
  auto model = averaged_model();
  if (!model.is_ok()) {
    served_average_.clear();
    return model.status();
  }
  const auto newest = [&] {
    const auto kept = parts_.store.checkpoints();
    return kept.empty() ? std::uint64_t{0} : kept.back().id;
  };
  const std::uint64_t before = newest();
  TRY(record_order(OrderKind::kServeAverage, states, state_->counters.served_version));
  TRY(checkpoint());
  if (newest() == before) {
    served_average_.clear();
    return unavailable("the checkpoint with the average could not be written; what was served before still is");
  }
  parts_.slot.publish(*std::move(model));
  update_snapshot();
  return Status::ok();
}

Status Pipeline::redo_served_average(std::uint64_t index) {
  for (const CheckpointInfo& info : parts_.store.checkpoints()) {
    if (info.order_index != index + 1) continue;
    auto checkpoint = parts_.store.read_checkpoint(info.id, kServedAverageBlob);
    if (!checkpoint.is_ok()) continue;
    const auto found = checkpoint->blobs.find(kServedAverageBlob);
    if (found == checkpoint->blobs.end()) continue;
    served_average_ = std::move(found->second);
    parts_.slot.publish(TRY(averaged_model()));
    return Status::ok();
  }
  parts_.log.warning("average_left_out",
                     fmt::format("an average was to be served after event {}, but no checkpoint has it; the model of "
                                 "the last round is served",
                                 state_->counters.next_seq - 1));
  return Status::ok();
}

Result<HeldOutComparison> Pipeline::compare_on_held_out(const Predictor& candidate) {
  HeldOutComparison comparison;
  EncodedBatch rows;
  const EncodedLayout& layout = state_->encoder->layout();
  if (state_->gating_set->size() > 0) {
    comparison.set = "gating";
    TRY(decode_held_out(*state_->gating_set, *codec_, layout, rows));
  } else {
    TRY(decode_held_out(*state_->forgetting_set, *codec_, layout, rows));
    if (rows.size() > 0) comparison.set = "forgetting";
  }
  comparison.events = rows.size();
  if (rows.size() == 0) return comparison;
  const EvaluationOptions options = evaluation_options(config_, schema_.spec());
  const auto served = parts_.slot.current();
  std::vector<float> losses[2];
  for (const bool of_candidate : {false, true}) {
    const Predictor& model = of_candidate ? candidate : *served;
    Predictions predictions;
    TRY(model.predict(rows, 0, rows.size(), predictions).with_context("scoring held-out events"));
    std::vector<float>& each = losses[of_candidate ? 1 : 0];
    each.resize(rows.size());
    ProgressiveEvaluation evaluation(options);
    evaluation.add(predictions, rows.labels, rows.weights, model.version(), each);
    (of_candidate ? comparison.candidate : comparison.served) = evaluation.report().stream;
  }
  const auto count = static_cast<double>(rows.size());
  double sum = 0;
  double squares = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double difference = static_cast<double>(losses[1][i]) - static_cast<double>(losses[0][i]);
    sum += difference;
    squares += difference * difference;
  }
  comparison.loss_difference = sum / count;
  if (rows.size() > 1) {
    const double variance = std::max(0.0, (squares - sum * sum / count) / (count - 1));
    comparison.loss_difference_error = std::sqrt(variance / count);
  }
  return comparison;
}

Result<EvaluationReport> Pipeline::score_held_out() {
  EncodedBatch rows;
  TRY(decode_held_out(*state_->forgetting_set, *codec_, state_->encoder->layout(), rows));
  if (rows.size() == 0) return EvaluationReport{};
  const auto served = parts_.slot.current();
  Predictions predictions;
  TRY(served->predict(rows, 0, rows.size(), predictions).with_context("scoring held-out events"));
  std::vector<float> losses(rows.size());
  ProgressiveEvaluation evaluation(evaluation_options(config_, schema_.spec()));
  evaluation.add(predictions, rows.labels, rows.weights, served->version(), losses);
  return evaluation.report();
}

}  // namespace freshet
