// Challenger: a second learner, with the settings that a study found, which learns from the rounds of the first: the
// same fresh rows, the same replay sample, the same order. Before the rows of a round are learnt, the candidates that
// both learners made of the rounds before predict them, and a paired test says who is better.
//
// Threads: learner() is the trainer's while a round runs; all else ingest's.
// Owns: the learner, the test.
// Failure: create() refuses settings that do not fit the memory's columns; a round that it fails ends it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/encoded_batch.h"
#include "core/predictor.h"
#include "daemon/config/config.h"
#include "learners/device.h"
#include "learners/evaluation/model_comparison.h"
#include "learners/evaluation/paired_test.h"
#include "learners/training/learner.h"
#include "learners/tuning/parameter_space.h"

namespace freshet {

enum class ChallengeVerdict : std::uint8_t { kGoesOn, kTakesOver, kDropped };

class Challenger {
 public:
  // config: in force, with the study's settings on top. learner_state: what the best trial has become; empty: a new
  // model. It goes on from the incumbent's weights, which have seen the stream since the study's copy, with the trial's
  // optimizer state; where the engine does not give them, from the trial's own.
  static Result<std::unique_ptr<Challenger>> create(const Config& config, const EventSpec& spec,
                                                    const EncodedLayout& layout, const Device& device,
                                                    std::string_view learner_state, const Learner& incumbent);

  bool has_incumbents_weights() const { return has_incumbents_weights_; }
  Learner& learner() { return *learner_; }
  std::unique_ptr<Learner> take_learner() { return std::move(learner_); }

  // What both made of the same round; what was not scored of the round before is forgotten.
  void candidates(std::shared_ptr<const Predictor> incumbent, std::shared_ptr<const Predictor> own);
  // It has settled, and caught up with the incumbent, by then.
  void judge_from(std::uint64_t seq) { judged_from_ = seq; }
  // Both predict all of `rows`, which nobody has trained on; once for a pair of candidates.
  Status score(const EncodedBatch& rows);
  void failed() { failed_ = true; }  // a round

  ChallengeVerdict verdict(std::uint64_t rows_max) const;
  std::uint64_t rows() const { return test_.rows(); }
  double mean_difference() const { return test_.rows() == 0 ? 0.0 : test_.mean_difference(); }  // below 0: it is better

  Status save(ByteWriter& out) const;
  // After create() with the same settings; `incumbent` as it was when this was saved.
  Status load(ByteReader& in, Learner& incumbent);

 private:
  Challenger(const Config& config, const EventSpec& spec, std::unique_ptr<Learner> learner);

  std::unique_ptr<Learner> learner_;
  PairedTest test_;
  bool failed_ = false;
  std::uint64_t judged_from_ = 0;
  bool has_incumbents_weights_ = false;
  std::shared_ptr<const Predictor> incumbent_candidate_;
  std::shared_ptr<const Predictor> own_candidate_;
  ModelComparison comparison_;
};

}  // namespace freshet
