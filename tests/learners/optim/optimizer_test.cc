#include "learners/optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "core/rng.h"
#include "learners/optim/schedule.h"

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
  OptimizerOptions sgd;
  sgd.kind = OptimizerKind::kSgd;
  all.push_back({"sgd", sgd, 0.05F, maker<SGD>(SGDOptions(0.05))});
  sgd.weight_decay = 0.01F;
  sgd.momentum = 0.9F;
  all.push_back({"sgd_momentum", sgd, 0.05F, maker<SGD>(SGDOptions(0.05).momentum(0.9).weight_decay(0.01))});
  sgd.nesterov = true;
  all.push_back(
      {"sgd_nesterov", sgd, 0.05F, maker<SGD>(SGDOptions(0.05).momentum(0.9).weight_decay(0.01).nesterov(true))});
  OptimizerOptions adamw;
  adamw.kind = OptimizerKind::kAdamW;
  adamw.weight_decay = 0.01F;
  all.push_back({"adamw", adamw, 0.01F, maker<AdamW>(AdamWOptions(0.01).weight_decay(0.01))});
  OptimizerOptions adagrad;
  all.push_back({"adagrad", adagrad, 0.02F, maker<Adagrad>(AdagradOptions(0.02))});
  adagrad.weight_decay = 0.001F;
  adagrad.initial_accumulator = 0.1F;
  all.push_back({"adagrad_decay", adagrad, 0.02F,
                 maker<Adagrad>(AdagradOptions(0.02).weight_decay(0.001).initial_accumulator_value(0.1))});
  return all;
}

class EqualsTorch : public testing::TestWithParam<std::size_t> {};

// 200 steps from the same weights with the same gradients. Both compute in float32 but round in other places (fused
// multiply-add): the tolerance is 1e-5 of a weight's size or 1e-6, whichever is more.
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
    optimizer->step(parameters, twin.learning_rate);
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

INSTANTIATE_TEST_SUITE_P(All, EqualsTorch, testing::Range<std::size_t>(0, 6),
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

// AdamW's rows count their own steps: a row touched every third step moves as it would with those steps alone.
TEST(RowSparse, AdamWMovesARowByItsOwnSteps) {
  OptimizerOptions options;
  options.kind = OptimizerKind::kAdamW;
  options.weight_decay = 0.01F;
  auto parameters = random_parameters();
  auto optimizer = Optimizer::create(options, parameters).value();
  auto row = torch::from_blob(parameters.table.row(3), {static_cast<int64_t>(kWidth)}).clone();
  torch::optim::AdamW reference(std::vector{row}, torch::optim::AdamWOptions(0.01).weight_decay(0.01));
  Rng rng(kSeed + 3);
  for (int s = 0; s < kSteps; ++s) {
    const bool touched = s % 3 == 0;
    random_gradients(parameters, rng, touched ? std::vector<std::uint32_t>{3, 8} : std::vector<std::uint32_t>{8});
    const std::vector<float> before(parameters.table.row(3), parameters.table.row(3) + kWidth);
    if (touched) row.mutable_grad() = torch::from_blob(parameters.table.gradient(0), row.sizes()).clone();
    optimizer->step(parameters, 0.01F);
    if (touched) {
      reference.step();
    } else {
      // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
      ASSERT_EQ(std::memcmp(before.data(), parameters.table.row(3), kWidth * sizeof(float)), 0);
    }
  }
  for (std::size_t e = 0; e < kWidth; ++e) EXPECT_NEAR(parameters.table.row(3)[e], row.data_ptr<float>()[e], 2e-6);
}

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

INSTANTIATE_TEST_SUITE_P(All, OptimizerState, testing::Range<std::size_t>(0, 6),
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

TEST(Optimizer, RefusesOptionsOutOfBounds) {
  const auto parameters = random_parameters();
  OptimizerOptions options;
  options.momentum = 1.0F;
  EXPECT_EQ(Optimizer::create(options, parameters).code(), Code::kInvalidArgument);
  options = {};
  options.nesterov = true;
  EXPECT_EQ(Optimizer::create(options, parameters).code(), Code::kInvalidArgument);
  EXPECT_EQ(Schedule::create({ScheduleKind::kConstant, 0.0F}).code(), Code::kInvalidArgument);
  EXPECT_EQ(Schedule::create({ScheduleKind::kConstant, 0.25F}).value()->rate(1000), 0.25F);
}

}  // namespace
}  // namespace freshet
