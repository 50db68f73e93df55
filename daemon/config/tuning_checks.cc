#include "daemon/config/tuning_checks.h"

#include <algorithm>
#include <array>

namespace freshet {
namespace {

constexpr std::array<std::string_view, 8> kModel = {"model.architecture",   "model.hidden",       "model.embedding_dim",
                                                    "model.embedding_rows", "model.cross_layers", "model.cross_rank",
                                                    "model.cross",          "model.initial"};
// Of section learning, with all below them.
constexpr std::array<std::string_view, 11> kNotWhileLearning = {
    "learning.strategy", "learning.round",         "learning.sifting", "learning.guard",
    "learning.device",   "learning.threads",       "learning.loss",    "learning.huber_delta",
    "learning.quantile", "learning.class_weights", "learning.autocast"};

}  // namespace

bool adoptable(const Config& config, std::string_view option) {
  if (option.starts_with("model.")) {
    // It stores the hidden layers of events: another model has others.
    const bool stores_layers = config.learning.strategy == setting::Strategy::kPodEr;
    return !stores_layers && std::ranges::find(kModel, option) != kModel.end();
  }
  if (!option.starts_with("learning.")) return false;
  return std::ranges::none_of(kNotWhileLearning, [&](std::string_view kept) {
    return option == kept || (option.starts_with(kept) && option[kept.size()] == '.');
  });
}

void check_tuning(const Config& config, Faults& faults) {
  const TuningConfig& tuning = config.tuning;
  if (!tuning.on_drift) return;
  if (config.drift.detectors.empty()) {
    faults.add("tuning.on_drift", "nothing watches the stream for changes: name drift.detectors, or say false");
  }
  for (const auto& [option, text] : tuning.space) {
    if (find_option(option) == nullptr || adoptable(config, option)) continue;
    faults.add("tuning.space",
               "{} cannot change under a running memory; leave it to `freshet tune`, or say `on_drift: "
               "false`",
               option);
  }
  if (std::ranges::find(tuning.search, "model") != tuning.search.end() && !adoptable(config, "model.architecture")) {
    faults.add("tuning.search",
               "pod_er stores hidden layers with the events, so the model cannot change under a "
               "running memory; leave `model` out, or say `on_drift: false`");
  }
}

}  // namespace freshet
