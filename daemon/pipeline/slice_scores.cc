// The part of Pipeline that scores held-out events: of slices, for forgetting and transfer, and of all of them by the
// model's own measures.
#include <fmt/format.h>

#include "daemon/pipeline/held_out_rows.h"
#include "daemon/pipeline/pipeline.h"
#include "daemon/room_options.h"
#include "learners/device.h"
#include "learners/evaluation/losses.h"

namespace freshet {

Result<double> Pipeline::score_slice(const Predictor& model, std::uint32_t slice) {
  TRY(decode_held_out(*state_->forgetting_set, slice, *codec_, state_->encoder->layout(), slice_rows_));
  TRY(model.predict(slice_rows_, 0, slice_rows_.size(), predictions_).with_context("scoring a slice"));
  return score_predictions(config_.model.task, predictions_, slice_rows_.labels);
}

// Scores every slice's held-out set under the model that is about to go live.
Status Pipeline::score_slices(const Predictor& model, std::uint64_t round) {
  std::vector<SliceScore> scores;
  for (const std::uint32_t slice : state_->forgetting_set->slices()) {
    if (state_->forgetting_set->size(slice) == 0) continue;
    scores.push_back({slice, TRY(score_slice(model, slice))});
  }
  state_->forgetting->record(round, scores);
  return Status::ok();
}

// A round has trained on slices that no round had trained on before: the model that is still served says what was known
// of them without that, a model that has learnt nothing what there was to be had for nothing. The held-out events are
// those that have come by now. The very first round has no model before it.
Status Pipeline::score_new_slices() {
  if (!state_->slices || training_slices_ == 0) return Status::ok();
  const auto served = parts_.slot.current();
  if (served->version() <= 1) return Status::ok();
  std::shared_ptr<const Predictor> untrained;
  for (const std::uint32_t slice : state_->forgetting_set->slices()) {
    const bool begins =
        slice < kSlicesMax && (training_slices_ >> slice & 1) != 0 && !state_->forgetting->trained(slice);
    if (!begins || state_->forgetting_set->size(slice) == 0) continue;
    if (untrained == nullptr) {
      // The learner's own seed: a stored model keeps the one that it began with.
      LearnerOptions options = TRY(learner_options(studies_->in_force(), schema_.spec()));
      options.model.seed = learner_->options().model.seed;
      options.model.embedding_scale = learner_->options().model.embedding_scale;
      untrained = TRY(Learner::create(options, state_->encoder->layout(), Device{}))->publish(1);
    }
    const double before = TRY(score_slice(*served, slice));
    const double nothing = TRY(score_slice(*untrained, slice));
    state_->forgetting->note_before(slice, before, nothing);
  }
  return Status::ok();
}

// What a model of the user's says of itself on all held-out events. That it cannot say it is no reason to stop
// learning.
Status Pipeline::measure_itself(const Predictor& model) {
  if (!model.has_measures()) return Status::ok();
  TRY(decode_held_out(*state_->forgetting_set, *codec_, state_->encoder->layout(), slice_rows_));
  if (slice_rows_.size() == 0) return Status::ok();
  auto measures = model.measures(slice_rows_);
  if (measures.is_ok()) {
    own_measures_ = *std::move(measures);
  } else {
    own_measures_.clear();
    parts_.log.warning("own_measures_failed", fmt::format("model version {}: {}; learning goes on", model.version(),
                                                          measures.status().message()));
  }
  return Status::ok();
}

}  // namespace freshet
