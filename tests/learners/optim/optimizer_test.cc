#include "learners/optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <tuple>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "core/rng.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 11;
constexpr std::size_t kDense = 320;
constexpr std::size_t kRows = 32;
constexpr std::size_t kWidth = 8;
constexpr int kSteps = 200;

Parameters random_parameters() {
  Parameters parameters;
  parameters.dense.reset(kDense);
  parameters.dense_gradients.reset(kDense);
  parameters.table = RowTable(kRows, kWidth);
  Rng rng(kSeed);
  for (auto& value : parameters.dense.span()) value = static_cast<float>(rng.uniform() - 0.5);
  for (auto& value : parameters.table.values().span()) value = static_cast<float>(rng.uniform() - 0.5);
  return parameters;
}

// Gradients of very different sizes for all dense weights and for `rows`.
void random_gradients(Parameters& parameters, Rng& rng, const std::vector<std::uint32_t>& rows) {
  parameters.clear_gradients();
  const auto draw = [&] {
    return static_cast<float>((rng.uniform() - 0.5) * std::pow(10.0, 4.0 * rng.uniform() - 3.0));
  };
  for (auto& value : parameters.dense_gradients.span()) value = draw();
  parameters.table.reserve_gradients(rows.size());
  for (const auto row : rows) {
    for (std::size_t e = 0; e < kWidth; ++e) parameters.table.gradient_of(row)[e] = draw();
  }
  parameters.table.mark_changed();
}

struct Twin {
  std::string name;
  OptimizerOptions options;
  float learning_rate;
  std::function<std::unique_ptr<torch::optim::Optimizer>(std::vector<torch::Tensor>)> make;
};

template <typename Optim, typename Options>
auto maker(Options options) {
  return [options](std::vector<torch::Tensor> tensors) { return std::make_unique<Optim>(tensors, options); };
}

std::vector<Twin> twins() {
  using namespace torch::optim;
  std::vector<Twin> all;
  const auto sgd = [](float momentum, bool nesterov, float decay) {
    OptimizerOptions options;
    options.kind = OptimizerKind::kSgd;
    options.momentum = momentum;
    options.nesterov = nesterov;
    options.weight_decay = decay;
    return options;
  };
  const auto add_sgd = [&](const char* name, float momentum, bool nesterov, float decay) {
    const auto reference = SGDOptions(0.05).momentum(double{momentum}).nesterov(nesterov).weight_decay(double{decay});
    all.push_back({name, sgd(momentum, nesterov, decay), 0.05F, maker<SGD>(reference)});
  };
  add_sgd("sgd", 0.0F, false, 0.0F);
  add_sgd("sgd_decay", 0.0F, false, 0.01F);
  add_sgd("sgd_momentum", 0.9F, false, 0.0F);
  add_sgd("sgd_momentum_decay", 0.9F, false, 0.01F);
  add_sgd("sgd_nesterov", 0.9F, true, 0.0F);
  add_sgd("sgd_nesterov_decay", 0.9F, true, 0.01F);
  const auto adam = [](OptimizerKind kind, float beta1, float beta2, float epsilon, float decay) {
    OptimizerOptions options;
    options.kind = kind;
    options.beta1 = beta1;
    options.beta2 = beta2;
    options.epsilon = epsilon;
    options.weight_decay = decay;
    return options;
  };
  const auto add_adam = [&](const char* name, float beta1, float beta2, float epsilon, float decay) {
    const auto betas = std::make_tuple(double{beta1}, double{beta2});
    const double eps = epsilon > 0.0F ? double{epsilon} : 1e-8;
    all.push_back({name, adam(OptimizerKind::kAdam, beta1, beta2, epsilon, decay), 0.01F,
                   maker<Adam>(AdamOptions(0.01).betas(betas).eps(eps).weight_decay(double{decay}))});
    all.push_back({std::string("decoupled_") + name, adam(OptimizerKind::kAdamW, beta1, beta2, epsilon, decay), 0.01F,
                   maker<AdamW>(AdamWOptions(0.01).betas(betas).eps(eps).weight_decay(double{decay}))});
  };
  add_adam("adam", 0.9F, 0.999F, 0.0F, 0.0F);
  add_adam("adam_decay", 0.9F, 0.999F, 0.0F, 0.01F);
  add_adam("adam_betas_decay", 0.5F, 0.9F, 1e-4F, 0.1F);
  const auto add_adagrad = [&](const char* name, float start, float epsilon, float decay) {
    OptimizerOptions options;
    options.initial_accumulator = start;
    options.epsilon = epsilon;
    options.weight_decay = decay;
    const double eps = epsilon > 0.0F ? double{epsilon} : 1e-10;
    all.push_back(
        {name, options, 0.02F,
         maker<Adagrad>(
             AdagradOptions(0.02).initial_accumulator_value(double{start}).eps(eps).weight_decay(double{decay}))});
  };
  add_adagrad("adagrad", 0.0F, 0.0F, 0.0F);
  add_adagrad("adagrad_start_decay", 0.1F, 0.0F, 0.001F);
  add_adagrad("adagrad_epsilon", 0.0F, 1e-3F, 0.0F);
  return all;
}
constexpr std::size_t kTwins = 15;

TEST(EqualsTorchTwins, AreAllTested) { EXPECT_EQ(twins().size(), kTwins); }

class EqualsTorch : public testing::TestWithParam<std::size_t> {};

// 200 steps from the same weights with the same gradients, at a rate that a schedule moves. Both compute in float32 but
// round in other places (fused multiply-add): the tolerance is 1e-5 of a weight's size or 1e-6, whichever is more.
TEST_P(EqualsTorch, Over200Steps) {
  const Twin twin = twins()[GetParam()];
  auto parameters = random_parameters();
  auto optimizer = Optimizer::create(twin.options, parameters).value();
  auto dense = torch::from_blob(parameters.dense.data(), {static_cast<int64_t>(kDense)}).clone();
  auto table = torch::from_blob(parameters.table.values().data(), {static_cast<int64_t>(kRows * kWidth)}).clone();
  auto reference = twin.make({dense, table});
  std::vector<std::uint32_t> all_rows(kRows);
  for (std::uint32_t row = 0; row < kRows; ++row) all_rows[row] = (row * 5) % kRows;
  Rng rng(kSeed + 1);
  for (int s = 0; s < kSteps; ++s) {
    random_gradients(parameters, rng, all_rows);
    dense.mutable_grad() = torch::from_blob(parameters.dense_gradients.data(), dense.sizes()).clone();
    auto rows = torch::zeros_like(table);
    for (std::size_t slot = 0; slot < kRows; ++slot) {
      std::memcpy(rows.data_ptr<float>() + parameters.table.touched()[slot] * kWidth, parameters.table.gradient(slot),
                  kWidth * sizeof(float));
    }
    table.mutable_grad() = rows;
    const float rate = twin.learning_rate * (1.0F - static_cast<float>(s % 40) / 50.0F);
    optimizer->step(parameters, rate);
    for (auto& group : reference->param_groups()) group.options().set_lr(double{rate});
    reference->step();
  }
  const auto compare = [](std::span<const float> got, const torch::Tensor& want) {
    float largest = 0.0F;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const float expected = want.data_ptr<float>()[i];
      const float difference = std::abs(got[i] - expected);
      largest = std::max(largest, difference);
      ASSERT_LE(difference, std::max(1e-6F, 1e-5F * std::abs(expected))) << i << ": " << got[i] << " for " << expected;
    }
    testing::Test::RecordProperty("largest_difference", std::to_string(largest));
  };
  compare(parameters.dense.span(), dense);
  compare(parameters.table.values().span(), table);
}

INSTANTIATE_TEST_SUITE_P(All, EqualsTorch, testing::Range<std::size_t>(0, kTwins),
                         [](const auto& tested) { return twins()[tested.param].name; });

// A row that no event names has gradient zero: for Adagrad and plain SGD the dense optimizer does not move it either.
TEST(RowSparse, AdagradAndSgdEqualTheDenseOptimizerWithZeroGradients) {
  for (const auto kind : {OptimizerKind::kAdagrad, OptimizerKind::kSgd}) {
    SCOPED_TRACE(optimizer_name(kind));
    OptimizerOptions options;
    options.kind = kind;
    auto parameters = random_parameters();
    auto optimizer = Optimizer::create(options, parameters).value();
    auto table = torch::from_blob(parameters.table.values().data(), {static_cast<int64_t>(kRows * kWidth)}).clone();
    std::unique_ptr<torch::optim::Optimizer> reference;
    if (kind == OptimizerKind::kSgd) reference = std::make_unique<torch::optim::SGD>(std::vector{table}, 0.02);
    if (kind == OptimizerKind::kAdagrad) reference = std::make_unique<torch::optim::Adagrad>(std::vector{table}, 0.02);
    Rng rng(kSeed + 2);
    for (int s = 0; s < kSteps; ++s) {
      std::vector<std::uint32_t> rows;
      for (std::uint32_t row = 0; row < kRows; ++row) {
        if (rng.below(4) == 0) rows.push_back(row);
      }
      random_gradients(parameters, rng, rows);
      auto gradient = torch::zeros_like(table);
      for (std::size_t slot = 0; slot < rows.size(); ++slot) {
        std::memcpy(gradient.data_ptr<float>() + parameters.table.touched()[slot] * kWidth,
                    parameters.table.gradient(slot), kWidth * sizeof(float));
      }
      table.mutable_grad() = gradient;
      optimizer->step(parameters, 0.02F);
      reference->step();
    }
    for (std::size_t i = 0; i < kRows * kWidth; ++i) {
      const float expected = table.data_ptr<float>()[i];
      ASSERT_NEAR(parameters.table.values().data()[i], expected, std::max(1e-6F, 1e-5F * std::abs(expected))) << i;
    }
  }
}

// Rows of Adam and AdamW count their own steps: a row touched every third step moves as it would with those alone.
class AdamRows : public testing::TestWithParam<OptimizerKind> {};

TEST_P(AdamRows, MoveByTheirOwnSteps) {
  OptimizerOptions options;
  options.kind = GetParam();
  options.weight_decay = 0.01F;
  auto parameters = random_parameters();
  auto optimizer = Optimizer::create(options, parameters).value();
  auto row = torch::from_blob(parameters.table.row(3), {static_cast<int64_t>(kWidth)}).clone();
  std::unique_ptr<torch::optim::Optimizer> reference;
  if (GetParam() == OptimizerKind::kAdam) {
    reference =
        std::make_unique<torch::optim::Adam>(std::vector{row}, torch::optim::AdamOptions(0.01).weight_decay(0.01));
  } else {
    reference =
        std::make_unique<torch::optim::AdamW>(std::vector{row}, torch::optim::AdamWOptions(0.01).weight_decay(0.01));
  }
  Rng rng(kSeed + 3);
  for (int s = 0; s < kSteps; ++s) {
    const bool touched = s % 3 == 0;
    random_gradients(parameters, rng, touched ? std::vector<std::uint32_t>{3, 8} : std::vector<std::uint32_t>{8});
    const std::vector<float> before(parameters.table.row(3), parameters.table.row(3) + kWidth);
    if (touched) row.mutable_grad() = torch::from_blob(parameters.table.gradient(0), row.sizes()).clone();
    optimizer->step(parameters, 0.01F);
    if (touched) {
      reference->step();
    } else {
      // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
      ASSERT_EQ(std::memcmp(before.data(), parameters.table.row(3), kWidth * sizeof(float)), 0);
    }
  }
  for (std::size_t e = 0; e < kWidth; ++e) EXPECT_NEAR(parameters.table.row(3)[e], row.data_ptr<float>()[e], 2e-6);
}

INSTANTIATE_TEST_SUITE_P(All, AdamRows, testing::Values(OptimizerKind::kAdam, OptimizerKind::kAdamW),
                         [](const auto& tested) { return std::string(optimizer_name(tested.param)); });

class OptimizerState : public testing::TestWithParam<std::size_t> {};

TEST_P(OptimizerState, ContinuesToTheBitAfterSaveAndLoad) {
  const Twin twin = twins()[GetParam()];
  auto parameters = random_parameters();
  auto optimizer = Optimizer::create(twin.options, parameters).value();
  Rng rng(kSeed + 4);
  for (int s = 0; s < 20; ++s) {
    random_gradients(parameters, rng, {static_cast<std::uint32_t>(s % 7), 9});
    optimizer->step(parameters, 0.01F);
  }
  ByteWriter out;
  parameters.save(out);
  optimizer->save(out, parameters);
  auto restored = random_parameters();
  auto other = Optimizer::create(twin.options, restored).value();
  // What stood there before must leave no trace.
  Rng noise(99);
  random_gradients(restored, noise, {1, 2, 30});
  other->step(restored, 0.5F);
  restored.table = random_parameters().table;
  ByteReader in(out.buffer());
  ASSERT_TRUE(restored.load(in).is_ok());
  ASSERT_TRUE(other->load(in, restored).is_ok());
  EXPECT_TRUE(in.at_end());
  Rng same = rng;
  for (int s = 0; s < 20; ++s) {
    random_gradients(parameters, rng, {static_cast<std::uint32_t>(s % 11), 30});
    optimizer->step(parameters, 0.01F);
    random_gradients(restored, same, {static_cast<std::uint32_t>(s % 11), 30});
    other->step(restored, 0.01F);
  }
  // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
  EXPECT_EQ(std::memcmp(parameters.dense.data(), restored.dense.data(), kDense * sizeof(float)), 0);
  EXPECT_EQ(
      // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
      std::memcmp(parameters.table.values().data(), restored.table.values().data(), kRows * kWidth * sizeof(float)), 0);
}

INSTANTIATE_TEST_SUITE_P(All, OptimizerState, testing::Range<std::size_t>(0, kTwins),
                         [](const auto& tested) { return twins()[tested.param].name; });

TEST(Optimizer, RefusesTheStateOfAnother) {
  auto parameters = random_parameters();
  OptimizerOptions options;
  auto adagrad = Optimizer::create(options, parameters).value();
  options.kind = OptimizerKind::kSgd;
  auto sgd = Optimizer::create(options, parameters).value();
  ByteWriter out;
  adagrad->save(out, parameters);
  ByteReader in(out.buffer());
  EXPECT_EQ(sgd->load(in, parameters).code(), Code::kFailedPrecondition);
}

// AdamW's moments are not Adam's: the weight decay is in one and not in the other.
TEST(Optimizer, AdamRefusesTheStateOfAdamW) {
  auto parameters = random_parameters();
  OptimizerOptions options;
  options.kind = OptimizerKind::kAdam;
  auto adam = Optimizer::create(options, parameters).value();
  options.kind = OptimizerKind::kAdamW;
  auto adamw = Optimizer::create(options, parameters).value();
  ByteWriter out;
  adamw->save(out, parameters);
  ByteReader in(out.buffer());
  EXPECT_EQ(adam->load(in, parameters).code(), Code::kFailedPrecondition);
}

// learning.momentum may change at a restart.
TEST(Optimizer, MomentumMayBeSwitchedOnAndOff) {
  for (const bool stored : {false, true}) {
    auto parameters = random_parameters();
    OptimizerOptions options;
    options.kind = OptimizerKind::kSgd;
    options.momentum = stored ? 0.9F : 0.0F;
    auto before = Optimizer::create(options, parameters).value();
    Rng rng(kSeed);
    random_gradients(parameters, rng, {4, 5});
    before->step(parameters, 0.1F);
    ByteWriter out;
    before->save(out, parameters);
    out.put<std::uint32_t>(7);
    options.momentum = stored ? 0.0F : 0.9F;
    auto after = Optimizer::create(options, parameters).value();
    Parameters noise = random_parameters();
    random_gradients(noise, rng, {1});
    after->step(noise, 0.1F);
    ByteReader in(out.buffer());
    ASSERT_TRUE(after->load(in, parameters).is_ok());
    EXPECT_EQ(in.get<std::uint32_t>(), 7U) << "what follows the optimizer is no longer found";
    for (const auto& plane : after->state().planes) {
      EXPECT_TRUE(std::ranges::all_of(plane.dense, [](float value) { return value == 0.0F; }));
      EXPECT_TRUE(std::ranges::all_of(plane.rows, [](float value) { return value == 0.0F; }));
    }
  }
}

TEST(Optimizer, RefusesOptionsOutOfBounds) {
  const auto parameters = random_parameters();
  OptimizerOptions options;
  options.momentum = 1.0F;
  EXPECT_EQ(Optimizer::create(options, parameters).code(), Code::kInvalidArgument);
  options = {};
  options.nesterov = true;
  EXPECT_EQ(Optimizer::create(options, parameters).code(), Code::kInvalidArgument);
  options = {};
  options.beta2 = 1.0F;
  EXPECT_EQ(Optimizer::create(options, parameters).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace freshet
