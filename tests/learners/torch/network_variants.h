// Networks in every form that has hidden or cross layers, and comparisons of passes through them.
//
// Threads: any.  Owns: nothing.  Failure: a network that cannot be made fails the test.
#pragma once

#include <utility>

#include "core/rng.h"
#include "learners/models/tabular_net.h"
#include "tests/learners/torch/engine_cases.h"

namespace freshet {

struct NetworkVariant {
  std::string name;
  ModelOptions options;
  EncodedLayout layout;
};

inline std::vector<NetworkVariant> cross_variants() {
  std::vector<NetworkVariant> variants;
  for (const auto place : {CrossPlace::kStacked, CrossPlace::kParallel}) {
    const std::string name = place == CrossPlace::kStacked ? "stacked" : "parallel";
    auto options = engine_options(Architecture::kDcn, Task::kMulticlass).model;
    options.cross = place;
    options.cross_layers = 3;
    variants.push_back({name, options, engine_layout()});
    variants.push_back({name + "_numbers", options, synthetic_layout(7, 0)});
    variants.push_back({name + "_categories", options, synthetic_layout(0, 2)});
    options.cross_rank = 5;
    variants.push_back({name + "_rank5", options, engine_layout()});
    options.cross_rank = 16;  // no padding
    variants.push_back({name + "_rank16", options, engine_layout()});
    options.hidden = {};
    options.cross_rank = 0;
    options.cross_layers = 1;
    variants.push_back({name + "_cross_alone", options, engine_layout()});
  }
  return variants;
}
inline constexpr std::size_t kCrossVariants = 12;

// Random weights everywhere, also where training starts from zero.
inline void shake(TabularNet& net, std::uint64_t seed, double size) {
  Rng rng(seed);
  for (const auto& tensor : net.parameters().tensors) {
    for (std::size_t i = 0; i < tensor.rows; ++i) {
      for (std::size_t j = 0; j < tensor.columns; ++j) {
        net.parameters().dense.data()[tensor.offset + i * tensor.stride + j] =
            static_cast<float>(2.0 * size * (rng.uniform() - 0.5));
      }
    }
  }
  RowTable& table = net.parameters().table;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    for (std::size_t e = 0; e < table.width(); ++e) table.row(i)[e] = static_cast<float>(2.0 * rng.uniform() - 1.0);
  }
}

inline std::vector<float> random_gradients(std::size_t size, std::uint64_t seed) {
  std::vector<float> gradients(size);
  Rng rng(seed);
  for (auto& value : gradients) value = static_cast<float>(rng.uniform() - 0.5);
  return gradients;
}

}  // namespace freshet
