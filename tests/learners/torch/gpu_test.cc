// The LibTorch engine on a GPU, where there is one.
#include "learners/device.h"
#include "tests/learners/torch/engine_cases.h"

namespace freshet {
namespace {

class Gpu : public testing::TestWithParam<std::tuple<Architecture, std::size_t>> {
 protected:
  static void SetUpTestSuite() { load_cuda_backend(); }
  void SetUp() override {
    const auto device = choose_device("cuda");
    if (!device.is_ok()) GTEST_SKIP() << device.status().message();
    device_ = *device;
    const auto& [architecture, optimizer] = GetParam();
    options_ = engine_options(architecture, Task::kBinary);
    options_.optimizer = optimizer_cases()[optimizer].options;
    options_.schedule.learning_rate = optimizer_cases()[optimizer].learning_rate;
    options_.published = PublishedWeights::kEma;
  }

  Device device_;
  LearnerOptions options_;
};

TEST_P(Gpu, LearnsTheSameAsTheCpuOver200Steps) {
  auto cpu = make_learner(options_, EngineKind::kAuto);
  auto gpu = make_learner(options_, EngineKind::kAuto, device_);
  ASSERT_NE(gpu, nullptr);
  expect_the_same_learning(*gpu, *cpu, 0, 20);
}

TEST_P(Gpu, MovesACheckpointToTheCpuAndBack) {
  auto cpu = make_learner(options_, EngineKind::kAuto);
  auto gpu = make_learner(options_, EngineKind::kAuto, device_);
  ASSERT_NE(gpu, nullptr);
  for (std::uint64_t round = 0; round < 3; ++round) train_one_round(*gpu, round);
  const std::string from_gpu = saved(*gpu);
  ByteReader in(from_gpu);
  ASSERT_TRUE(cpu->load(in).is_ok());
  EXPECT_EQ(saved(*cpu), from_gpu);
  for (std::uint64_t round = 3; round < 6; ++round) train_one_round(*cpu, round);
  const std::string from_cpu = saved(*cpu);
  ByteReader back(from_cpu);
  ASSERT_TRUE(gpu->load(back).is_ok());
  EXPECT_EQ(saved(*gpu), from_cpu);
  expect_the_same_learning(*gpu, *cpu, 6, 3);
}

INSTANTIATE_TEST_SUITE_P(All, Gpu,
                         testing::Combine(testing::Values(Architecture::kLinear, Architecture::kMlp,
                                                          Architecture::kWideDeep, Architecture::kDcn),
                                          testing::Range<std::size_t>(0, 6)),
                         [](const auto& tested) {
                           return fmt::format("{}_{}", architecture_name(std::get<0>(tested.param)),
                                              optimizer_cases()[std::get<1>(tested.param)].name);
                         });

}  // namespace
}  // namespace freshet
