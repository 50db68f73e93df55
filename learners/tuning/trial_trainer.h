// TrialTrainer: one trial in training, and TrialTrainers, which makes them: what a study's workers need of whatever is
// tuned.
//
// Threads: a TrialTrainer is used by one worker thread at a time; TrialTrainers by several at once.
// Owns: the trial's weights and all else that its training depends on.
// Failure: a Status that is not ok fails the trial, with its message as the reason; kCancelled, when the stop was asked
// for, leaves it where it last paused. A trainer made by resume() goes on to the bit where the one that wrote the
// checkpoint would have.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "core/bytes.h"
#include "core/status.h"
#include "learners/tuning/parameter_space.h"

namespace freshet::tuning {

// Set from any thread; a trainer looks at it between steps.
using StopFlag = std::atomic<bool>;

class TrialTrainer {
 public:
  virtual ~TrialTrainer() = default;
  virtual Status train_to(std::uint64_t resource, const StopFlag& stop) = 0;
  // Of the trial as it stands; higher is better; not finite where it has diverged.
  virtual Result<double> evaluate() = 0;
  virtual Status checkpoint(ByteWriter& out) = 0;
};

class TrialTrainers {
 public:
  virtual ~TrialTrainers() = default;
  // settings: what the study searches, and with it what it holds fixed. Equal trials train alike to the bit.
  virtual Result<std::unique_ptr<TrialTrainer>> create(std::uint64_t trial, std::span<const Setting> settings) = 0;
  virtual Result<std::unique_ptr<TrialTrainer>> resume(std::uint64_t trial, std::span<const Setting> settings,
                                                       std::string_view checkpoint) = 0;
  // How long a stretch of training takes in virtual time, above 0: of the settings alone. Near the truth, no worker
  // waits for another's turn.
  virtual double virtual_time(std::span<const Setting> /*settings*/, std::uint64_t from, std::uint64_t to) {
    return static_cast<double>(to - from);
  }
};

}  // namespace freshet::tuning
