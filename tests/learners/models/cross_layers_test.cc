#include "learners/models/cross_layers.h"

#include <cstring>
#include <map>

#include "tests/learners/torch/network_variants.h"

namespace freshet {
namespace {

class CrossLayers : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    variant_ = cross_variants()[GetParam()];
    net_ = make_tabular_net(variant_.options, variant_.layout).value();
    shake(*net_, kEngineSeed, 0.4);
    events_ = synthetic_events(variant_.layout, 67, kEngineSeed, Task::kMulticlass);
  }

  // An element of a tensor of weights.
  double weight(const std::string& name, std::size_t i, std::size_t j) const {
    for (const auto& tensor : net_->parameters().tensors) {
      if (tensor.name != name) continue;
      return static_cast<double>(net_->parameters().dense.data()[tensor.offset + i * tensor.stride + j]);
    }
    ADD_FAILURE() << "no tensor " << name;
    return 0.0;
  }
  // x W + b, in float64.
  std::vector<double> affine(const std::vector<double>& x, std::size_t out, const std::string& matrix,
                             const std::string& bias) const {
    std::vector<double> y(out);
    for (std::size_t j = 0; j < out; ++j) {
      y[j] = bias.empty() ? 0.0 : weight(bias, 0, j);
      for (std::size_t i = 0; i < x.size(); ++i) y[j] += x[i] * weight(matrix, i, j);
    }
    return y;
  }
  // The outputs of a row by the paper's formulas, in float64.
  std::vector<double> expected(std::size_t row) const {
    const ModelOptions& options = variant_.options;
    std::vector<double> x0;
    for (const auto hash : events_.hash_row(row)) {
      const float* embedding = net_->parameters().table.row(net_->shape()->row_of(hash));
      for (std::size_t e = 0; e < options.embedding_dim; ++e) x0.push_back(static_cast<double>(embedding[e]));
    }
    for (const float number : events_.dense_row(row)) x0.push_back(static_cast<double>(number));
    const std::size_t width = x0.size();
    std::vector<double> crossed = x0;
    for (std::size_t l = 0; l < options.cross_layers; ++l) {
      const std::string name = fmt::format("cross{}", l);
      const auto factor = options.cross_rank == 0 ? affine(crossed, width, name + ".weight", name + ".bias")
                                                  : affine(affine(crossed, options.cross_rank, name + ".down", ""),
                                                           width, name + ".up", name + ".bias");
      for (std::size_t i = 0; i < width; ++i) crossed[i] += x0[i] * factor[i];
    }
    const bool parallel = options.cross == CrossPlace::kParallel;
    std::vector<double> x = parallel ? x0 : crossed;
    for (std::size_t l = 0; l < options.hidden.size(); ++l) {
      x = affine(x, options.hidden[l], fmt::format("hidden{}.weight", l), fmt::format("hidden{}.bias", l));
      for (double& value : x) value = std::max(value, 0.0);
    }
    auto outputs = affine(x, 3, "output.weight", "output.bias");
    if (parallel) {
      const auto beside = affine(crossed, 3, "cross_output.weight", "");
      for (std::size_t k = 0; k < 3; ++k) outputs[k] += beside[k];
    }
    return outputs;
  }

  NetworkVariant variant_;
  std::unique_ptr<TabularNet> net_;
  EncodedBatch events_{0, 0, 0};
};

TEST_P(CrossLayers, AreThoseOfThePaper) {
  const RowRange rows{&events_, 3, 40};
  const auto outputs = net_->forward({&rows, 1}).value();
  for (std::size_t i = 3; i < 40; ++i) {
    const auto want = expected(i);
    for (std::size_t k = 0; k < 3; ++k) {
      ASSERT_NEAR(static_cast<double>(outputs[(i - 3) * 3 + k]), want[k], 1e-5 * std::max(1.0, std::abs(want[k]))) << i;
    }
  }
}

// The gradient of sum(c * outputs) against the difference of the float64 formula at weights moved a little.
TEST_P(CrossLayers, GiveTheGradientsOfFiniteDifferences) {
  const RowRange rows{&events_, 0, 6};
  const auto outputs = net_->forward({&rows, 1}).value();
  const auto coefficients = random_gradients(outputs.size(), kEngineSeed);
  net_->parameters().clear_gradients();
  ASSERT_TRUE(net_->backward(coefficients).is_ok());
  const auto objective = [&] {
    double sum = 0.0;
    for (std::size_t i = 0; i < 6; ++i) {
      const auto row = expected(i);
      for (std::size_t k = 0; k < 3; ++k) sum += row[k] * static_cast<double>(coefficients[i * 3 + k]);
    }
    return sum;
  };
  const auto check = [&](float& value, double gradient, const std::string& what) {
    const float before = value;
    const float step = 1.0F / 65536;
    value = before + step;
    const double above = objective();
    const double up = static_cast<double>(value);
    value = before - step;
    const double difference = (above - objective()) / (up - static_cast<double>(value));
    value = before;
    EXPECT_NEAR(gradient, difference, 1e-3 * std::max(1.0, std::abs(difference))) << what;
  };
  Parameters& parameters = net_->parameters();
  Rng rng(kEngineSeed);
  for (const auto& tensor : parameters.tensors) {
    for (int draw = 0; draw < 4 && tensor.rows * tensor.columns > 0; ++draw) {
      const std::size_t at = tensor.offset + rng.below(tensor.rows) * tensor.stride + rng.below(tensor.columns);
      check(parameters.dense.data()[at], static_cast<double>(parameters.dense_gradients.data()[at]), tensor.name);
    }
  }
  for (std::size_t slot = 0; slot < parameters.table.touched().size(); ++slot) {
    const std::size_t e = rng.below(variant_.options.embedding_dim);
    check(parameters.table.row(parameters.table.touched()[slot])[e],
          static_cast<double>(parameters.table.gradient(slot)[e]), "embedding");
  }
}

TEST_P(CrossLayers, GiveARowTheSameBitsInAnyBatch) {
  const RowRange all{&events_, 0, 67};
  const auto outputs = net_->forward({&all, 1}).value();
  const std::vector<float> whole(outputs.begin(), outputs.end());
  for (const std::size_t size : {1UL, 2UL, 5UL, 33UL}) {
    for (std::size_t begin = 0; begin + size <= 67; begin += size) {
      const RowRange part{&events_, begin, begin + size};
      const auto some = net_->forward({&part, 1}).value();
      ASSERT_TRUE(std::equal(some.begin(), some.end(), whole.begin() + static_cast<std::ptrdiff_t>(begin * 3)))
          << size << " rows from " << begin;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, CrossLayers, testing::Range<std::size_t>(0, kCrossVariants),
                         [](const auto& tested) { return cross_variants()[tested.param].name; });

// What is published predicts as the training weights do, also beside models of other shapes on the same thread.
TEST(Dcn, PublishesWhatItTrains) {
  for (const auto place : {CrossPlace::kStacked, CrossPlace::kParallel}) {
    auto options = engine_options(Architecture::kDcn, Task::kBinary);
    options.model.cross = place;
    auto learner = make_learner(options, EngineKind::kNative);
    auto other_options = options;
    other_options.model.cross_layers = 4;
    other_options.model.embedding_dim = 9;
    auto other = make_learner(other_options, EngineKind::kNative);
    const auto probe = synthetic_events(engine_layout(), 100, kEngineSeed + 5000, Task::kBinary);
    for (std::uint64_t round = 0; round < 3; ++round) {
      train_one_round(*learner, round);
      train_one_round(*other, round);
      published_predictions(*other, round);
      const auto published = published_predictions(*learner, round);
      // The loss under the training weights, as it goes by the outputs of forward().
      const auto losses = learner->losses(probe).value();
      for (std::size_t i = 0; i < probe.size(); ++i) {
        const double p = static_cast<double>(published[i]);
        ASSERT_NEAR(static_cast<double>(losses[i]), -std::log(probe.labels[i] > 0.5F ? p : 1.0 - p), 1e-5);
      }
      Predictions evaluated;
      ASSERT_TRUE(learner->evaluate(probe, evaluated).is_ok());
      ASSERT_TRUE(std::equal(published.begin(), published.end(), evaluated.values.begin()));
    }
  }
}

TEST(Dcn, ContinuesToTheBitAfterLoading) {
  auto options = engine_options(Architecture::kDcn, Task::kMulticlass);
  options.model.cross_rank = 7;
  options.published = PublishedWeights::kEma;
  auto first = make_learner(options, EngineKind::kNative);
  for (std::uint64_t round = 0; round < 3; ++round) train_one_round(*first, round);
  const std::string state = saved(*first);
  auto second = make_learner(options, EngineKind::kNative);
  ByteReader in(state);
  ASSERT_TRUE(second->load(in).is_ok());
  for (std::uint64_t round = 3; round < 6; ++round) {
    train_one_round(*first, round);
    train_one_round(*second, round);
    ASSERT_EQ(published_predictions(*second, round), published_predictions(*first, round));
  }
  EXPECT_EQ(saved(*second), saved(*first));
  EXPECT_NE(saved(*second), state);
  options.model.cross_rank = 0;
  ByteReader again(state);
  EXPECT_FALSE(make_learner(options, EngineKind::kNative)->load(again).is_ok()) << "weights of another rank";
}

TEST(Dcn, RefusesWhatCannotBeCrossed) {
  const auto refused = [](const ModelOptions& options, const EncodedLayout& layout, std::string_view why) {
    const auto net = make_tabular_net(options, layout);
    ASSERT_EQ(net.code(), Code::kInvalidArgument);
    EXPECT_NE(net.status().message().find(why), std::string::npos) << net.status().message();
  };
  const auto options = engine_options(Architecture::kDcn, Task::kBinary).model;
  refused(options, EncodedLayout{}, "at least one feature");
  auto rank = options;
  rank.cross_rank = 24;  // 3 embeddings of 6 and 6 numbers
  refused(rank, engine_layout(), "24 values a row");
  rank.cross_rank = 23;
  EXPECT_TRUE(make_tabular_net(rank, engine_layout()).is_ok());
  auto none = options;
  none.cross_layers = 0;
  refused(none, engine_layout(), "model.cross_layers is 0");
}

// DCN V2 was made for products of features, which a linear model cannot have and a sum of two cannot either.
TEST(Dcn, LearnsAProductOfTwoFeaturesWithoutHiddenLayers) {
  const auto layout = synthetic_layout(4, 0);
  const auto mean_loss = [&](Architecture architecture) {
    auto options = engine_options(architecture, Task::kRegression);
    options.model.hidden = {};
    options.model.cross_layers = 1;
    options.optimizer.kind = OptimizerKind::kAdam;
    options.schedule.learning_rate = 0.01F;
    auto learner = Learner::create(options, layout, Device{}).value();
    double loss = 0.0;
    for (std::uint64_t round = 0; round < 100; ++round) {
      auto events = synthetic_events(layout, 256, kEngineSeed + round, Task::kRegression);
      for (std::size_t i = 0; i < events.size(); ++i)
        events.labels[i] = events.dense_row(i)[0] * events.dense_row(i)[2];
      loss = learner->train_round({&events, nullptr, round}).value().mean_loss;
    }
    return loss;
  };
  EXPECT_GT(mean_loss(Architecture::kLinear), 0.09) << "the label's variance is 1/9";
  EXPECT_LT(mean_loss(Architecture::kDcn), 0.001);
}

}  // namespace
}  // namespace freshet
