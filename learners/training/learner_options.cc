#include "learners/training/learner_options.h"

#include <fmt/core.h>

#include <utility>

namespace freshet {

namespace {

Status check_bounds(const LearnerOptions& options) {
  if (options.batch_size == 0 || options.batch_size > 1U << 20) {
    return invalid_argument(
        fmt::format("learning.batch_size is {}; it must be between 1 and 2^20", options.batch_size));
  }
  if (!(options.clip_norm >= 0.0F)) return invalid_argument("the clipping norm must not be negative");
  if (!(options.ema_decay >= 0.0 && options.ema_decay < 1.0)) {
    return invalid_argument(fmt::format("learning.ema.decay is {}; it must be in [0, 1)", options.ema_decay));
  }
  if (options.restore_after == 0) return invalid_argument("learning.guard.restore_after must be 1 or more");
  if (options.average_rounds == 0 || options.average_rounds > 1024) {
    return invalid_argument(
        fmt::format("learning.average_rounds is {}; it must be between 1 and 1024", options.average_rounds));
  }
  return Status::ok();
}

// Whether there is an engine that computes such a model so.
Status check_engine(const LearnerOptions& options, const Device& device) {
  const bool on_gpu = device.kind == Device::Kind::kCuda;
  const bool module = is_module(options.model.architecture);
  if (module && options.engine == EngineKind::kNative) {
    return invalid_argument(
        fmt::format("the native engine knows no {}", architecture_name(options.model.architecture)));
  }
  if (on_gpu && options.engine == EngineKind::kNative) {
    return invalid_argument("the native engine runs on the CPU alone");
  }
  if (options.autocast != Autocast::kBf16) return Status::ok();
  if (module) {
    return invalid_argument(fmt::format("learning.autocast is bf16; a {} computes in the types that it is made of",
                                        architecture_name(options.model.architecture)));
  }
  if (!on_gpu && options.engine != EngineKind::kTorch) {
    return invalid_argument(
        "learning.autocast is bf16, but on a CPU this model computes in float32; say auto, which takes bf16 on a GPU");
  }
  return Status::ok();
}

}  // namespace

Result<PublishedWeights> parse_published_weights(std::string_view name) {
  if (name == "raw") return PublishedWeights::kRaw;
  if (name == "ema") return PublishedWeights::kEma;
  if (name == "average") return PublishedWeights::kAverage;
  return invalid_argument(fmt::format("no weights \"{}\"; there are raw, ema and average", name));
}

Result<Autocast> parse_autocast(std::string_view name) {
  if (name == "auto") return Autocast::kAuto;
  if (name == "off") return Autocast::kOff;
  if (name == "bf16") return Autocast::kBf16;
  return invalid_argument(fmt::format("no autocast \"{}\"; there are auto, off and bf16", name));
}

Result<LearnerOptions> checked_options(LearnerOptions options, const Device& device) {
  options.model.link = output_link(options.loss.kind);
  const bool hidden = options.model.architecture != Architecture::kLinear &&
                      options.model.architecture != Architecture::kTorchScript && !options.model.hidden.empty();
  if (options.schedule.dim == 0 && hidden) options.schedule.dim = options.model.hidden.front();
  TRY(check_bounds(options));
  TRY(check_engine(options, device));
  return options;
}

}  // namespace freshet
