#include "learners/device.h"

#include <gtest/gtest.h>

namespace freshet {
namespace {

TEST(Device, TakesTheCpuWhenAsked) {
  const auto device = choose_device("cpu");
  ASSERT_TRUE(device.is_ok());
  EXPECT_EQ(device.value().name(), "cpu");
}

TEST(Device, FallsBackWithAReasonWhereThereIsNoGpu) {
  const CudaBackend backend = load_cuda_backend();  // before the first question about GPUs
  const auto device = choose_device("auto");
  ASSERT_TRUE(device.is_ok());
  EXPECT_FALSE(device.value().reason.empty());
  if (device.value().kind == Device::Kind::kCpu) {
    const auto gpu = choose_device("cuda:0");
    EXPECT_EQ(gpu.code(), Code::kUnavailable);
    EXPECT_NE(gpu.status().message().find("cuda:0"), std::string::npos);
    if (!backend.loaded) {
      EXPECT_NE(gpu.status().message().find(backend.reason), std::string::npos) << gpu.status().to_string();
      EXPECT_EQ(device.value().reason, backend.reason);
    }
  }
}

TEST(Device, RefusesNamesThatAreNone) {
  for (const char* name : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", ""}) {
    EXPECT_EQ(choose_device(name).code(), Code::kInvalidArgument) << name;
  }
}

TEST(Device, BoundsTheThreads) {
  EXPECT_EQ(set_threads(0).code(), Code::kInvalidArgument);
  EXPECT_TRUE(set_threads(1).is_ok());
}

TEST(Device, NamesTheInstructionSets) { EXPECT_NE(cpu_capability().find("kernels "), std::string::npos); }

}  // namespace
}  // namespace freshet
