#include "daemon/pipeline/served_average.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "daemon/pipeline/held_out_rows.h"
#include "daemon/pipeline/pipeline.h"
#include "daemon/room_options.h"
#include "learners/device.h"

namespace freshet {
namespace {

Result<EvaluationReport> score(const Predictor& model, const EncodedBatch& rows, const EvaluationOptions& options,
                               std::vector<float>& losses) {
  Predictions predictions;
  TRY(model.predict(rows, 0, rows.size(), predictions).with_context("scoring held-out events"));
  losses.resize(rows.size());
  ProgressiveEvaluation evaluation(options);
  evaluation.add(predictions, rows.labels, rows.weights, model.version(), losses);
  return evaluation.report();
}

}  // namespace

Result<std::shared_ptr<const Predictor>> Pipeline::averaged_model() const {
  const LearnerOptions options = TRY(learner_options(studies_->in_force(), schema_.spec()));
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
  const auto served = parts_.slot.current();
  parts_.slot.publish(*std::move(model));
  gate_->replaced();
  TRY(checkpoint());
  update_snapshot();
  if (newest() != before) return Status::ok();
  served_average_.clear();
  parts_.slot.publish(served, /*rolled_back_to=*/true);
  return unavailable("the checkpoint with the average could not be written; what was served before still is");
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
    gate_->replaced();
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
  std::vector<float> served_losses;
  std::vector<float> candidate_losses;
  comparison.served = TRY(score(*parts_.slot.current(), rows, options, served_losses)).stream;
  comparison.candidate = TRY(score(candidate, rows, options, candidate_losses)).stream;
  const auto count = static_cast<double>(rows.size());
  double sum = 0;
  double squares = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double difference = static_cast<double>(candidate_losses[i]) - static_cast<double>(served_losses[i]);
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
  std::vector<float> losses;
  return score(*parts_.slot.current(), rows, evaluation_options(config_, schema_.spec()), losses);
}

}  // namespace freshet
