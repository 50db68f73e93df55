#include <cmath>
#include <fstream>

#include "tests/learners/modules/module_cases.h"

namespace freshet {
namespace {

const EncodedLayout& numbers_only() {
  static const EncodedLayout kLayout = synthetic_layout(4, 0);
  return kLayout;
}

class ScriptModel : public testing::Test {
 protected:
  std::string write(const std::string& code, std::vector<std::pair<std::string, at::Tensor>> parameters = {},
                    const std::vector<std::pair<std::string, at::Tensor>>& buffers = {}) {
    if (parameters.empty()) parameters = {{"w", at::full({4, 1}, 0.1)}};
    return write_module(folder_.file(fmt::format("m{}.pt", files_++)), parameters, code, buffers);
  }
  // What is said of a module that cannot be trained.
  std::string words(const std::string& path, Task task = Task::kRegression,
                    const EncodedLayout& layout = numbers_only()) {
    const auto learner = Learner::create(module_options(path, task), layout, Device{});
    EXPECT_FALSE(learner.is_ok());
    return learner.status().message();
  }
  ModuleFolder folder_;
  int files_ = 0;
};

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(ScriptModel, SaysWhatIsWrongWithAFile) {
  EXPECT_SAYS(words(folder_.file("none.pt")), "there is no file");
  std::ofstream(folder_.file("text.pt")) << "not a module\n";
  EXPECT_SAYS(words(folder_.file("text.pt")), "is no TorchScript module");
  EXPECT_SAYS(words(""), "model.path must name the file");
}

TEST_F(ScriptModel, SaysWhatIsWrongWithAModule) {
  const std::string good = "def forward(self, x):\n  return torch.matmul(x, self.w)\n";
  EXPECT_SAYS(words(write("def forward(self, x, y, z):\n  return torch.matmul(x, self.w)\n")),
              "forward takes 3 inputs");
  EXPECT_SAYS(words(write(good), Task::kRegression, synthetic_layout(4, 2)),
              "these features are categories: category0, category1");
  EXPECT_SAYS(words(write(good), Task::kRegression, synthetic_layout(5, 0)), "tried with numbers [16, 5]");
  EXPECT_SAYS(words(write(good), Task::kMulticlass),
              "forward returns [16, 1] for 16 rows; a multiclass task needs [16, 3]");
  EXPECT_SAYS(words(write("def forward(self, x):\n  return torch.matmul(x, self.w).sum()\n")),
              "forward returns [] for 16 rows; a regression task needs [16] or [16, 1]");
  EXPECT_SAYS(words(write("def forward(self, x):\n  return torch.matmul(x, self.w).double()\n")),
              "forward returns Double; it must be float32");
  EXPECT_SAYS(words(write("def forward(self, x):\n  return [torch.matmul(x, self.w)]\n")), "not a tensor");
  EXPECT_SAYS(words(write("def forward(self, x):\n  return torch.matmul(x, self.w.float())\n",
                          {{"w", at::full({4, 1}, 0.1, at::kDouble)}})),
              "the parameter w is Double; parameters must be float32");
  EXPECT_SAYS(words(write("def forward(self, x):\n  return torch.matmul(x, self.w.float())\n",
                          {{"w", at::ones({4, 1}, at::kLong)}})),
              "no parameter that asks for gradients");
  EXPECT_SAYS(words(write("def forward(self, x):\n  return x.sum(1)\n")), "no parameter has a part in the loss");
  EXPECT_SAYS(
      words(
          write(good + "def loss(self, outputs, targets):\n  return (outputs.squeeze(1) - targets).square().mean()\n")),
      "loss returns [] for 3 rows; it must be [3], a loss for each row, not their mean");
  EXPECT_SAYS(
      words(write(good + "def loss(self, outputs, targets):\n  return (outputs.squeeze(1) - targets).double()\n")),
      "loss returns Double; it must be float32");
  EXPECT_SAYS(words(write("def forward(self, x):\n  assert x.size(0) == 0, 'no such thing'\n"
                          "  return torch.matmul(x, self.w)\n")),
              "no such thing");
}

TEST_F(ScriptModel, CategoriesComeWithinTheRowsOfTheEmbedding) {
  const std::string code = "def forward(self, x, c):\n  return torch.matmul(x, self.w).squeeze(1) + self.e[c].sum(1)\n";
  const auto module = [&](std::int64_t rows) {
    return write(code, {{"w", at::zeros({4, 1})}, {"e", at::zeros({rows})}});
  };
  EXPECT_SAYS(words(module(255), Task::kRegression, synthetic_layout(4, 2)), "out of bounds");
  EXPECT_NE(module_learner(module_options(module(256), Task::kRegression), synthetic_layout(4, 2)), nullptr);
}

// By hand: loss of a row is 3 |output - target|, so the gradient of w is the mean of 3 weight sign(error) x.
TEST_F(ScriptModel, ItsOwnLossIsTrainedOnAndTold) {
  const auto path = write(
      "def forward(self, x):\n  return torch.matmul(x, self.w)\n"
      "def loss(self, outputs, targets):\n  return 3.0 * (outputs.squeeze(1) - targets).abs()\n");
  for (const std::string strategy : {"er", "der_pp"}) {
    SCOPED_TRACE(strategy);
    LearnerOptions options = module_options(path, Task::kRegression);
    options.strategy = strategy;
    options.optimizer.kind = OptimizerKind::kSgd;
    options.schedule.learning_rate = 1.0F;
    const auto learner = module_learner(options, numbers_only());
    ASSERT_NE(learner, nullptr);
    const auto events = synthetic_events(numbers_only(), 16, kModuleSeed, Task::kRegression);
    const auto losses = learner->losses(events).value();
    std::vector<double> want(4, 0.1);
    double mean = 0.0;
    for (std::size_t i = 0; i < events.size(); ++i) {
      double output = 0.0;
      for (const float x : events.dense_row(i)) output += 0.1 * static_cast<double>(x);
      const double error = output - static_cast<double>(events.labels[i]);
      ASSERT_NEAR(losses[i], 3.0 * std::abs(error), 1e-5);
      const auto weight = static_cast<double>(events.weights[i]);
      mean += weight * 3.0 * std::abs(error) / 16.0;
      for (std::size_t k = 0; k < 4; ++k) {
        want[k] -= 3.0 * weight * (error > 0.0 ? 1.0 : -1.0) * static_cast<double>(events.dense_row(i)[k]) / 16.0;
      }
    }
    const auto report = learner->train_round({&events, nullptr, 0});
    ASSERT_TRUE(report.is_ok()) << report.status().to_string();
    EXPECT_NEAR(report->mean_loss, mean, 1e-5);
    auto probe = synthetic_events(numbers_only(), 4, kModuleSeed, Task::kRegression);
    for (std::size_t k = 0; k < 4; ++k) {
      for (std::size_t j = 0; j < 4; ++j) probe.dense_row(k)[j] = j == k ? 1.0F : 0.0F;
    }
    const auto weights = predictions_of(*learner->publish(1), probe);
    for (std::size_t k = 0; k < 4; ++k) EXPECT_NEAR(weights[k], want[k], 1e-5);
  }
}

// By hand: the mean of |output - target| over 40 rows, which are more than one block of forward.
TEST_F(ScriptModel, ItsOwnMeasuresAreThoseOfAllRows) {
  const auto path = write(
      "def forward(self, x):\n  return torch.matmul(x, self.w)\n"
      "def metrics(self, outputs, targets):\n"
      "  return {'mean_error': (outputs.squeeze(1) - targets).abs().mean(), 'rows': torch.tensor(outputs.size(0))}\n");
  const auto learner = module_learner(module_options(path, Task::kRegression), numbers_only());
  ASSERT_NE(learner, nullptr);
  const auto events = synthetic_events(numbers_only(), 40, kModuleSeed, Task::kRegression);
  double mean = 0.0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    double output = 0.0;
    for (const float x : events.dense_row(i)) output += 0.1 * static_cast<double>(x);
    mean += std::abs(output - static_cast<double>(events.labels[i])) / 40.0;
  }
  const auto model = learner->publish(1);
  EXPECT_TRUE(model->has_measures());
  const auto measures = model->measures(events);
  ASSERT_TRUE(measures.is_ok()) << measures.status().to_string();
  ASSERT_EQ(measures->size(), 2U);
  EXPECT_EQ(measures->at(0).name, "mean_error");
  EXPECT_NEAR(measures->at(0).value, mean, 1e-5);
  EXPECT_EQ(measures->at(1).value, 40.0);
  const std::string plain = write("def forward(self, x):\n  return torch.matmul(x, self.w)\n");
  EXPECT_FALSE(module_learner(module_options(plain, Task::kRegression), numbers_only())->publish(1)->has_measures());
}

TEST_F(ScriptModel, MeasuresThatAreNoneAreSaidAtTheStart) {
  const std::string good = "def forward(self, x):\n  return torch.matmul(x, self.w)\n";
  EXPECT_SAYS(words(write(good + "def metrics(self, outputs, targets):\n  return outputs\n")), "not a dict");
  EXPECT_SAYS(words(write(good + "def metrics(self, outputs, targets):\n  return {'all': outputs}\n")),
              "metrics gives no number for all");
  EXPECT_SAYS(words(write(good + "def metrics(self, outputs, targets):\n  return {1: 2.0}\n")), "keys are not texts");
}

TEST_F(ScriptModel, ALossThatIsNoNumberIsSkippedAndCounted) {
  const auto path = write(
      "def forward(self, x):\n  return torch.matmul(x, self.w)\n"
      "def loss(self, outputs, targets):\n  return torch.sqrt(targets) + outputs.squeeze(1)\n");
  const auto learner = module_learner(module_options(path, Task::kRegression), numbers_only());
  auto events = synthetic_events(numbers_only(), 48, kModuleSeed, Task::kRegression);
  for (std::size_t i = 0; i < events.size(); ++i) events.labels[i] = i == 20 ? -1.0F : 1.0F;
  const auto report = learner->train_round({&events, nullptr, 0});
  ASSERT_TRUE(report.is_ok()) << report.status().to_string();
  EXPECT_EQ(report->skipped_non_finite, 1U);
  EXPECT_EQ(report->steps, 2U);
}

TEST_F(ScriptModel, AnExceptionFailsTheRoundAndNoMore) {
  const auto path = write(
      "def forward(self, x):\n  assert not bool((x > 5.0).any()), 'a number above five'\n"
      "  self.seen.add_(1)\n  return torch.matmul(x, self.w)\n",
      {}, {{"seen", at::zeros({1})}});
  const auto learner = module_learner(module_options(path, Task::kRegression), numbers_only());
  ASSERT_NE(learner, nullptr);
  auto events = synthetic_events(numbers_only(), 40, kModuleSeed, Task::kRegression);
  const auto served = learner->publish(1);
  const auto said = predictions_of(*served, events);
  auto bad = events;
  bad.dense_row(39)[0] = 6.0F;
  const auto report = learner->train_round({&bad, nullptr, 0});
  ASSERT_FALSE(report.is_ok());
  EXPECT_SAYS(report.status().message(), "a number above five");
  EXPECT_SAYS(report.status().message(), "training step");
  EXPECT_EQ(predictions_of(*served, events), said);
  Predictions out;
  const Status refused = served->predict(bad, 0, bad.size(), out);
  EXPECT_SAYS(refused.message(), "a number above five");
  EXPECT_TRUE(learner->train_round({&events, nullptr, 1}).is_ok());
  EXPECT_NE(predictions_of(*learner->publish(2), events), said);
}

TEST_F(ScriptModel, BuffersAreKeptWithTheState) {
  const auto path = write(
      "def forward(self, x):\n  if self.training:\n    self.seen += x.size(0)\n    self.mean = 0.9 * self.mean + 0.1 * "
      "x.mean(0)\n"
      "  return torch.matmul(x - self.mean, self.w) + self.seen * 0.001\n",
      {}, {{"seen", at::zeros({1}, at::kLong)}, {"mean", at::zeros({4})}});
  const auto options = module_options(path, Task::kRegression);
  const auto learner = module_learner(options, numbers_only());
  ASSERT_NE(learner, nullptr);
  const auto zeros = [] {
    auto batch = synthetic_events(numbers_only(), 2, 1, Task::kRegression);
    std::fill_n(batch.dense(), 8, 0.0F);
    return batch;
  }();
  const float before = predictions_of(*learner->publish(1), zeros)[0];
  EXPECT_EQ(before, 0.0F);
  module_round(*learner, numbers_only(), 0);
  const float after = predictions_of(*learner->publish(2), zeros)[0];
  EXPECT_GT(after, 0.25F);  // 161 + 161 rows were seen
  const auto other = module_learner(options, numbers_only());
  const std::string state = module_state(*learner);
  ByteReader in(state);
  ASSERT_TRUE(other->load(in).is_ok());
  EXPECT_EQ(predictions_of(*other->republish(2), zeros)[0], after);
}

TEST_F(ScriptModel, SharedWeightsStayShared) {
  torch::jit::Module module("__torch__.Shared");
  module.register_attribute("training", c10::BoolType::get(), true);
  at::Tensor shared = at::full({4, 1}, 0.1).set_requires_grad(true);
  module.register_parameter("a", shared, false);
  module.register_parameter("b", shared, false);
  module.define("def forward(self, x):\n  return torch.matmul(x, self.a) + torch.matmul(x, self.b)\n");
  module.save(folder_.file("shared.pt"));
  const auto learner = module_learner(module_options(folder_.file("shared.pt"), Task::kRegression), numbers_only());
  EXPECT_EQ(learner->parameter_count(), 4U);
  module_round(*learner, numbers_only(), 0);
  learner->publish(1);
  ASSERT_TRUE(learner->export_model(folder_.file("out.pt"), "", *learner->publish(1)).is_ok());
  const torch::jit::Module out = torch::jit::load(folder_.file("out.pt"));
  EXPECT_TRUE(at::equal(out.attr("a").toTensor(), out.attr("b").toTensor()));
  EXPECT_FALSE(at::equal(out.attr("a").toTensor(), at::full({4, 1}, 0.1)));
}

TEST_F(ScriptModel, AStateOfOtherCodeIsRefused) {
  const std::string code = "def forward(self, x):\n  return torch.matmul(x, self.w)\n";
  const auto state_of = [&](const std::string& path) {
    const auto learner = module_learner(module_options(path, Task::kRegression), numbers_only());
    module_round(*learner, numbers_only(), 0);
    return module_state(*learner);
  };
  const auto load_into = [&](const std::string& state, const std::string& path) {
    const auto learner = module_learner(module_options(path, Task::kRegression), numbers_only());
    ByteReader in(state);
    return learner->load(in);
  };
  const std::string state = state_of(write(code));
  EXPECT_TRUE(load_into(state, write(code, {{"w", at::full({4, 1}, 0.7)}})).is_ok());  // other initial weights
  EXPECT_SAYS(load_into(state, write("def forward(self, x):\n  return 2 * torch.matmul(x, self.w)\n")).message(),
              "is not the one that the stored model was learnt with");
  EXPECT_SAYS(load_into(state, write("def forward(self, x):\n  return torch.matmul(x, self.w).sum(1)\n",
                                     {{"w", at::full({4, 2}, 0.1)}}))
                  .message(),
              "has 4 weights in w where this one has 8 in w");
  EXPECT_SAYS(load_into(state, write("def forward(self, x):\n  return torch.matmul(x, self.w) + self.v\n",
                                     {{"w", at::full({4, 1}, 0.1)}, {"v", at::zeros({1})}}))
                  .message(),
              "has 1 parameters, this one 2");
  LearnerOptions options = module_options("", Task::kRegression);
  options.model.architecture = Architecture::kMlp;
  options.model.hidden = {4};
  const auto mlp = module_learner(options, numbers_only());
  ByteReader in(state);
  EXPECT_FALSE(mlp->load(in).is_ok());
  const std::string tabular = module_state(*mlp);
  EXPECT_SAYS(load_into(tabular, write(code)).message(), "not one of the architecture torchscript");
  for (std::size_t size = 0; size < state.size(); size += 97) {  // cut short anywhere: refused, not believed
    EXPECT_FALSE(load_into(state.substr(0, size), write(code)).is_ok()) << size;
  }
}

TEST_F(ScriptModel, DropoutDependsOnTheSeed) {
  const auto train = [&](std::uint64_t seed) {
    auto options = module_options(tiny_model(), Task::kBinary);
    options.model.seed = seed;
    const auto learner = module_learner(options, synthetic_layout(6, 3));
    at::manual_seed(static_cast<std::uint64_t>(files_++));  // what others draw does not matter
    module_round(*learner, synthetic_layout(6, 3), 0);
    return predictions_of(*learner->publish(1), synthetic_events(synthetic_layout(6, 3), 9, 3, Task::kBinary));
  };
  EXPECT_EQ(train(1), train(1));
  EXPECT_NE(train(1), train(2));
}

TEST_F(ScriptModel, StrategiesThatItCannotServeAreRefused) {
  auto options = module_options(write("def forward(self, x):\n  return torch.matmul(x, self.w)\n"), Task::kRegression);
  options.strategy = "pod_er";
  const auto learner = Learner::create(options, numbers_only(), Device{});
  ASSERT_FALSE(learner.is_ok());
  EXPECT_SAYS(learner.status().message(), "learning.strategy");
}

}  // namespace
}  // namespace freshet
