#include "bench/continual/specs.h"

#include <algorithm>

#include "learners/training/strategy.h"

namespace freshet::bench {

namespace {

struct Row {
  std::string_view label;  // empty: the strategy's name
  std::string_view strategy;
  std::uint64_t buffer;
  double python;  // FINDINGS
  double paper;   // Buzzega et al., 2020
  std::vector<std::string_view> settings;
};

// Split: SGD 0.03, batch 10 and 10 replayed. Permuted and rotated: SGD 0.2, batch 128 and 128 replayed. Both and the
// alphas and betas of DER++ are what the paper's authors chose.
std::vector<Row> split_rows() {
  return {
      {"all tasks at once", "finetune", 0, 0.966, kNone, {"joined=true", "learning_rate=0.1"}},
      {"", "finetune", 0, 0.195, 0.1990, {}},
      {"", "er", 200, 0.795, 0.8043, {}},
      {"", "er", 500, 0.862, 0.861, {}},
  };
}

std::vector<Row> permuted_rows() {
  return {
      {"", "finetune", 0, kNone, 0.4070, {}},
      {"", "er", 200, kNone, 0.7237, {}},
      {"", "er", 500, kNone, 0.8060, {}},
  };
}

std::vector<Row> rotated_rows() {
  return {
      {"", "finetune", 0, kNone, 0.6766, {}},
      {"", "er", 200, kNone, 0.8501, {}},
      {"", "er", 500, kNone, 0.8891, {}},
  };
}

}  // namespace

RunSpec base_spec(std::string_view protocol) {
  const bool split = protocol == "split";
  RunSpec spec;
  spec.protocol = protocol;
  spec.fresh = split ? 10 : 128;
  spec.learner.model.architecture = Architecture::kMlp;
  spec.learner.model.task = Task::kMulticlass;
  spec.learner.model.classes = kDigits;
  spec.learner.model.hidden = {100, 100};
  spec.learner.optimizer.kind = OptimizerKind::kSgd;
  spec.learner.schedule.learning_rate = split ? 0.03F : 0.2F;
  return spec;
}

std::vector<RunSpec> table_of(std::string_view protocol) {
  const auto known = Strategy::names();
  std::vector<RunSpec> specs;
  for (const auto& row : protocol == "split" ? split_rows() : protocol == "permuted" ? permuted_rows() : rotated_rows()) {
    if (std::ranges::find(known, row.strategy) == known.end()) continue;
    RunSpec spec = base_spec(protocol);
    spec.learner.strategy = row.strategy;
    spec.label = row.label.empty() ? row.strategy : row.label;
    spec.buffer = row.buffer;
    spec.replayed = row.buffer == 0 ? 0 : spec.fresh;
    spec.python = row.python;
    spec.paper = row.paper;
    for (const auto setting : row.settings) {
      if (const auto status = change(setting, spec); !status.is_ok()) abort_with(status.to_string());
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

}  // namespace freshet::bench
