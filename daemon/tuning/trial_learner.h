// TrialLearners: trains the trials of a study with the product's own Learner, much as the pipeline would: the
// snapshot's events in their order, in rounds of learning.round.every_events, with replay of those that the trial has
// seen before. Other than there, replay draws uniformly from all of them, whatever memory.policy and memory.sampling
// say, nothing is sifted out, and training is on the CPU. Trained to the study's whole resource, a trial has gone
// through the snapshot once.
//
// The objective is a metric on the judging events, turned so that higher is better, minus `forgetting_penalty` times
// the mean over the slices of their best score so far in this trial minus their score now.
//
// Where the snapshot knows of a change of the stream, trials live through it: all begin with what `config` makes of the
// events before the change (weights, and where the optimizer stays the same its state), each goes on alone through
// those since, and the metric is the progressive one of these: every round is predicted before it is learnt. Where the
// metric is the loss, the objective is by how much less of it a trial has than the versions that were served then: some
// stretches of a stream are harder than others, and trials that paused at different places must compare. Whoever adapts
// soonest wins, as in the stream (test-then-train: J. Gama, R. Sebastiao and P. P. Rodrigues, On evaluating stream
// learning algorithms, Machine Learning 90, 2013). A model whose engine does not hand its weights on goes through the
// events before the change in each trial.
//
// Threads: prepare() before all else; create() and resume() from any thread at once; a trial on one thread at a time.
// Owns: each trial its learner and what its strategy stores with the snapshot's events. Borrows the snapshot.
// Failure: settings that do not fit each other fail the trial, with the words of `config check`.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/tuning/trial_snapshot.h"
#include "learners/tuning/trial_trainer.h"

namespace freshet {

struct TrialObjective {
  std::string metric = "log_loss";  // one of MetricValue's names
  double forgetting_penalty = 0;
  // The metric is the mean loss of an event, which the memory keeps of each under the version that was served.
  bool is_loss = false;
};

// Whether a metric is better the lower it is.
bool lower_is_better(std::string_view metric);

class TrialLearner;

class TrialLearners final : public tuning::TrialTrainers {
 public:
  // max_resource: units of a trial that has gone through the whole snapshot, or what of it came since the change.
  // searched: the options that a study's space may set; one that a trial does not name has its default, not what
  // `config` says of it.
  TrialLearners(const Config& config, const TrialSnapshot& snapshot, const TrialObjective& objective,
                std::uint64_t max_resource, std::vector<std::string> searched = {});
  ~TrialLearners() override;

  // What all trials begin with, where the snapshot knows of a change; else nothing is done.
  Status prepare(const tuning::StopFlag& stop);

  Result<std::unique_ptr<tuning::TrialTrainer>> create(std::uint64_t trial,
                                                       std::span<const tuning::Setting> settings) override;
  Result<std::unique_ptr<tuning::TrialTrainer>> resume(std::uint64_t trial, std::span<const tuning::Setting> settings,
                                                       std::string_view checkpoint) override;

  // The configuration that a trial with these settings has.
  Result<Config> configured(std::span<const tuning::Setting> settings) const;
  const std::vector<std::string>& searched() const { return searched_; }
  // Its learner's state once it has gone through the rest of the snapshot; an empty checkpoint: all of it.
  Result<std::string> learner_after_all(std::span<const tuning::Setting> settings, std::string_view checkpoint,
                                        const tuning::StopFlag& stop);

 private:
  struct Beginning {
    std::string learner;  // state
    std::vector<float> weights;
    std::vector<std::vector<float>> stored;  // the strategy's columns of the rows before the change
  };

  Result<std::unique_ptr<TrialLearner>> make(std::span<const tuning::Setting> settings) const;
  Result<std::unique_ptr<TrialLearner>> make_new(Config config) const;

  const std::string config_text_;
  const TrialSnapshot& snapshot_;
  const TrialObjective objective_;
  const std::uint64_t max_resource_;
  const std::vector<std::string> searched_;
  std::optional<Beginning> beginning_;
};

}  // namespace freshet
