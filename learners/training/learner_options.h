// LearnerOptions: all that a learner is made from, each part with its defaults; in a configuration these are model.*,
// learning.* and serving.weights.
//
// Threads: values.  Owns: nothing.  Failure: checked_options() names the option that is wrong.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"
#include "learners/device.h"
#include "learners/models/model.h"
#include "learners/optim/optimizer.h"
#include "learners/optim/schedule.h"
#include "learners/training/losses.h"
#include "learners/training/sifting.h"
#include "learners/training/strategy_options.h"

namespace freshet {

enum class PublishedWeights : std::uint8_t { kRaw, kEma, kAverage };
Result<PublishedWeights> parse_published_weights(std::string_view name);

// What computes: the kernels written for the built-in models on this CPU, or LibTorch on any device. Both compute the
// same function and read each other's states; kAuto takes the kernels on the CPU and LibTorch on a GPU.
enum class EngineKind : std::uint8_t { kAuto, kNative, kTorch };

// Products of the hidden and cross layers in bfloat16, where LibTorch computes; weights, optimizer, losses and averages
// stay float32. kAuto: on a GPU that has it. The kernels written for the CPU know float32 alone.
enum class Autocast : std::uint8_t { kAuto, kOff, kBf16 };
Result<Autocast> parse_autocast(std::string_view name);

struct LearnerOptions {
  ModelOptions model;
  LossOptions loss;  // its kind must fit model.task
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  std::string strategy = "er";
  StrategySettings strategies;    // options of each kind
  float replay_ratio = 0.5F;      // share of a mini-batch that is replayed
  std::uint32_t batch_size = 64;  // fresh and replayed rows of a step together
  float clip_norm = 0.0F;         // largest norm of all gradients together; 0: no clipping
  SiftingOptions sifting;
  std::uint32_t restore_after = 10;  // steps in a row with a loss or gradient that is not finite
  double ema_decay = 0.9999;
  std::uint32_t average_rounds = 8;
  PublishedWeights published = PublishedWeights::kRaw;
  EngineKind engine = EngineKind::kAuto;
  Autocast autocast = Autocast::kOff;
};

// The options with what follows from others filled in; refuses what no learner on this device can be made from.
Result<LearnerOptions> checked_options(LearnerOptions options, const Device& device);

}  // namespace freshet
