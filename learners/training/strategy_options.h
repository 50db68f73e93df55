// StrategyOptions: the options of every strategy, a struct for each that has some. They are learning.NAME.* in a
// configuration; learners/tuning/search_space.h says what a study tries of them.
//
// Threads: values.  Owns: nothing.  Failure: Strategy::create refuses what is out of bounds.
#pragma once

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

struct StrategySettings {
  DerOptions der;
  DerPpOptions der_pp;
  PodErOptions pod_er;
};

struct StrategyOptions {
  std::string_view kind = "er";
  float replay_ratio = 0.5F;  // share of each mini-batch that is replayed
  StrategySettings settings = {};
};

}  // namespace freshet
