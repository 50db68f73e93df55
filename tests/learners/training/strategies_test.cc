// The gradients of each strategy against its paper's formula, written with LibTorch's autograd in float64.
#include <functional>
#include <vector>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "learners/training/learner.h"
#include "learners/training/strategy.h"
#include "tests/learners/training/synthetic_events.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 99;
constexpr std::size_t kFresh = 5;
constexpr std::size_t kReplayed = 6;
constexpr std::size_t kRows = kFresh + kReplayed;

// A model that says what it is told to and keeps the gradients that come back.
class ScriptedModel final : public Model {
 public:
  ScriptedModel(Task task, std::uint32_t width, std::vector<HiddenLayer> layers)
      : task_(task), width_(width), layers_(std::move(layers)) {}
  Task task() const override { return task_; }
  std::uint32_t outputs() const override { return width_; }
  Result<std::span<const float>> forward(std::span<const RowRange> rows) override {
    EXPECT_EQ(row_count(rows) * width_, says.size());
    return std::span<const float>(says);
  }
  Status backward(std::span<const float> output_gradients) override {
    return backward_from_hidden(output_gradients, {});
  }
  std::span<const HiddenLayer> hidden_layers() const override { return layers_; }
  Result<std::span<const float>> hidden(std::size_t layer) override { return std::span<const float>(hides[layer]); }
  Status backward_from_hidden(std::span<const float> output_gradients,
                              std::span<const std::span<const float>> hidden_gradients) override {
    at_outputs.assign(output_gradients.begin(), output_gradients.end());
    at_hidden.clear();
    for (const auto& gradient : hidden_gradients) at_hidden.emplace_back(gradient.begin(), gradient.end());
    return Status::ok();
  }
  Status loss_gradients(std::span<const RowRange>, const Loss&, std::span<LossSum>) override {
    return internal_error("not scripted");
  }

  std::vector<float> says;                // outputs, [rows, width]
  std::vector<std::vector<float>> hides;  // activations
  std::vector<float> at_outputs;          // what came back
  std::vector<std::vector<float>> at_hidden;

 private:
  Task task_;
  std::uint32_t width_;
  std::vector<HiddenLayer> layers_;
};

torch::Tensor matrix(const std::vector<float>& values, std::size_t width) {
  return torch::tensor(values, torch::kFloat64).view({-1, static_cast<int64_t>(width)});
}
torch::Tensor rows(const torch::Tensor& all, std::size_t begin, std::size_t end) {
  return all.slice(0, static_cast<int64_t>(begin), static_cast<int64_t>(end));
}

// One mini-batch of a strategy and what must come of it.
struct Step {
  Step(Task task, std::uint32_t width, const StrategyOptions& options, const std::vector<HiddenLayer>& layers = {})
      : model(task, width, layers), task_(task), width_(width) {
    const auto layout = synthetic_layout(2, 0);
    fresh = synthetic_events(layout, kFresh, kSeed, task, width);
    replay = synthetic_events(layout, kReplayed + 2, kSeed + 1, task, width);
    Rng rng(kSeed);
    const auto noise = [&](std::size_t size) {
      std::vector<float> values(size);
      for (auto& value : values) value = static_cast<float>(4 * rng.uniform() - 2);
      return values;
    };
    model.says = noise(kRows * width);
    for (const auto& layer : layers) model.hides.push_back(noise(kRows * layer.width));
    strategy = Strategy::create(options).value();
    const Status prepared = strategy->prepare(model);
    EXPECT_TRUE(prepared.is_ok()) << prepared.to_string();
    for (const auto& column : strategy->columns()) {
      stored.push_back(noise(kReplayed * column.width));
      to_store.emplace_back(kFresh * column.width, kNeverStored);
    }
  }

  StepLoss run(const LossOptions& options = {}) {
    LossOptions loss_options = options;
    loss_options.kind = default_loss(task_);
    const Loss loss = Loss::create(loss_options, task_, width_).value();
    std::vector<std::span<const float>> stored_views(stored.begin(), stored.end());
    std::vector<std::span<float>> to_store_views(to_store.begin(), to_store.end());
    replay_losses.assign(kReplayed, -1.0F);
    // The replayed rows stand within their batch.
    MiniBatch batch{{&fresh, 0, kFresh}, {&replay, 1, 1 + kReplayed, replay_losses.data()}, kReplayed};
    batch.stored = stored_views;
    batch.to_store = to_store_views;
    auto sums = strategy->compute_gradients(model, loss, batch);
    EXPECT_TRUE(sums.is_ok()) << sums.status().to_string();
    return sums.is_ok() ? *sums : StepLoss{};
  }

  torch::Tensor labels() const { return column(fresh.labels, replay.labels); }
  torch::Tensor weights() const { return column(fresh.weights, replay.weights); }

  // Mean of the weighted label losses of rows [begin, end), fresh ones first.
  torch::Tensor label_loss(const torch::Tensor& outputs, std::size_t begin, std::size_t end) const {
    const auto said = rows(outputs, begin, end);
    const auto label = rows(labels(), begin, end);
    torch::Tensor each;
    if (task_ == Task::kMulticlass) {
      each = -torch::log_softmax(said, 1).gather(1, label.to(torch::kLong).unsqueeze(1)).squeeze(1);
    } else if (task_ == Task::kBinary) {
      each = torch::softplus(said.squeeze(1)) - label * said.squeeze(1);
    } else {
      each = (said.squeeze(1) - label).square();
    }
    return (rows(weights(), begin, end) * each).mean();
  }
  // Gradients of `formula` at the model's outputs, and at its hidden layers.
  void expect(
      const std::function<torch::Tensor(const torch::Tensor&, const std::vector<torch::Tensor>&)>& formula) const {
    auto outputs = matrix(model.says, width_).requires_grad_();
    std::vector<torch::Tensor> hidden;
    for (std::size_t l = 0; l < model.hides.size(); ++l) {
      hidden.push_back(matrix(model.hides[l], model.hidden_layers()[l].width).requires_grad_());
    }
    formula(outputs, hidden).backward();
    compare(model.at_outputs, outputs.grad());
    ASSERT_EQ(model.at_hidden.size(), hidden.size());
    for (std::size_t l = 0; l < hidden.size(); ++l) compare(model.at_hidden[l], hidden[l].grad());
  }

  ScriptedModel model;
  EncodedBatch fresh, replay;
  std::unique_ptr<Strategy> strategy;
  std::vector<std::vector<float>> stored, to_store;
  std::vector<float> replay_losses;

 private:
  static torch::Tensor column(const std::vector<float>& of_fresh, const std::vector<float>& of_replay) {
    std::vector<float> all(of_fresh.begin(), of_fresh.begin() + kFresh);
    all.insert(all.end(), of_replay.begin() + 1, of_replay.begin() + 1 + kReplayed);
    return torch::tensor(all, torch::kFloat64);
  }
  static void compare(const std::vector<float>& got, const torch::Tensor& want) {
    const auto flat = want.contiguous().view({-1});
    ASSERT_EQ(static_cast<int64_t>(got.size()), flat.size(0));
    double largest = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const auto value = flat[static_cast<int64_t>(i)].item<double>();
      ASSERT_NEAR(got[i], value, 1e-5) << i;
      largest = std::max(largest, std::abs(value));
    }
    ASSERT_GT(largest, 1e-3) << "nothing to compare";
  }

  Task task_;
  std::uint32_t width_;
};

class DarkExperience : public testing::TestWithParam<Task> {
 protected:
  static std::uint32_t width() { return GetParam() == Task::kMulticlass ? 3 : 1; }
};

TEST_P(DarkExperience, PullsOutputsToTheStoredOnes) {
  StrategyOptions options{"der"};
  options.settings.der.alpha = 0.7F;
  Step step(GetParam(), width(), options);
  ASSERT_EQ(step.strategy->columns().size(), 1U);
  EXPECT_EQ(step.strategy->columns()[0].name, "logits");
  EXPECT_EQ(step.strategy->columns()[0].width, width());
  step.stored[0][2 * width()] = kNeverStored;  // no distance
  const StepLoss sums = step.run();
  step.expect([&](const torch::Tensor& outputs, const auto&) {
    auto stored = torch::nan_to_num(matrix(step.stored[0], width()));  // a zero gradient times NaN is NaN
    auto distance = (rows(outputs, kFresh, kRows) - stored).square().mean(1) * rows(step.weights(), kFresh, kRows);
    distance = torch::cat({rows(distance, 0, 2), rows(distance, 3, kReplayed)}).sum() / double{kReplayed};
    return step.label_loss(outputs, 0, kFresh) + 0.7 * distance;
  });
  EXPECT_EQ(step.to_store[0], std::vector<float>(step.model.says.begin(), step.model.says.begin() + kFresh * width()));
  EXPECT_EQ(sums.replay.usable, kReplayed);
  for (const float loss : step.replay_losses) EXPECT_GE(loss, 0.0F);
}

TEST_P(DarkExperience, WithLabelsTakesBothTermsFromAllOrFromHalves) {
  for (const bool two_draws : {false, true}) {
    StrategyOptions options{"der_pp"};
    options.settings.der_pp = {0.3F, 0.6F, two_draws};
    Step step(GetParam(), width(), options);
    const StepLoss sums = step.run();
    const std::size_t half = kReplayed / 2;
    const std::size_t far = two_draws ? kFresh + half : kRows;
    const std::size_t near = two_draws ? kFresh + half : kFresh;
    step.expect([&](const torch::Tensor& outputs, const auto&) {
      const auto stored = rows(matrix(step.stored[0], width()), 0, far - kFresh);
      const auto distance =
          ((rows(outputs, kFresh, far) - stored).square().mean(1) * rows(step.weights(), kFresh, far)).mean();
      return step.label_loss(outputs, 0, kFresh) + 0.3 * distance + 0.6 * step.label_loss(outputs, near, kRows);
    });
    EXPECT_EQ(sums.fresh.usable, kFresh);
    EXPECT_EQ(sums.replay.usable, kReplayed);
    for (const float loss : step.replay_losses) EXPECT_GE(loss, 0.0F);
  }
}

INSTANTIATE_TEST_SUITE_P(All, DarkExperience, testing::Values(Task::kBinary, Task::kMulticlass, Task::kRegression),
                         [](const auto& tested) { return std::string(task_name(tested.param)); });

// Restricted to classes by hand: their columns of the logits alone.
torch::Tensor restricted(const Step& step, const torch::Tensor& outputs, const std::vector<int64_t>& classes) {
  const auto said = rows(outputs, 0, kFresh).index_select(1, torch::tensor(classes));
  std::vector<int64_t> places;
  for (std::size_t i = 0; i < kFresh; ++i) {
    const auto label = static_cast<int64_t>(step.fresh.labels[i]);
    places.push_back(std::find(classes.begin(), classes.end(), label) - classes.begin());
  }
  const auto own = torch::log_softmax(said, 1).gather(1, torch::tensor(places).unsqueeze(1)).squeeze(1);
  return -(own * rows(step.weights(), 0, kFresh)).mean();
}

TEST(AsymmetricReplay, KeepsFreshEventsFromClassesThatOnlyTheMemoryHolds) {
  Step step(Task::kMulticlass, 4, {"er_ace"});
  EXPECT_TRUE(step.strategy->columns().empty());
  const auto expect = [&](const std::vector<float>& labels, const std::vector<int64_t>& classes) {
    std::copy(labels.begin(), labels.end(), step.fresh.labels.begin());
    const StepLoss sums = step.run();
    step.expect([&](const torch::Tensor& outputs, const auto&) {
      return restricted(step, outputs, classes) + step.label_loss(outputs, kFresh, kRows);
    });
    EXPECT_NEAR(sums.fresh.weighted / kFresh, restricted(step, matrix(step.model.says, 4), classes).item<double>(),
                1e-5);
  };
  expect({0, 1, 1, 0, 0}, {0, 1, 2, 3});  // none was seen before
  expect({1, 1, 1, 1, 1}, {1, 2, 3});     // 0 was: it is the memory's
  expect({2, 2, 1, 2, 1}, {1, 2, 3});
  // What was seen is part of the state.
  ByteWriter out;
  ASSERT_TRUE(step.strategy->save(out).is_ok());
  const std::string state = out.take();
  step.strategy = Strategy::create({"er_ace"}).value();
  ASSERT_TRUE(step.strategy->prepare(step.model).is_ok());
  ByteReader in(state);
  ASSERT_TRUE(step.strategy->load(in).is_ok());
  EXPECT_TRUE(in.at_end());
  expect({2, 2, 2, 2, 2}, {2, 3});
  expect({3, 3, 3, 3, 3}, {3});
  expect({3, 2, 1, 0, 3}, {0, 1, 2, 3});
}

TEST(AsymmetricReplay, SmoothsLabelsOverTheClassesThatTakePart) {
  Step step(Task::kMulticlass, 3, {"er_ace"});
  std::ranges::fill(step.fresh.labels, 0.0F);
  step.run();
  std::ranges::fill(step.fresh.labels, 1.0F);
  step.run({.label_smoothing = 0.2F});
  step.expect([&](const torch::Tensor& outputs, const auto&) {
    const auto logs = torch::log_softmax(rows(outputs, 0, kFresh).slice(1, 1), 1);  // classes 1 and 2
    const auto fresh = -(0.9 * logs.select(1, 0) + 0.1 * logs.select(1, 1)) * rows(step.weights(), 0, kFresh);
    const auto all = torch::log_softmax(rows(outputs, kFresh, kRows), 1);
    const auto label = rows(step.labels(), kFresh, kRows).to(torch::kLong).unsqueeze(1);
    const auto replay = -(0.8 * all.gather(1, label).squeeze(1) + 0.2 / 3 * all.sum(1));
    return fresh.mean() + (replay * rows(step.weights(), kFresh, kRows)).mean();
  });
}

TEST(AsymmetricReplay, LearnsNothingFromFreshEventsOfOneOfTwoClasses) {
  Step step(Task::kBinary, 1, {"er_ace"});
  std::ranges::fill(step.fresh.labels, 0.0F);
  step.run();  // yes was never seen: the whole loss
  step.expect([&](const torch::Tensor& outputs, const auto&) {
    return step.label_loss(outputs, 0, kFresh) + step.label_loss(outputs, kFresh, kRows);
  });
  std::ranges::fill(step.fresh.labels, 1.0F);
  step.run();
  step.expect([&](const torch::Tensor& outputs, const auto&) { return step.label_loss(outputs, kFresh, kRows); });
  std::ranges::fill(step.fresh.labels, 0.25F);  // some of both
  step.run();
  step.expect([&](const torch::Tensor& outputs, const auto&) {
    return step.label_loss(outputs, 0, kFresh) + step.label_loss(outputs, kFresh, kRows);
  });
}

TEST(PooledDistillation, HoldsHiddenLayersToTheirStoredDirection) {
  const std::vector<HiddenLayer> layers = {{"hidden0", 4}, {"hidden1", 2}};
  StrategyOptions options{"pod_er"};
  options.settings.pod_er.alpha = 0.8F;
  Step step(Task::kMulticlass, 3, options, layers);
  ASSERT_EQ(step.strategy->columns().size(), 2U);
  EXPECT_EQ(step.strategy->columns()[1].name, "hidden1");
  step.stored[1][0] = kNeverStored;
  std::fill_n(step.model.hides[0].begin() + static_cast<std::ptrdiff_t>((kFresh + 1) * 4), 4, 0.0F);  // no direction
  step.run();
  step.expect([&](const torch::Tensor& outputs, const std::vector<torch::Tensor>& hidden) {
    auto distance = torch::zeros({}, torch::kFloat64);
    for (std::size_t l = 0; l < 2; ++l) {
      for (std::size_t i = 0; i < kReplayed; ++i) {
        if ((l == 1 && i == 0) || (l == 0 && i == 1)) continue;
        const auto now = hidden[l][static_cast<int64_t>(kFresh + i)];
        const auto then = matrix(step.stored[l], layers[l].width)[static_cast<int64_t>(i)];
        distance = distance + step.weights()[static_cast<int64_t>(kFresh + i)] *
                                  (now / now.norm() - then / then.norm()).square().sum();
      }
    }
    return step.label_loss(outputs, 0, kRows) + 0.8 * distance / double{2 * kReplayed};
  });
  for (std::size_t l = 0; l < 2; ++l) {
    EXPECT_EQ(step.to_store[l],
              std::vector<float>(step.model.hides[l].begin(), step.model.hides[l].begin() + kFresh * layers[l].width));
  }
}

TEST(PooledDistillation, RefusesAModelWithoutHiddenLayers) {
  ScriptedModel model(Task::kBinary, 1, {});
  const Status status = Strategy::create({"pod_er"}).value()->prepare(model);
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
}

TEST(Strategies, RefuseWeightsThatAreNone) {
  StrategyOptions options{"der_pp"};
  options.settings.der_pp.beta = -1.0F;
  EXPECT_EQ(Strategy::create(options).code(), Code::kInvalidArgument);
  options.kind = "pod_er";
  options.settings.pod_er.alpha = std::nanf("");
  EXPECT_EQ(Strategy::create(options).code(), Code::kInvalidArgument);
}

// What a strategy stores is what the training weights said before the step, to the bit; an event that is replayed in
// its own round brings it along once it is there.
TEST(StoredValues, AreWhatTheModelSaidAtTheStep) {
  const auto layout = synthetic_layout(4, 2);
  LearnerOptions options;
  options.strategy = "der_pp";
  options.model.task = Task::kRegression;
  options.model.embedding_rows = 64;
  options.loss.kind = LossKind::kMse;
  options.batch_size = 8;  // four fresh, four replayed
  auto learner = Learner::create(options, layout, Device{}).value();
  auto fresh = synthetic_events(layout, 8, kSeed, Task::kRegression);
  for (std::size_t i = 0; i < 8; ++i) fresh.seqs[i] = 100 + i;
  // The first step replays nothing; the second events of the first step, one that is still to come, and an old one.
  auto replay = synthetic_events(layout, 8, kSeed + 1, Task::kRegression);
  for (std::size_t i = 0; i < 8; ++i) replay.seqs[i] = 1 + i;
  replay.seqs[4] = 102;
  replay.seqs[5] = 105;
  replay.seqs[6] = 100;
  std::vector<float> stored(8, kNeverStored);
  stored[7] = 3.5F;
  std::vector<float> to_store(8);
  Predictions before;
  ASSERT_TRUE(learner->evaluate(fresh, before).is_ok());
  const std::span<float> stored_view[] = {stored};
  const std::span<float> to_store_view[] = {to_store};
  ASSERT_TRUE(learner->train_round({&fresh, &replay, 1, {}, stored_view, to_store_view}).is_ok());
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(to_store[i], before.values[i]) << i;
  for (std::size_t i = 4; i < 8; ++i) EXPECT_NE(to_store[i], before.values[i]) << "a step lies between";
  for (std::size_t i = 0; i < 4; ++i) EXPECT_FALSE(is_stored({&stored[i], 1}));
  EXPECT_EQ(stored[4], to_store[2]);
  EXPECT_FALSE(is_stored({&stored[5], 1})) << "it is trained on in this very step";
  EXPECT_EQ(stored[6], to_store[0]);
  EXPECT_EQ(stored[7], 3.5F);
  // Matrices that do not fit are refused.
  const std::span<float> narrow[] = {std::span<float>(stored).first(7)};
  EXPECT_EQ(learner->train_round({&fresh, &replay, 2, {}, narrow, to_store_view}).code(), Code::kInvalidArgument);
  const std::span<float> two[] = {stored, stored};
  EXPECT_EQ(learner->train_round({&fresh, &replay, 2, {}, two, to_store_view}).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace freshet
