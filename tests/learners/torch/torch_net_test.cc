#include "learners/torch/torch_net.h"

#include <ATen/ATen.h>

#include "core/rng.h"
#include "tests/learners/torch/engine_cases.h"

namespace freshet {
namespace {

using NetCase = std::tuple<Architecture, Task>;
class TorchNetPasses : public testing::TestWithParam<NetCase> {};

// What strategies do: several passes in a step, each with gradients of their own, whose sums the optimizer takes. Both
// models sum in float32 in another order: outputs agree to 1e-5, gradients to 1e-5 of the largest.
TEST_P(TorchNetPasses, EqualTheNativeModels) {
  const auto& [architecture, task] = GetParam();
  const auto options = engine_options(architecture, task).model;
  auto native = make_tabular_net(options, engine_layout()).value();
  auto image = make_tabular_net(options, engine_layout()).value();
  TorchNet torch(*image, at::Device(at::kCPU));
  const auto events = synthetic_events(engine_layout(), 40, kEngineSeed, task);
  native->parameters().clear_gradients();
  torch.clear_gradients();
  Rng rng(kEngineSeed);
  for (const std::size_t pass : {0UL, 1UL}) {
    const RowRange rows[] = {{&events, pass * 15, pass * 15 + 12}, {&events, 30, 37}};
    const auto want = native->forward(rows).value();
    const auto got = torch.forward(rows).value();
    expect_near_all({got.begin(), got.end()}, {want.begin(), want.end()}, 1e-5);
    std::vector<float> gradients(want.size());
    for (auto& value : gradients) value = static_cast<float>(rng.uniform() - 0.5);
    // A second gradient through the same pass must add up too.
    for (int again = 0; again < 2; ++again) {
      ASSERT_TRUE(native->backward(gradients).is_ok());
      ASSERT_TRUE(torch.backward(gradients).is_ok());
    }
  }
  const auto compare = [](const float* got, std::span<const float> want) {
    double largest = 0.0;
    for (const float value : want) largest = std::max(largest, static_cast<double>(std::abs(value)));
    for (std::size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-5 * std::max(1.0, largest)) << i;
  };
  Parameters& parameters = native->parameters();
  compare(torch.dense_gradients().const_data_ptr<float>(), parameters.dense_gradients.span());
  const auto touched = image->parameters().table.touched();
  ASSERT_EQ(std::vector(touched.begin(), touched.end()),
            std::vector(parameters.table.touched().begin(), parameters.table.touched().end()));
  compare(torch.row_gradients().contiguous().const_data_ptr<float>(), parameters.table.gradients());
  EXPECT_NEAR(torch.squared_gradient_norm(), parameters.squared_gradient_norm(),
              1e-5 * parameters.squared_gradient_norm());
}

// Gradients that come in at hidden layers, beside those of the outputs: autograd's against those written out by hand.
TEST_P(TorchNetPasses, ShowHiddenLayersAndTakeGradientsThereAlike) {
  const auto& [architecture, task] = GetParam();
  const auto options = engine_options(architecture, task).model;
  auto native = make_tabular_net(options, engine_layout()).value();
  auto image = make_tabular_net(options, engine_layout()).value();
  TorchNet torch(*image, at::Device(at::kCPU));
  const auto events = synthetic_events(engine_layout(), 19, kEngineSeed, task);
  const RowRange rows{&events, 0, 19};
  const auto layers = native->hidden_layers();
  ASSERT_EQ(layers.size(), architecture == Architecture::kLinear ? 0U : 2U);
  ASSERT_EQ(torch.hidden_layers().size(), layers.size());
  native->parameters().clear_gradients();
  torch.clear_gradients();
  const std::size_t outputs = native->forward({&rows, 1}).value().size();
  ASSERT_TRUE(torch.forward({&rows, 1}).is_ok());
  Rng rng(kEngineSeed);
  const auto noise = [&rng](std::size_t size) {
    std::vector<float> values(size);
    for (auto& value : values) value = static_cast<float>(rng.uniform() - 0.5);
    return values;
  };
  std::vector<std::vector<float>> gradients;
  std::vector<std::span<const float>> views;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    EXPECT_EQ(layers[l].name, fmt::format("hidden{}", l));
    EXPECT_EQ(layers[l].width, options.hidden[l]);
    const auto want = native->hidden(l).value();
    const auto got = torch.hidden(l).value();
    ASSERT_EQ(want.size(), 19 * layers[l].width);
    EXPECT_GT(*std::max_element(want.begin(), want.end()), 0.0F);
    expect_near_all({got.begin(), got.end()}, {want.begin(), want.end()}, 1e-5);
    gradients.push_back(l == 0 ? noise(want.size()) : std::vector<float>{});  // nothing comes in at the second
  }
  for (const auto& gradient : gradients) views.emplace_back(gradient);
  const auto at_outputs = noise(outputs);
  ASSERT_TRUE(native->backward_from_hidden(at_outputs, views).is_ok());
  ASSERT_TRUE(torch.backward_from_hidden(at_outputs, views).is_ok());
  const auto want = native->parameters().dense_gradients.span();
  const float* got = torch.dense_gradients().const_data_ptr<float>();
  for (std::size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-5 * std::max(1.0F, std::abs(want[i])));
  EXPECT_NEAR(torch.squared_gradient_norm(), native->parameters().squared_gradient_norm(),
              1e-5 * native->parameters().squared_gradient_norm());
  if (layers.empty()) return;
  // They do count.
  const double with = native->parameters().squared_gradient_norm();
  native->parameters().clear_gradients();
  ASSERT_TRUE(native->backward(at_outputs).is_ok());
  EXPECT_GT(std::abs(with - native->parameters().squared_gradient_norm()), 0.01 * with);
  views.pop_back();
  EXPECT_EQ(native->backward_from_hidden(at_outputs, views).code(), Code::kInvalidArgument);
  EXPECT_EQ(torch.backward_from_hidden(at_outputs, views).code(), Code::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(All, TorchNetPasses,
                         testing::Combine(testing::Values(Architecture::kLinear, Architecture::kMlp,
                                                          Architecture::kWideDeep, Architecture::kDcn),
                                          testing::Values(Task::kBinary, Task::kMulticlass, Task::kRegression)),
                         [](const auto& tested) {
                           return fmt::format("{}_{}", architecture_name(std::get<0>(tested.param)),
                                              task_name(std::get<1>(tested.param)));
                         });

TEST(TorchNet, RefusesRowsOfAnotherWidth) {
  const auto options = engine_options(Architecture::kMlp, Task::kBinary);
  auto image = make_tabular_net(options.model, engine_layout()).value();
  TorchNet torch(*image, at::Device(at::kCPU));
  const auto events = synthetic_events(synthetic_layout(2, 1), 4, kEngineSeed, Task::kBinary);
  const RowRange rows{&events, 0, 4};
  EXPECT_EQ(torch.forward({&rows, 1}).code(), Code::kInvalidArgument);
  const auto loss = Loss::create(options.loss, Task::kBinary, 1).value();
  LossSum sum;
  EXPECT_EQ(torch.loss_gradients({&rows, 1}, loss, {&sum, 1}).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace freshet
