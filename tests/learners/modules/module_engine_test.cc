#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <numeric>
#include <thread>

#include "tests/learners/modules/module_cases.h"

namespace freshet {
namespace {

// Every kind of model behind the engine, each with the layout that it is made for.
struct ModelCase {
  std::string name;
  LearnerOptions options;
  EncodedLayout layout;
};

std::vector<ModelCase> model_cases() {
  return {{"script_with_dropout_and_batch_norm", module_options(tiny_model(), Task::kBinary), synthetic_layout(6, 3)},
          {"convnet_binary", convnet_options(Task::kBinary), synthetic_layout(30, 0)},
          {"convnet_multiclass", convnet_options(Task::kMulticlass), synthetic_layout(30, 0)},
          {"convnet_regression", convnet_options(Task::kRegression), synthetic_layout(30, 0)}};
}

class EveryModule : public testing::TestWithParam<std::size_t> {
 protected:
  ModelCase tested_ = model_cases()[GetParam()];
};
INSTANTIATE_TEST_SUITE_P(Modules, EveryModule, testing::Range<std::size_t>(0, 4),
                         [](const auto& tested) { return model_cases()[tested.param].name; });

TEST_P(EveryModule, TrainingLowersTheLoss) {
  const auto learner = module_learner(tested_.options, tested_.layout);
  ASSERT_NE(learner, nullptr);
  const auto unseen = synthetic_events(tested_.layout, 300, kModuleSeed + 77, tested_.options.model.task);
  const auto mean = [&] {
    const auto losses = learner->losses(unseen).value();
    double sum = 0.0;
    for (const float loss : losses) sum += static_cast<double>(loss);
    return sum / static_cast<double>(losses.size());
  };
  const double before = mean();
  for (std::uint64_t round = 0; round < 25; ++round) module_round(*learner, tested_.layout, round);
  EXPECT_LT(mean(), 0.75 * before) << before;
}

TEST_P(EveryModule, GoesOnFromASavedStateToTheBit) {
  for (const auto published : {PublishedWeights::kRaw, PublishedWeights::kEma, PublishedWeights::kAverage}) {
    for (const auto optimizer :
         {OptimizerKind::kSgd, OptimizerKind::kAdam, OptimizerKind::kAdamW, OptimizerKind::kAdagrad}) {
      SCOPED_TRACE(fmt::format("weights {}, optimizer {}", static_cast<int>(published), optimizer_name(optimizer)));
      LearnerOptions options = tested_.options;
      options.published = published;
      options.average_rounds = 2;
      options.optimizer.kind = optimizer;
      options.optimizer.momentum = 0.9F;
      options.clip_norm = 1.0F;
      const auto whole = module_learner(options, tested_.layout);
      const auto first = module_learner(options, tested_.layout);
      const auto second = module_learner(options, tested_.layout);
      for (std::uint64_t round = 0; round < 3; ++round) {
        module_round(*whole, tested_.layout, round);
        module_round(*first, tested_.layout, round);
      }
      const auto probe = synthetic_events(tested_.layout, 50, kModuleSeed + 9, options.model.task);
      const auto published_by_first = predictions_of(*first->publish(4), probe);
      whole->publish(4);
      module_round(*second, tested_.layout, 99);  // what was there before does not matter
      const std::string bytes = module_state(*first);
      ByteReader in(bytes);
      const Status loaded = second->load(in);
      ASSERT_TRUE(loaded.is_ok()) << loaded.to_string();
      EXPECT_TRUE(in.at_end());
      EXPECT_EQ(module_state(*second), bytes);
      EXPECT_EQ(predictions_of(*second->republish(4), probe), published_by_first);
      for (std::uint64_t round = 3; round < 6; ++round) {
        module_round(*whole, tested_.layout, round);
        module_round(*second, tested_.layout, round);
        EXPECT_EQ(predictions_of(*whole->publish(round), probe), predictions_of(*second->publish(round), probe));
      }
      EXPECT_EQ(module_state(*whole), module_state(*second));
    }
  }
}

TEST_P(EveryModule, PredictsARowAlikeInEveryBatch) {
  const auto learner = module_learner(tested_.options, tested_.layout);
  for (std::uint64_t round = 0; round < 3; ++round) module_round(*learner, tested_.layout, round);
  const auto events = synthetic_events(tested_.layout, 45, kModuleSeed + 5, tested_.options.model.task);
  const auto predictor = learner->publish(1);
  const auto whole = predictions_of(*predictor, events);
  const std::size_t width = predictor->outputs();
  Predictions out;
  for (std::size_t begin = 0, size = 1; begin < events.size(); begin += size, size = size % 7 + 1) {
    const std::size_t end = std::min(begin + size, events.size());
    ASSERT_TRUE(predictor->predict(events, begin, end, out).is_ok());
    for (std::size_t i = 0; i < (end - begin) * width; ++i) ASSERT_EQ(out.values[i], whole[begin * width + i]);
  }
  ASSERT_TRUE(learner->evaluate(events, out).is_ok());
  for (std::size_t i = 0; i < whole.size(); ++i) ASSERT_EQ(out.values[i], whole[i]);  // raw weights are served
}

TEST_P(EveryModule, PublishedCopiesStandStillWhileTrainingGoesOn) {
  tested_.options.published = PublishedWeights::kEma;
  const auto learner = module_learner(tested_.options, tested_.layout);
  const auto events = synthetic_events(tested_.layout, 40, kModuleSeed + 5, tested_.options.model.task);
  module_round(*learner, tested_.layout, 0);
  // Each reader holds a model and what it said at publication; the trainer gives them newer ones.
  struct Shown {
    std::shared_ptr<const Predictor> model;
    std::vector<float> said;
  };
  std::mutex mutex;
  Shown shown{learner->publish(1), {}};
  shown.said = predictions_of(*shown.model, events);
  std::atomic<bool> over{false};
  std::atomic<std::size_t> read{0};
  std::atomic<std::size_t> wrong{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      while (!over) {
        Shown mine;
        {
          const std::lock_guard lock(mutex);
          mine = shown;
        }
        wrong += predictions_of(*mine.model, events) == mine.said ? 0 : 1;
        ++read;
      }
    });
  }
  for (std::uint64_t round = 1; round < 30; ++round) {
    module_round(*learner, tested_.layout, round);
    Shown next{learner->publish(round + 1), {}};
    next.said = predictions_of(*next.model, events);
    EXPECT_EQ(next.model->version(), round + 1);
    const std::lock_guard lock(mutex);
    EXPECT_NE(next.said, shown.said);
    std::swap(shown, next);
  }
  while (read < 100) std::this_thread::yield();
  over = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0U) << "of " << read;
}

TEST_P(EveryModule, IsExportedAsItIsServed) {
  const ModuleFolder folder;
  for (const auto published : {PublishedWeights::kRaw, PublishedWeights::kEma, PublishedWeights::kAverage}) {
    tested_.options.published = published;
    const auto learner = module_learner(tested_.options, tested_.layout);
    for (std::uint64_t round = 0; round < 4; ++round) module_round(*learner, tested_.layout, round);
    const auto events = synthetic_events(tested_.layout, 16, kModuleSeed + 5, tested_.options.model.task);
    const auto served = predictions_of(*learner->publish(7), events);
    const Status status = learner->export_model(folder.file("out.pt"), "version 7", *learner->publish(7));
    ASSERT_TRUE(status.is_ok()) << status.to_string();

    torch::jit::ExtraFilesMap extra{{"freshet.json", ""}, {"note.json", ""}};
    torch::jit::Module module = torch::jit::load(folder.file("out.pt"), at::kCPU, extra);
    EXPECT_NE(extra["freshet.json"].find("version 7"), std::string::npos);
    EXPECT_NE(extra["freshet.json"].find("number5"), std::string::npos);
    if (tested_.options.model.architecture == Architecture::kTorchScript) {
      EXPECT_NE(extra["note.json"].find("export.py"), std::string::npos);
    }
    EXPECT_FALSE(module.is_training());
    for (const auto& parameter : module.parameters()) EXPECT_TRUE(parameter.requires_grad());
    if (tested_.options.model.architecture ==
        Architecture::kTorchScript) {  // the same code: it may take the first's place
      LearnerOptions again = tested_.options;
      again.model.path = folder.file("out.pt");
      const auto other = module_learner(again, tested_.layout);
      const std::string state = module_state(*learner);
      ByteReader in(state);
      EXPECT_TRUE(other->load(in).is_ok());
    }
    at::Tensor numbers = at::empty({16, tested_.layout.dense()});
    at::Tensor categories = at::empty({16, tested_.layout.categorical()}, at::kLong);
    std::copy_n(events.dense(), numbers.numel(), numbers.mutable_data_ptr<float>());
    for (std::int64_t i = 0; i < categories.numel(); ++i) {
      categories.mutable_data_ptr<std::int64_t>()[i] = events.hashes()[i] % 256;
    }
    std::vector<c10::IValue> inputs;
    inputs.reserve(2);
    inputs.emplace_back(numbers);
    if (tested_.layout.categorical() > 0) inputs.emplace_back(categories);
    const at::NoGradGuard no_grad;
    at::Tensor outputs = module.forward(inputs).toTensor();
    if (tested_.options.model.task == Task::kBinary) outputs = outputs.sigmoid();
    if (tested_.options.model.task == Task::kMulticlass) outputs = outputs.softmax(1);
    outputs = outputs.reshape({-1}).contiguous();
    ASSERT_EQ(static_cast<std::size_t>(outputs.numel()), served.size());
    for (std::size_t i = 0; i < served.size(); ++i) EXPECT_NEAR(outputs.const_data_ptr<float>()[i], served[i], 1e-5F);
  }
}

TEST_P(EveryModule, StepsThatAreNotFiniteLeaveNoTrace) {
  const auto learner = module_learner(tested_.options, tested_.layout);
  module_round(*learner, tested_.layout, 0);
  const auto events = synthetic_events(tested_.layout, 30, kModuleSeed + 5, tested_.options.model.task);
  const auto before = predictions_of(*learner->publish(1), events);
  auto poisoned = synthetic_events(tested_.layout, 16, kModuleSeed + 6, tested_.options.model.task);
  poisoned.dense_row(3)[2] = std::numeric_limits<float>::quiet_NaN();
  const auto report = learner->train_round({&poisoned, nullptr, 1});
  ASSERT_TRUE(report.is_ok()) << report.status().to_string();
  EXPECT_EQ(report->skipped_non_finite, 1U);
  EXPECT_EQ(report->steps, 0U);
  EXPECT_EQ(predictions_of(*learner->publish(2), events), before);  // running means of a batch normalisation too
  EXPECT_EQ(module_round(*learner, tested_.layout, 2).skipped_non_finite, 0U);
}

TEST_P(EveryModule, TakesTheWeightsOfAnother) {
  tested_.options.published = PublishedWeights::kEma;
  const auto one = module_learner(tested_.options, tested_.layout);
  const auto other = module_learner(tested_.options, tested_.layout);
  for (std::uint64_t round = 0; round < 3; ++round) module_round(*one, tested_.layout, round);
  std::vector<float> weights;
  ASSERT_TRUE(one->copy_weights(weights).is_ok());
  ASSERT_TRUE(other->take_weights(weights).is_ok());
  const auto events = synthetic_events(tested_.layout, 30, kModuleSeed + 5, tested_.options.model.task);
  Predictions trained;
  ASSERT_TRUE(one->evaluate(events, trained).is_ok());
  EXPECT_EQ(predictions_of(*other->publish(1), events), trained.values);  // the average begins with them
  weights.pop_back();
  EXPECT_EQ(other->take_weights(weights).code(), Code::kInvalidArgument);
}

TEST_P(EveryModule, TrainsOnASingleEvent) {
  const auto learner = module_learner(tested_.options, tested_.layout);
  EXPECT_EQ(module_round(*learner, tested_.layout, 0, 1).steps, 1U);
}

// Those that send gradients of their own back, those that keep copies of the weights, those that pass over the memory.
TEST_P(EveryModule, StrategiesLearnAndGoOnToTheBit) {
  for (const std::string strategy : {"finetune", "der_pp", "er_ace", "lwf", "ewc", "cls_er", "mir", "super_er", "joint",
                                     "gdumb", "offline_er", "repeated_distillation"}) {
    if (strategy == "er_ace" && tested_.options.model.task == Task::kRegression) continue;
    SCOPED_TRACE(strategy);
    LearnerOptions options = tested_.options;
    options.strategy = strategy;
    const auto whole = module_learner(options, tested_.layout);
    const auto second = module_learner(options, tested_.layout);
    ASSERT_NE(whole, nullptr);
    const auto train = [&](Learner& learner, std::uint64_t round) {
      const auto memory = static_cast<std::size_t>(learner.replay_rows_for(64, 200));
      const auto fresh = synthetic_events(tested_.layout, 64, kModuleSeed + round, options.model.task);
      const auto replay = synthetic_events(tested_.layout, memory, kModuleSeed + 500 + round, options.model.task);
      const auto report = learner.train_round({&fresh, &replay, round});
      EXPECT_TRUE(report.is_ok()) << report.status().to_string();
      return report.is_ok() ? report->mean_loss : 0.0;
    };
    const auto probe = synthetic_events(tested_.layout, 200, kModuleSeed + 9000, options.model.task);
    const auto loss = [&] {
      const auto each = whole->losses(probe).value();
      return std::accumulate(each.begin(), each.end(), 0.0);
    };
    const double untrained = loss();
    for (std::uint64_t round = 0; round < 4; ++round) train(*whole, round);
    const std::string state = module_state(*whole);
    ByteReader in(state);
    const Status loaded = second->load(in);
    ASSERT_TRUE(loaded.is_ok()) << loaded.to_string();
    EXPECT_EQ(module_state(*second), state);
    for (std::uint64_t round = 4; round < 16; ++round) EXPECT_EQ(train(*second, round), train(*whole, round));
    EXPECT_EQ(module_state(*second), module_state(*whole));
    EXPECT_LT(loss(), untrained);
  }
}

// The gradients of a convnet against LibTorch's own operations, put together here: SGD at rate 1 moves a weight by its
// gradient.
TEST(Convnet, MovesAlongTheGradientsOfItsFormula) {
  const ModuleFolder folder;
  LearnerOptions options = convnet_options(Task::kMulticlass);
  options.optimizer.kind = OptimizerKind::kSgd;
  options.schedule.learning_rate = 1.0F;
  options.replay_ratio = 0.0F;
  const auto layout = synthetic_layout(30, 0);
  const auto learner = module_learner(options, layout);
  ASSERT_TRUE(learner->export_model(folder.file("before.pt"), "", *learner->publish(1)).is_ok());
  const auto events = synthetic_events(layout, 20, kModuleSeed, Task::kMulticlass);
  ASSERT_TRUE(learner->train_round({&events, nullptr, 0}).is_ok());
  ASSERT_TRUE(learner->export_model(folder.file("after.pt"), "", *learner->publish(2)).is_ok());

  const torch::jit::Module before = torch::jit::load(folder.file("before.pt"));
  const torch::jit::Module after = torch::jit::load(folder.file("after.pt"));
  const auto weight = [&](const char* name) { return before.attr(name).toTensor(); };
  at::Tensor images = at::empty({20, 1, 6, 5});
  std::copy_n(events.dense(), images.numel(), images.mutable_data_ptr<float>());
  at::Tensor x = at::max_pool2d(at::relu(at::conv2d(images, weight("conv0_weight"), weight("conv0_bias"), 1, 1)), 2);
  x = at::max_pool2d(at::relu(at::conv2d(x, weight("conv1_weight"), weight("conv1_bias"), 1, 1)), 2);
  ASSERT_EQ(x.sizes(), (std::vector<std::int64_t>{20, 6, 1, 1}));
  x = at::relu(at::linear(x.flatten(1), weight("hidden0_weight"), weight("hidden0_bias")));
  x = at::log_softmax(at::linear(x, weight("output_weight"), weight("output_bias")), 1);
  at::Tensor loss = at::zeros({});
  for (std::int64_t i = 0; i < 20; ++i) {
    const auto row = static_cast<std::size_t>(i);
    loss = loss - x[i][static_cast<std::int64_t>(events.labels[row])] * events.weights[row] / 20.0;
  }
  loss.backward();
  for (const auto& parameter : before.named_parameters()) {
    const at::Tensor moved = parameter.value - after.attr(parameter.name).toTensor();
    EXPECT_TRUE(at::allclose(moved, parameter.value.grad(), 1e-4, 1e-6)) << parameter.name;
    EXPECT_GT(parameter.value.grad().abs().max().item<float>(), 0.0F) << parameter.name;
  }
}

TEST(Convnet, ReadsItsImageFromAVectorAndJoinsTheOtherNumbers) {
  LearnerOptions options = convnet_options(Task::kBinary);
  options.model.convnet.field = "pixels";
  EncodedLayout layout = synthetic_layout(3, 0);
  for (int i = 0; i < 30; ++i) layout.dense_names.push_back(fmt::format("pixels[{}]", i));
  const auto learner = module_learner(options, layout);
  ASSERT_NE(learner, nullptr);
  // 4 x 1 x 3 x 3 + 4, 6 x 4 x 3 x 3 + 6, (6 + 3) x 12 + 12, 12 + 1
  EXPECT_EQ(learner->parameter_count(), 40U + 222U + 120U + 13U);
  module_round(*learner, layout, 0);
}

TEST(Convnet, SaysWhatDoesNotFit) {
  const auto words = [](auto change, const EncodedLayout& layout) {
    LearnerOptions options = convnet_options(Task::kBinary);
    change(options.model);
    return Learner::create(options, layout, Device{}).status().message();
  };
  const auto nothing = [](ModelOptions&) {};
  EXPECT_NE(words(nothing, synthetic_layout(31, 0)).find("the features are 31; say in model.image.field"),
            std::string::npos);
  EXPECT_NE(words(nothing, synthetic_layout(30, 2)).find("no categories, but these features are: category0, category1"),
            std::string::npos);
  EXPECT_NE(words([](auto& model) { model.convnet.field = "pixel"; }, synthetic_layout(30, 0))
                .find("no vector feature is named pixel"),
            std::string::npos);
  EXPECT_NE(words([](auto& model) { model.convnet.kernel = 4; }, synthetic_layout(30, 0)).find("model.kernel"),
            std::string::npos);
  EXPECT_NE(words([](auto& model) { model.convnet.height = 0; }, synthetic_layout(30, 0)).find("model.image"),
            std::string::npos);
}

}  // namespace
}  // namespace freshet
