// Activations that are computed again on the way back, instead of being kept.
#include <cstring>

#include "learners/models/hidden_activations.h"
#include "learners/torch/torch_net.h"
#include "tests/learners/torch/network_variants.h"

namespace freshet {
namespace {

struct Passes {
  std::vector<float> outputs;
  std::vector<float> dense;
  std::vector<float> rows;
};

// Two forward passes, the second with two gradients sent back, as strategies do.
template <typename Net, typename Gradients>
Passes passes(Net& net, const EncodedLayout& layout, Gradients gradients) {
  Passes result;
  const auto events = synthetic_events(layout, 40, kEngineSeed, Task::kBinary);
  for (const std::size_t begin : {0UL, 17UL}) {
    const RowRange rows{&events, begin, begin + 20};
    const auto outputs = net.forward({&rows, 1}).value();
    result.outputs.insert(result.outputs.end(), outputs.begin(), outputs.end());
    const std::size_t size = outputs.size();
    for (std::uint64_t again = 0; again <= begin / 17; ++again) {
      EXPECT_TRUE(net.backward(random_gradients(size, kEngineSeed + begin + again)).is_ok());
    }
    // Looks at hidden layers out of order, and sends gradients in at every other one.
    std::vector<std::vector<float>> gradients_at(net.hidden_layers().size());
    for (std::size_t l = 0; l < gradients_at.size(); l += 2) {
      const auto activations = net.hidden(l).value();
      result.outputs.insert(result.outputs.end(), activations.begin(), activations.end());
      gradients_at[l] = random_gradients(activations.size(), kEngineSeed + l);
    }
    const std::vector<std::span<const float>> views(gradients_at.begin(), gradients_at.end());
    EXPECT_TRUE(net.backward_from_hidden(random_gradients(size, kEngineSeed), views).is_ok());
  }
  gradients(result);
  return result;
}

Passes native_passes(const ModelOptions& options, const EncodedLayout& layout) {
  auto net = make_tabular_net(options, layout).value();
  shake(*net, kEngineSeed, 0.3);
  Parameters& parameters = net->parameters();
  parameters.clear_gradients();
  return passes(*net, layout, [&](Passes& result) {
    const auto dense = parameters.dense_gradients.span();
    const auto rows = parameters.table.gradients();
    result.dense.assign(dense.begin(), dense.end());
    result.rows.assign(rows.begin(), rows.end());
  });
}

Passes torch_passes(const ModelOptions& options, const EncodedLayout& layout, bool recompute) {
  auto image = make_tabular_net(options, layout).value();
  shake(*image, kEngineSeed, 0.3);
  TorchNet net(*image, at::Device(at::kCPU), {recompute, false});
  net.clear_gradients();
  return passes(net, layout, [&](Passes& result) {
    const float* dense = net.dense_gradients().template const_data_ptr<float>();
    result.dense.assign(dense, dense + net.dense_gradients().numel());
    const auto rows = net.row_gradients().contiguous();
    result.rows.assign(rows.template const_data_ptr<float>(), rows.template const_data_ptr<float>() + rows.numel());
  });
}

ModelOptions deep_options(Architecture architecture, std::size_t layers) {
  auto options = engine_options(architecture, Task::kBinary).model;
  options.hidden.clear();
  for (std::size_t l = 0; l < layers; ++l) options.hidden.push_back(static_cast<std::uint32_t>(9 + l * 7 % 20));
  return options;
}

class Recompute : public testing::TestWithParam<std::tuple<Architecture, std::size_t>> {};

TEST_P(Recompute, ChangesNoGradientToTheBit) {
  auto options = deep_options(std::get<0>(GetParam()), std::get<1>(GetParam()));
  const Passes kept = native_passes(options, engine_layout());
  options.recompute = true;
  const Passes again = native_passes(options, engine_layout());
  ASSERT_FALSE(kept.dense.empty());
  EXPECT_EQ(again.outputs, kept.outputs);
  EXPECT_EQ(again.dense, kept.dense);
  EXPECT_EQ(again.rows, kept.rows);
}

TEST_P(Recompute, ChangesNoGradientThroughLibTorch) {
  const auto options = deep_options(std::get<0>(GetParam()), std::get<1>(GetParam()));
  const Passes kept = torch_passes(options, engine_layout(), false);
  const Passes again = torch_passes(options, engine_layout(), true);
  EXPECT_EQ(again.outputs, kept.outputs);
  EXPECT_EQ(again.dense, kept.dense);
  EXPECT_EQ(again.rows, kept.rows);
  const Passes native = native_passes(options, engine_layout());
  expect_near_all(again.dense, native.dense, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(All, Recompute,
                         testing::Combine(testing::Values(Architecture::kMlp, Architecture::kWideDeep,
                                                          Architecture::kDcn),
                                          testing::Values<std::size_t>(0, 1, 2, 3, 4, 5, 9, 11, 16, 17)),
                         [](const auto& tested) {
                           return fmt::format("{}_{}", architecture_name(std::get<0>(tested.param)),
                                              std::get<1>(tested.param));
                         });

// 16 hidden layers of 256 at 1,024 rows: all 16 matrices and the input are 16 * 256 + 32 floats a row, and an output of
// 16; with segments of 4 three of them are kept and four are at work.
TEST(RecomputedMemory, IsLessThanHalfOnADeepModel) {
  ModelOptions options = engine_options(Architecture::kMlp, Task::kBinary).model;
  options.hidden.assign(16, 256);
  const auto events = synthetic_events(engine_layout(), 1024, kEngineSeed, Task::kBinary);
  const RowRange rows{&events, 0, 1024};
  const auto held = [&](bool recompute) {
    options.recompute = recompute;
    auto net = make_tabular_net(options, engine_layout()).value();
    const auto outputs = net->forward({&rows, 1}).value();
    EXPECT_TRUE(net->backward(random_gradients(outputs.size(), kEngineSeed)).is_ok());
    return net->activation_bytes();
  };
  constexpr std::size_t kBesides = 32 + 16;  // input and outputs
  EXPECT_EQ(held(false), 1024 * sizeof(float) * (16 * 256 + kBesides));
  EXPECT_EQ(held(true), 1024 * sizeof(float) * (7 * 256 + kBesides));
  EXPECT_LT(held(true) * 2, held(false));
}

// A whole learner: what it saves after rounds is the same bytes.
TEST(RecomputedMemory, LeavesLearningAsItIs) {
  auto options = engine_options(Architecture::kWideDeep, Task::kMulticlass);
  options.model.hidden.assign(6, 20);
  const auto learn = [&](bool recompute) {
    options.model.recompute = recompute;
    auto learner = make_learner(options, EngineKind::kNative);
    for (std::uint64_t round = 0; round < 4; ++round) train_one_round(*learner, round);
    return saved(*learner);
  };
  EXPECT_EQ(learn(true), learn(false));
}

}  // namespace
}  // namespace freshet
