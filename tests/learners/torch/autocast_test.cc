// Products in bfloat16 through LibTorch, on the CPU, where every machine can compute them.
#include <cmath>
#include <numeric>

#include "learners/torch/torch_net.h"
#include "tests/learners/torch/network_variants.h"

namespace freshet {
namespace {

class AutocastNet : public testing::TestWithParam<std::size_t> {};

// bfloat16 has 8 bits of mantissa: rounding is 2^-9 of a number. These networks multiply by at most seven matrices on
// the way forth, rounding both factors: as vectors, outputs agree to 14 * 2^-9 of their length, 3 %. On the way back a
// ReLU may turn, which takes a whole term out of the gradient: it points where it did, its length is not compared.
TEST_P(AutocastNet, AgreesWithFloat32ToItsPrecision) {
  const auto variant = cross_variants()[GetParam()];
  const auto events = synthetic_events(variant.layout, 40, kEngineSeed, Task::kMulticlass);
  const RowRange rows{&events, 0, 40};
  std::vector<std::vector<float>> outputs, gradients;
  for (const bool bfloat16 : {false, true}) {
    auto image = make_tabular_net(variant.options, variant.layout).value();
    shake(*image, kEngineSeed, 0.3);
    TorchNet net(*image, at::Device(at::kCPU), {false, bfloat16});
    net.clear_gradients();
    const auto out = net.forward({&rows, 1}).value();
    ASSERT_TRUE(net.backward(random_gradients(out.size(), kEngineSeed)).is_ok());
    outputs.emplace_back(out.begin(), out.end());
    ASSERT_EQ(net.dense_gradients().scalar_type(), at::kFloat);
    ASSERT_EQ(net.dense().scalar_type(), at::kFloat);
    const float* all = net.dense_gradients().const_data_ptr<float>();
    gradients.emplace_back(all, all + net.dense_gradients().numel());
  }
  const auto product = [](const std::vector<float>& a, const std::vector<float>& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  double difference = 0.0;
  for (std::size_t i = 0; i < outputs[0].size(); ++i) {
    difference += std::pow(static_cast<double>(outputs[1][i]) - outputs[0][i], 2.0);
  }
  EXPECT_LE(std::sqrt(difference), 0.03 * std::sqrt(product(outputs[0], outputs[0])));
  EXPECT_NE(outputs[0], outputs[1]) << "nothing was computed in bfloat16";
  const double lengths = std::sqrt(product(gradients[0], gradients[0]) * product(gradients[1], gradients[1]));
  EXPECT_GE(product(gradients[0], gradients[1]), 0.98 * lengths);
  EXPECT_NE(gradients[0], gradients[1]);
}

INSTANTIATE_TEST_SUITE_P(All, AutocastNet, testing::Range<std::size_t>(0, kCrossVariants),
                         [](const auto& tested) { return cross_variants()[tested.param].name; });

TEST(Autocast, LearnsAsFloat32DoesToItsPrecision) {
  for (const auto architecture : {Architecture::kMlp, Architecture::kWideDeep, Architecture::kDcn}) {
    SCOPED_TRACE(architecture_name(architecture));
    auto options = engine_options(architecture, Task::kBinary);
    options.schedule.learning_rate = 0.03F;
    auto exact = make_learner(options, EngineKind::kTorch);
    options.autocast = Autocast::kBf16;
    auto half = make_learner(options, EngineKind::kTorch);
    double wanted = 0.0;
    double got = 0.0;
    for (std::uint64_t round = 0; round < 20; ++round) {
      wanted = train_one_round(*exact, round).mean_loss;
      got = train_one_round(*half, round).mean_loss;
      ASSERT_NEAR(got, wanted, 0.03) << "round " << round;
    }
    EXPECT_LT(got, 0.4) << "nothing was learnt";
    EXPECT_EQ(saved(*half).size(), saved(*exact).size()) << "weights and optimizer stay float32";
    EXPECT_NE(saved(*half), saved(*exact));
    // What it learnt goes on in float32, on the CPU's kernels too.
    options.autocast = Autocast::kOff;
    auto native = make_learner(options, EngineKind::kNative);
    const std::string state = saved(*half);
    ByteReader in(state);
    ASSERT_TRUE(native->load(in).is_ok());
    EXPECT_EQ(saved(*native), state);
  }
}

TEST(Autocast, IsOffOnACpuUnlessAskedFor) {
  auto options = engine_options(Architecture::kWideDeep, Task::kBinary);
  const auto learn = [&](Autocast autocast) {
    options.autocast = autocast;
    auto learner = make_learner(options, EngineKind::kTorch);
    train_one_round(*learner, 0);
    return saved(*learner);
  };
  EXPECT_EQ(learn(Autocast::kAuto), learn(Autocast::kOff));
  options.engine = EngineKind::kNative;
  options.autocast = Autocast::kBf16;
  const auto refused = Learner::create(options, engine_layout(), Device{});
  EXPECT_EQ(refused.code(), Code::kInvalidArgument);
  EXPECT_NE(refused.status().message().find("float32"), std::string::npos);
  options.autocast = Autocast::kAuto;
  EXPECT_TRUE(Learner::create(options, engine_layout(), Device{}).is_ok());
}

}  // namespace
}  // namespace freshet
