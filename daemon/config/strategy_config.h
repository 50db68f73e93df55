// The options of the strategies that have some, a struct each: learning.NAME.* of a configuration.
//
// Threads: values.  Owns: nothing.  Failure: none.
#pragma once

#include <cstdint>

namespace freshet {

struct DerConfig {
  double alpha = 1;
};
struct DerPpConfig {
  double alpha = 1;
  double beta = 1;
  bool two_draws = false;
};
struct PodErConfig {
  double alpha = 1;
};
struct LwfConfig {
  double alpha = 1;
  double temperature = 2;
  std::uint32_t every_rounds = 1;
};
struct EwcConfig {
  double lambda = 0.4;
  double decay = 0.95;
  std::uint32_t fisher_rows = 128;
  std::uint32_t every_rounds = 1;
};
struct ClsErConfig {
  double alpha = 0.5;
  double beta = 0.1;
  double stable_decay = 0.999;
  double plastic_decay = 0.999;
  double stable_probability = 0.7;
  double plastic_probability = 0.9;
};
struct MirConfig {
  std::uint32_t candidates = 5;
};
struct SuperErConfig {
  double alpha = 1;
  double beta = 1;
  double cls_beta = 0.1;
  double shrink = 0.95;
  double sigma = 0.001;
  std::uint32_t shrink_every_rounds = 64;
};
struct RetrainConfig {
  std::uint32_t passes = 1;
  std::uint32_t every_rounds = 1;
};
struct OfflineErConfig {
  std::uint32_t passes = 1;
  double fresh_weight = 0;  // 0: none, by numbers
};
struct RepeatedDistillationConfig {
  std::uint32_t expert_passes = 1;
  std::uint32_t passes = 1;
  double temperature = 2;
};

}  // namespace freshet
