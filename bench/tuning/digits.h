// The optical digits as what a study tunes: an MLP 64-h-10 trained by Learner, a unit of resource an epoch.
//
// Threads: DigitsTrainers from several workers at once; each trainer is one worker's.
// Owns: the digits.  Failure: read() says what is wrong with the file.
#pragma once

#include <memory>
#include <string>

#include "core/encoded_batch.h"
#include "learners/tuning/trial_trainer.h"

namespace freshet::bench {

struct Digits {
  EncodedBatch train, test;
  static Result<Digits> read(const std::string& path);
};

EncodedLayout digits_layout();
// Learning rate 1e-3 to 0.5 and weight decay 1e-6 to 1e-2 by their logarithms, momentum, hidden width, batch size.
std::vector<SearchSpace> digits_spaces();

class DigitsTrainers final : public tuning::TrialTrainers {
 public:
  DigitsTrainers(const Digits& digits, std::uint64_t seed) : digits_(digits), seed_(seed) {}
  Result<std::unique_ptr<tuning::TrialTrainer>> create(std::uint64_t trial,
                                                       std::span<const tuning::Setting> settings) override;
  Result<std::unique_ptr<tuning::TrialTrainer>> resume(std::uint64_t trial, std::span<const tuning::Setting> settings,
                                                       std::string_view checkpoint) override;
  // Steps and products an epoch takes.
  double virtual_time(std::span<const tuning::Setting> settings, std::uint64_t from, std::uint64_t to) override;

 private:
  const Digits& digits_;
  std::uint64_t seed_;
};

}  // namespace freshet::bench
