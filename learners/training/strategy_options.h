// StrategyOptions: the options of every strategy, a struct for each that has some. They are learning.NAME.* in a
// configuration; learners/tuning/search_space.h says what a study tries of them.
//
// Threads: values.  Owns: nothing.  Failure: Strategy::create refuses what is out of bounds.
#pragma once

#include <cstdint>
#include <string_view>

namespace freshet {

// Buzzega et al., 2020; the defaults are Renate's.
struct DerOptions {
  float alpha = 1.0F;  // weight of the distance to the stored logits
};
struct DerPpOptions {
  float alpha = 1.0F;
  float beta = 1.0F;       // weight of the label loss on replayed events
  bool two_draws = false;  // the two terms take a half of the replayed events each, as in the paper
};
// Douillard et al., 2020
struct PodErOptions {
  float alpha = 1.0F;  // weight of the distance to the stored activations
};

// Li and Hoiem, 2016; the defaults are Renate's.
struct LwfOptions {
  float alpha = 1.0F;  // weight of the distillation
  float temperature = 2.0F;
  std::uint32_t every_rounds = 1;  // the older model is that of so many rounds ago at most
};
// Schwarz et al., 2018; lambda is Renate's
struct EwcOptions {
  float lambda = 0.4F;
  float decay = 0.95F;  // of the Fisher information gathered so far, at each consolidation
  std::uint32_t fisher_rows = 128;
  std::uint32_t every_rounds = 1;  // a consolidation
};
// Arani et al., 2022; the defaults are Renate's.
struct ClsErOptions {
  float alpha = 0.5F;  // weight of the label loss on replayed events
  float beta = 0.1F;   // weight of the consistency with the averaged models
  float stable_decay = 0.999F;
  float plastic_decay = 0.999F;
  float stable_probability = 0.7F;  // that a step moves the average
  float plastic_probability = 0.9F;
};
// Aljundi et al., 2019: 50 candidates for 10 rows
struct MirOptions {
  std::uint32_t candidates = 5;  // drawn for each row that is replayed
};
// Renate's; shrinking is that of Ash and Adams, 2020.
struct SuperErOptions {
  float alpha = 1.0F;  // weight of the distance to the stored logits
  float beta = 1.0F;   // weight of the label loss on replayed events
  ClsErOptions cls;    // its alpha is not used
  float shrink = 0.95F;
  float sigma = 0.001F;
  std::uint32_t shrink_every_rounds = 64;
};
// Prabhu et al., 2020; retraining from scratch
struct RetrainOptions {
  std::uint32_t passes = 1;
  std::uint32_t every_rounds = 1;
};
struct OfflineErOptions {
  std::uint32_t passes = 1;
  float fresh_weight = 0.0F;  // of the mean loss of fresh rows, the memory's has the rest; 0: by their numbers
};
struct RepeatedDistillationOptions {
  std::uint32_t expert_passes = 1;
  std::uint32_t passes = 1;
  float temperature = 2.0F;
};

struct StrategySettings {
  DerOptions der;
  DerPpOptions der_pp;
  PodErOptions pod_er;
  LwfOptions lwf;
  EwcOptions ewc;
  ClsErOptions cls_er;
  MirOptions mir;
  SuperErOptions super_er;
  RetrainOptions gdumb = {30, 1};
  RetrainOptions joint;
  OfflineErOptions offline_er;
  RepeatedDistillationOptions repeated_distillation;
};

struct StrategyOptions {
  std::string_view kind = "er";
  float replay_ratio = 0.5F;  // share of each mini-batch that is replayed
  StrategySettings settings = {};
  std::uint64_t seed = 1;  // of a strategy's own generator
};

}  // namespace freshet
