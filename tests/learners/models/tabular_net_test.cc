#include "learners/models/tabular_net.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/learners/training/synthetic_events.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 7;

ModelOptions small_options(Architecture architecture, Task task) {
  ModelOptions options;
  options.architecture = architecture;
  options.task = task;
  options.classes = 3;
  options.hidden = {20, 9};
  options.embedding_dim = 5;
  options.embedding_rows = 64;  // small: categories collide, as they may
  options.embedding_scale = 0.5F;
  options.seed = kSeed;
  return options;
}

// The same model written with LibTorch's autograd: leaves for each tensor and for the table.
class AutogradTwin {
 public:
  explicit AutogradTwin(const TabularNet& net) : shape_(*net.shape()) {
    const Parameters& parameters = net.parameters();
    for (const auto& tensor : parameters.tensors) {
      auto copy = torch::zeros({static_cast<int64_t>(tensor.rows), static_cast<int64_t>(tensor.columns)});
      for (std::size_t i = 0; i < tensor.rows; ++i) {
        for (std::size_t j = 0; j < tensor.columns; ++j) {
          copy[static_cast<int64_t>(i)][static_cast<int64_t>(j)] =
              parameters.dense.data()[tensor.offset + i * tensor.stride + j];
        }
      }
      leaves_.emplace(tensor.name, copy.requires_grad_());
    }
    const RowTable& rows = parameters.table;
    table_ = torch::zeros({static_cast<int64_t>(rows.rows()), static_cast<int64_t>(rows.width())});
    for (std::size_t i = 0; i < rows.rows(); ++i) {
      std::memcpy(table_[static_cast<int64_t>(i)].data_ptr<float>(), rows.row(i), rows.width() * sizeof(float));
    }
    table_.requires_grad_();
  }

  torch::Tensor forward(std::span<const RowRange> ranges) {
    const auto count = static_cast<int64_t>(row_count(ranges));
    const auto embedding = static_cast<int64_t>(shape_.embedding);
    auto numbers = torch::zeros({count, static_cast<int64_t>(shape_.numbers)});
    auto lookups = torch::zeros({count, static_cast<int64_t>(shape_.categories)}, torch::kLong);
    int64_t at = 0;
    for (const auto& range : ranges) {
      for (std::size_t i = range.begin; i < range.end; ++i, ++at) {
        const auto values = range.batch->dense_row(i);
        for (std::size_t d = 0; d < values.size(); ++d) numbers[at][static_cast<int64_t>(d)] = values[d];
        const auto hashes = range.batch->hash_row(i);
        for (std::size_t c = 0; c < hashes.size(); ++c) {
          lookups[at][static_cast<int64_t>(c)] = static_cast<int64_t>(shape_.row_of(hashes[c]));
        }
      }
    }
    auto outputs = torch::zeros({count, static_cast<int64_t>(shape_.outputs)});
    if (!shape_.layers.empty()) {
      auto x = numbers;
      if (shape_.categories > 0) {
        x = torch::cat({table_.slice(1, 0, embedding).index({lookups}).reshape({count, -1}), numbers}, 1);
      }
      const auto input = x;
      for (std::size_t l = 0; l < shape_.cross.layers.size(); ++l) {
        const std::string name = fmt::format("cross{}", l);
        x = input * (torch::matmul(x, leaves_.at(name + ".weight")) + leaves_.at(name + ".bias")) + x;
      }
      for (std::size_t l = 0; l < shape_.layers.size(); ++l) {
        const bool last = l + 1 == shape_.layers.size();
        const std::string name = last ? "output" : fmt::format("hidden{}", l);
        x = torch::matmul(x, leaves_.at(name + ".weight")) + leaves_.at(name + ".bias");
        if (!last) x = torch::relu(x);
      }
      outputs = outputs + x;
    }
    if (shape_.wide) {
      outputs = outputs + torch::matmul(numbers, leaves_.at("wide.weight")) + leaves_.at("wide.bias");
      if (shape_.categories > 0) outputs = outputs + table_.slice(1, embedding).index({lookups}).sum(1);
    }
    return outputs;
  }

  const std::map<std::string, torch::Tensor>& leaves() const { return leaves_; }
  const torch::Tensor& table() const { return table_; }

 private:
  TabularShape shape_;
  std::map<std::string, torch::Tensor> leaves_;
  torch::Tensor table_;
};

// Random weights everywhere, also where training starts from zero.
void shake(TabularNet& net) {
  Rng rng(kSeed + 1);
  for (const auto& tensor : net.parameters().tensors) {
    for (std::size_t i = 0; i < tensor.rows; ++i) {
      for (std::size_t j = 0; j < tensor.columns; ++j) {
        net.parameters().dense.data()[tensor.offset + i * tensor.stride + j] = static_cast<float>(rng.uniform() - 0.5);
      }
    }
  }
  RowTable& table = net.parameters().table;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    for (std::size_t e = 0; e < table.width(); ++e) table.row(i)[e] = static_cast<float>(rng.uniform() - 0.5);
  }
}

// Rows of many numbers, all of whose numbers but one in nine are zero, except for every fourth row.
void empty_wide_rows(EncodedBatch& batch) {
  if (batch.dense_width() < kSparseNumbers) return;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto numbers = batch.dense_row(i);
    for (std::size_t d = 0; d < numbers.size(); ++d) {
      if (i % 4 != 0 && (d + i) % 9 != 0) numbers[d] = 0.0F;
    }
  }
}

using Case = std::tuple<Architecture, Task, std::pair<std::uint32_t, std::uint32_t>>;
class TabularNetGradients : public testing::TestWithParam<Case> {};

TEST_P(TabularNetGradients, EqualAutograd) {
  const auto& [architecture, task, widths] = GetParam();
  const auto layout = synthetic_layout(widths.first, widths.second);
  auto net = make_tabular_net(small_options(architecture, task), layout).value();
  shake(*net);
  AutogradTwin twin(*net);
  auto fresh = synthetic_events(layout, 21, kSeed, task);
  auto replay = synthetic_events(layout, 8, kSeed + 1, task);
  empty_wide_rows(fresh);
  empty_wide_rows(replay);
  const RowRange rows[] = {{&fresh, 2, 21}, {&replay, 0, 5}};

  const auto outputs = net->forward(rows).value();
  const auto expected = twin.forward(rows).contiguous();
  ASSERT_EQ(outputs.size(), static_cast<std::size_t>(expected.numel()));
  for (std::size_t i = 0; i < outputs.size(); ++i) ASSERT_NEAR(outputs[i], expected.data_ptr<float>()[i], 1e-5) << i;

  std::vector<float> output_gradients(outputs.size());
  Rng rng(kSeed + 2);
  for (auto& value : output_gradients) value = static_cast<float>(rng.uniform() - 0.5);
  net->parameters().clear_gradients();
  ASSERT_TRUE(net->backward(output_gradients).is_ok());
  expected.backward(torch::from_blob(output_gradients.data(), expected.sizes()));

  const Parameters& parameters = net->parameters();
  for (const auto& tensor : parameters.tensors) {
    const auto gradient = twin.leaves().at(tensor.name).grad();
    if (tensor.rows == 0) continue;
    ASSERT_TRUE(gradient.defined()) << tensor.name;
    for (std::size_t i = 0; i < tensor.rows; ++i) {
      for (std::size_t j = 0; j < tensor.stride; ++j) {
        const float got = parameters.dense_gradients.data()[tensor.offset + i * tensor.stride + j];
        if (j >= tensor.columns) {
          ASSERT_EQ(got, 0.0F) << "padding of " << tensor.name;
        } else {
          ASSERT_NEAR(got, (gradient[static_cast<int64_t>(i)][static_cast<int64_t>(j)].item<float>()), 2e-5)
              << tensor.name << " " << i << "," << j;
        }
      }
    }
  }
  const RowTable& table = parameters.table;
  std::vector<std::size_t> slot_of(table.rows(), table.rows());
  for (std::size_t s = 0; s < table.touched().size(); ++s) {
    ASSERT_EQ(slot_of[table.touched()[s]], table.rows()) << "a row twice";
    slot_of[table.touched()[s]] = s;
  }
  for (std::size_t row = 0; row < table.rows(); ++row) {
    for (std::size_t e = 0; e < table.width(); ++e) {
      const float got = slot_of[row] == table.rows() ? 0.0F : table.gradient(slot_of[row])[e];
      const float want = twin.table().grad()[static_cast<int64_t>(row)][static_cast<int64_t>(e)].item<float>();
      ASSERT_NEAR(got, want, 2e-5) << "row " << row << "," << e;
    }
  }
}

std::string case_name(const testing::TestParamInfo<Case>& tested) {
  const auto& [architecture, task, widths] = tested.param;
  return fmt::format("{}_{}_{}_{}", architecture_name(architecture), task_name(task), widths.first, widths.second);
}

INSTANTIATE_TEST_SUITE_P(All, TabularNetGradients,
                         testing::Combine(testing::Values(Architecture::kLinear, Architecture::kMlp,
                                                          Architecture::kWideDeep, Architecture::kDcn),
                                          testing::Values(Task::kBinary, Task::kMulticlass, Task::kRegression),
                                          testing::Values(std::pair{7U, 4U}, std::pair{6U, 0U}, std::pair{0U, 3U},
                                                          std::pair{150U, 2U})),
                         case_name);

TEST(TabularNet, AddsGradientsOfSeveralPasses) {
  const auto layout = synthetic_layout(4, 3);
  auto net = make_tabular_net(small_options(Architecture::kWideDeep, Task::kBinary), layout).value();
  const auto events = synthetic_events(layout, 40, kSeed, Task::kBinary);
  const std::vector<float> ones(20, 1.0F);
  const auto pass = [&](std::size_t begin) {
    const RowRange range{&events, begin, begin + 20};
    ASSERT_TRUE(net->forward({&range, 1}).is_ok());
    ASSERT_TRUE(net->backward(ones).is_ok());
  };
  const auto gradients = [&] {
    std::vector<float> all(net->parameters().dense_gradients.span().begin(),
                           net->parameters().dense_gradients.span().end());
    auto& table = net->parameters().table;
    std::vector<float> rows(table.rows() * table.stride());
    for (std::size_t s = 0; s < table.touched().size(); ++s) {
      std::copy_n(table.gradient(s), table.stride(), rows.data() + table.touched()[s] * table.stride());
    }
    all.insert(all.end(), rows.begin(), rows.end());
    return all;
  };
  net->parameters().clear_gradients();
  pass(0);
  const auto first = gradients();
  net->parameters().clear_gradients();
  pass(20);
  const auto second = gradients();
  net->parameters().clear_gradients();
  pass(0);
  pass(20);
  const auto both = gradients();
  for (std::size_t i = 0; i < both.size(); ++i) ASSERT_NEAR(both[i], first[i] + second[i], 1e-5) << i;
}

// Rows that are mostly zeros take another way through the first layer, whatever stands beside them.
TEST(TabularNet, GivesARowTheSameBitsBesideSparseAndDenseRows) {
  const auto layout = synthetic_layout(200, 3);
  auto net = make_tabular_net(small_options(Architecture::kMlp, Task::kMulticlass), layout).value();
  auto events = synthetic_events(layout, 40, kSeed, Task::kMulticlass);
  empty_wide_rows(events);
  const RowRange all{&events, 0, 40};
  const auto outputs = net->forward({&all, 1}).value();
  const std::vector<float> together(outputs.begin(), outputs.end());
  for (std::size_t i = 0; i < 40; ++i) {
    const RowRange one{&events, i, i + 1};
    const auto alone = net->forward({&one, 1}).value();
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
    ASSERT_EQ(std::memcmp(alone.data(), together.data() + 3 * i, 3 * sizeof(float)), 0) << "row " << i;
  }
}

TEST(TabularNet, StartsFromItsSeedAlone) {
  const auto layout = synthetic_layout(4, 3);
  auto options = small_options(Architecture::kWideDeep, Task::kBinary);
  const auto bytes = [&] {
    auto net = make_tabular_net(options, layout).value();
    const auto& parameters = net->parameters();
    std::string all(reinterpret_cast<const char*>(parameters.dense.data()), parameters.dense.size() * sizeof(float));
    all.append(reinterpret_cast<const char*>(parameters.table.values().data()),
               parameters.table.values().size() * sizeof(float));
    return all;
  };
  const auto once = bytes();
  EXPECT_EQ(once, bytes());
  options.seed = kSeed + 1;
  EXPECT_NE(once, bytes());
}

// Bounds worked out by hand: 16 inputs to 20 units to 9 units to 3 outputs.
TEST(TabularNet, StartsLayersWithinTheBoundsOfTheirKind) {
  const auto layout = synthetic_layout(16, 0);
  auto options = small_options(Architecture::kMlp, Task::kMulticlass);
  const std::map<std::string, std::map<InitialWeights, float>> bounds = {
      {"hidden0.weight", {{InitialWeights::kFanIn, 0.25F}, {InitialWeights::kGlorot, 0.40824829F}}},
      {"hidden0.bias", {{InitialWeights::kFanIn, 0.25F}, {InitialWeights::kGlorot, 0.0F}}},
      {"hidden1.weight", {{InitialWeights::kFanIn, 0.2236068F}, {InitialWeights::kGlorot, 0.45485883F}}},
      {"hidden1.bias", {{InitialWeights::kFanIn, 0.2236068F}, {InitialWeights::kGlorot, 0.0F}}},
      {"output.weight", {{InitialWeights::kFanIn, 0.33333333F}, {InitialWeights::kGlorot, 0.70710678F}}},
      {"output.bias", {{InitialWeights::kFanIn, 0.33333333F}, {InitialWeights::kGlorot, 0.0F}}}};
  for (const auto initial : {InitialWeights::kFanIn, InitialWeights::kGlorot}) {
    options.initial = initial;
    const auto net = make_tabular_net(options, layout).value();
    const Parameters& parameters = net->parameters();
    ASSERT_EQ(parameters.tensors.size(), bounds.size());
    for (const auto& tensor : parameters.tensors) {
      ASSERT_TRUE(bounds.contains(tensor.name)) << tensor.name;
      const float bound = bounds.at(tensor.name).at(initial);
      float largest = 0.0F;
      for (std::size_t i = 0; i < tensor.rows; ++i) {
        for (std::size_t j = 0; j < tensor.columns; ++j) {
          largest = std::max(largest, std::abs(parameters.dense.data()[tensor.offset + i * tensor.stride + j]));
        }
      }
      EXPECT_LE(largest, bound * 1.000001F) << tensor.name;
      if (tensor.rows > 1) {  // of many, some come near it
        EXPECT_GE(largest, bound * 0.8F) << tensor.name;
      }
    }
  }
}

// Rows that were never trained on are not stored: they come from the seed again, whatever else is configured.
TEST(TabularNet, StartsEmbeddingsFromTheSeedWhateverTheLayersDo) {
  const auto layout = synthetic_layout(4, 3);
  auto options = small_options(Architecture::kWideDeep, Task::kBinary);
  const auto fan_in = make_tabular_net(options, layout).value();
  options.initial = InitialWeights::kGlorot;
  const auto glorot = make_tabular_net(options, layout).value();
  EXPECT_TRUE(
      std::ranges::equal(fan_in->parameters().table.values().span(), glorot->parameters().table.values().span()));
  EXPECT_FALSE(std::ranges::equal(fan_in->parameters().dense.span(), glorot->parameters().dense.span()));
}

TEST(TabularNet, StartsEmbeddingsAtTheConfiguredScale) {
  auto options = small_options(Architecture::kMlp, Task::kBinary);
  options.embedding_rows = 4096;
  options.embedding_scale = 0.01F;
  auto net = make_tabular_net(options, synthetic_layout(1, 1)).value();
  double sum = 0.0;
  double squares = 0.0;
  const RowTable& table = net->parameters().table;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    for (std::size_t e = 0; e < table.width(); ++e) {
      const double value = table.row(row)[e];
      sum += value;
      squares += value * value;
    }
  }
  const auto count = static_cast<double>(table.rows() * table.width());
  EXPECT_NEAR(sum / count, 0.0, 3e-4);
  EXPECT_NEAR(std::sqrt(squares / count), 0.01, 3e-4);
}

TEST(TabularNet, RefusesRowsOfAnotherWidth) {
  auto net = make_tabular_net(small_options(Architecture::kWideDeep, Task::kBinary), synthetic_layout(4, 3)).value();
  const auto other = synthetic_events(synthetic_layout(5, 3), 4, kSeed, Task::kBinary);
  const RowRange range{&other, 0, 4};
  EXPECT_EQ(net->forward({&range, 1}).code(), Code::kInvalidArgument);
  const auto fitting = synthetic_events(synthetic_layout(4, 3), 4, kSeed, Task::kBinary);
  const RowRange beyond{&fitting, 0, 5};
  EXPECT_EQ(net->forward({&beyond, 1}).code(), Code::kOutOfRange);
}

TEST(TabularNet, RefusesOptionsThatMakeNoModel) {
  const auto layout = synthetic_layout(4, 3);
  auto options = small_options(Architecture::kWideDeep, Task::kBinary);
  options.embedding_rows = 100;
  EXPECT_EQ(make_tabular_net(options, layout).code(), Code::kInvalidArgument);
  options = small_options(Architecture::kWideDeep, Task::kBinary);
  options.hidden = {0};
  EXPECT_EQ(make_tabular_net(options, layout).code(), Code::kInvalidArgument);
  options = small_options(Architecture::kWideDeep, Task::kMulticlass);
  options.classes = 1;
  EXPECT_EQ(make_tabular_net(options, layout).code(), Code::kInvalidArgument);
  EXPECT_EQ(make_tabular_net(small_options(Architecture::kMlp, Task::kBinary), EncodedLayout{}).code(),
            Code::kInvalidArgument);
}

}  // namespace
}  // namespace freshet
