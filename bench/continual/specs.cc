#include "bench/continual/specs.h"

#include <algorithm>

#include "learners/training/strategy.h"

namespace freshet::bench {

namespace {

struct Row {
  std::string_view label;  // empty: the strategy's name
  std::string_view strategy;
  std::uint64_t buffer;
  double python;  // bench/peers/continual_torch.py, 8 seeds or more
  double paper;   // Buzzega et al., 2020, as their repository's page of 2020 has them
  std::vector<std::string_view> settings;
};

// What was best of what was tried on Split-MNIST with 500 events (docs/benchmarks.md): DER++ that draws two events for
// each fresh one, at twice the rate, and serves the moving average of its weights.
std::vector<std::string_view> best_with(std::vector<std::string_view> more) {
  more.insert(more.end(), {"replayed=20", "learning_rate=0.06", "published=ema", "ema_decay=0.999"});
  return more;
}

// The paper's DER++ draws as many events as are fresh for the stored logits, and as many again for the labels.
std::vector<std::string_view> two_draws(std::vector<std::string_view> more) {
  more.insert(more.end(), {"replayed=20", "der_pp.two_draws=true"});
  return more;
}
std::vector<std::string_view> two_large_draws(std::vector<std::string_view> more) {
  more.insert(more.end(), {"replayed=256", "der_pp.two_draws=true"});
  return more;
}

// Split: SGD 0.03, batch 10 and 10 replayed. Permuted and rotated: SGD 0.2, batch 128 and 128 replayed. These, the
// initial weights (Glorot's), and what differs from them for a strategy and a memory, are what the paper's authors
// chose, where they say; `LwF` and `EWC` know no tasks, so they take one in every 1,000 rounds.
std::vector<Row> split_rows() {
  return {
      {"all tasks at once", "finetune", 0, 0.960, kNone, {"joined=true", "learning_rate=0.1"}},
      {"all at once from fan_in", "finetune", 0, 0.954, kNone, {"joined=true", "learning_rate=0.1", "initial=fan_in"}},
      {"", "finetune", 0, kNone, 0.1960, {}},
      {"", "lwf", 0, kNone, 0.1962, {"lwf.every_rounds=1000"}},
      {"", "ewc", 0, kNone, 0.2046, {"ewc.every_rounds=1000"}},
      {"", "er", 200, kNone, 0.8043, {"learning_rate=0.01"}},
      {"", "mir", 200, kNone, kNone, {}},
      {"", "er_ace", 200, kNone, kNone, {}},
      {"", "der", 200, kNone, 0.8455, {"der.alpha=0.2"}},
      {"", "der_pp", 200, kNone, 0.8561, {"der_pp.beta=0.5"}},
      {"", "cls_er", 200, kNone, kNone, {}},
      {"", "er", 500, kNone, 0.8612, {"learning_rate=0.07"}},
      {"er at rate 0.1", "er", 500, 0.868, 0.8612, {"learning_rate=0.1"}},
      {"er at rate 0.03", "er", 500, 0.863, kNone, {}},
      {"er at 0.03 from fan_in", "er", 500, 0.850, kNone, {"initial=fan_in"}},
      {"er with moving average", "er", 500, kNone, kNone, {"learning_rate=0.07", "published=ema", "ema_decay=0.999"}},
      {"", "mir", 500, kNone, kNone, {}},
      {"", "er_ace", 500, kNone, kNone, {}},
      {"", "pod_er", 500, kNone, kNone, {}},
      {"", "der", 500, kNone, 0.9054, {}},
      {"", "der_pp", 500, 0.909, 0.9100, {"der_pp.beta=0.5"}},
      {"der_pp at two draws", "der_pp", 500, kNone, 0.9100, two_draws({"der_pp.beta=0.5"})},
      {"der_pp from fan_in", "der_pp", 500, 0.904, kNone, {"der_pp.beta=0.5", "initial=fan_in"}},
      {"der_pp with moving average",
       "der_pp",
       500,
       kNone,
       kNone,
       {"der_pp.beta=0.5", "published=ema", "ema_decay=0.999"}},
      {"", "cls_er", 500, kNone, kNone, {}},
      {"", "super_er", 500, kNone, kNone, {}},
      {"", "gdumb", 500, kNone, kNone, {"policy=class_balanced", "rounds_of_tasks=true"}},
      {"", "offline_er", 500, kNone, kNone, {"rounds_of_tasks=true"}},
      {"", "repeated_distillation", 500, kNone, kNone, {"rounds_of_tasks=true"}},
      {"best preset", "der_pp", 500, kNone, kNone, best_with({})},
      {"best preset on disk", "der_pp", 20'000, kNone, kNone, best_with({"on_disk=true"})},
  };
}

std::vector<Row> permuted_rows() {
  return {
      {"", "finetune", 0, kNone, 0.4070, {}},
      {"", "er", 200, kNone, 0.7237, {}},
      {"", "der", 200, kNone, 0.8174, {}},
      {"", "der_pp", 200, kNone, 0.8358, two_large_draws({"learning_rate=0.1"})},
      {"", "er", 500, kNone, 0.8060, {}},
      {"er with moving average", "er", 500, kNone, kNone, {"published=ema", "ema_decay=0.999"}},
      {"", "er_ace", 500, kNone, kNone, {}},
      {"", "der", 500, kNone, 0.8729, {}},
      {"der_pp at one draw", "der_pp", 500, kNone, 0.8821, {"der_pp.beta=0.5"}},
      {"", "der_pp", 500, kNone, 0.8821, two_large_draws({"der_pp.beta=0.5"})},
      {"", "cls_er", 500, kNone, kNone, {}},
  };
}

std::vector<Row> rotated_rows() {
  return {
      {"", "finetune", 0, kNone, 0.6766, {}},
      {"", "er", 200, kNone, 0.8501, {}},
      {"", "der", 200, kNone, 0.9004, {}},
      {"", "der_pp", 200, kNone, 0.9043, two_large_draws({"learning_rate=0.1", "der_pp.beta=0.5"})},
      {"", "er", 500, kNone, 0.8891, {}},
      {"er with moving average", "er", 500, kNone, kNone, {"published=ema", "ema_decay=0.999"}},
      {"", "er_ace", 500, kNone, kNone, {}},
      {"", "der", 500, kNone, 0.9224, {"der.alpha=0.5"}},
      {"der_pp at one draw", "der_pp", 500, kNone, 0.9277, {"der_pp.alpha=0.5"}},
      {"", "der_pp", 500, kNone, 0.9277, two_large_draws({"der_pp.alpha=0.5"})},
      {"", "cls_er", 500, kNone, kNone, {}},
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
  spec.learner.model.initial = InitialWeights::kGlorot;
  spec.learner.optimizer.kind = OptimizerKind::kSgd;
  spec.learner.schedule.learning_rate = split ? 0.03F : 0.2F;
  return spec;
}

std::vector<RunSpec> table_of(std::string_view protocol) {
  const auto known = Strategy::names();
  std::vector<RunSpec> specs;
  for (const auto& row : protocol == "split"      ? split_rows()
                         : protocol == "permuted" ? permuted_rows()
                                                  : rotated_rows()) {
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
