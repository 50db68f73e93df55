#include "daemon/config/tuning_checks.h"

#include <algorithm>
#include <array>

namespace freshet {
namespace {

// Of section learning, with all below them.
constexpr std::array<std::string_view, 11> kNotWhileLearning = {
    "learning.strategy", "learning.round",         "learning.sifting", "learning.guard",
    "learning.device",   "learning.threads",       "learning.loss",    "learning.huber_delta",
    "learning.quantile", "learning.class_weights", "learning.autocast"};

}  // namespace

bool adoptable(std::string_view option) {
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
    if (find_option(option) == nullptr || adoptable(option)) continue;
    faults.add("tuning.space",
               "{} cannot change under a running memory; leave it to `freshet tune`, or say `on_drift: "
               "false`",
               option);
  }
  if (std::ranges::find(tuning.search, "model") != tuning.search.end()) {
    faults.add(
        "tuning.search",
        "the model itself cannot change while versions of it are served and may be gone back to; leave `model` to "
        "`freshet tune`, or say `on_drift: false`");
  }
}

}  // namespace freshet
