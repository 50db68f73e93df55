// Microseconds of a training step and of a prediction, for the shapes that the daemon's speed rests on: batch 64 (32
// fresh and 32 replayed), 35 numbers, 9 categories in embeddings of 8 from 65,536 rows, hidden 64-32, one thread.
#include <memory>

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "core/rng.h"
#include "learners/models/tabular_net.h"
#include "learners/training/learner.h"

namespace freshet {
namespace {

constexpr std::uint32_t kNumbers = 35;
constexpr std::uint32_t kCategories = 9;

EncodedLayout layout() {
  EncodedLayout layout;
  for (std::uint32_t i = 0; i < kNumbers; ++i) layout.dense_names.push_back(fmt::format("n{}", i));
  for (std::uint32_t i = 0; i < kCategories; ++i) layout.categorical_names.push_back(fmt::format("c{}", i));
  return layout;
}

// Cardinalities like those of the flights: carrier, origin, destination, tail number, month, ...
EncodedBatch events(std::size_t rows, std::uint64_t seed) {
  constexpr std::uint32_t kCardinalities[kCategories] = {16, 3, 104, 4000, 12, 7, 20, 400, 60};
  EncodedBatch batch(kNumbers, kCategories, rows);
  batch.resize(rows);
  Rng rng(seed);
  for (std::size_t i = 0; i < rows; ++i) {
    for (auto& value : batch.dense_row(i)) value = static_cast<float>(2.0 * rng.uniform() - 1.0);
    for (std::uint32_t c = 0; c < kCategories; ++c) {
      const auto value = static_cast<std::uint32_t>(rng.below(kCardinalities[c]));
      batch.hash_row(i)[c] = (value * kCategories + c + 1) * 0x85EBCA6BU;
    }
    batch.labels[i] = rng.uniform() < 0.24 ? 1.0F : 0.0F;
    batch.weights[i] = 1.0F;
  }
  return batch;
}

std::unique_ptr<Learner> learner(OptimizerKind kind, PublishedWeights published) {
  LearnerOptions options;
  options.optimizer.kind = kind;
  options.published = published;
  auto made = Learner::create(options, layout(), Device{});
  return std::move(made).value();
}

void train_round(benchmark::State& state) {
  auto model = learner(static_cast<OptimizerKind>(state.range(0)), static_cast<PublishedWeights>(state.range(1)));
  const auto fresh = events(1024, 1);
  const auto replay = events(1024, 2);
  std::uint64_t steps = 0;
  for (auto _ : state) {
    const auto report = model->train_round({&fresh, &replay, 0});
    steps += report.value().steps;
    const auto published = model->publish(1);
    benchmark::DoNotOptimize(published.get());
  }
  state.counters["step_time"] =
      benchmark::Counter(static_cast<double>(steps), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(train_round)
    ->ArgNames({"optimizer", "published"})
    ->Args({static_cast<int>(OptimizerKind::kAdagrad), static_cast<int>(PublishedWeights::kRaw)})
    ->Args({static_cast<int>(OptimizerKind::kAdagrad), static_cast<int>(PublishedWeights::kEma)})
    ->Args({static_cast<int>(OptimizerKind::kAdagrad), static_cast<int>(PublishedWeights::kAverage)})
    ->Args({static_cast<int>(OptimizerKind::kSgd), static_cast<int>(PublishedWeights::kRaw)})
    ->Args({static_cast<int>(OptimizerKind::kAdamW), static_cast<int>(PublishedWeights::kRaw)})
    ->Args({static_cast<int>(OptimizerKind::kAdam), static_cast<int>(PublishedWeights::kRaw)})
    ->Unit(benchmark::kMicrosecond);

// The same step with each architecture.
void train_round_of(benchmark::State& state) {
  LearnerOptions options;
  options.model.architecture = static_cast<Architecture>(state.range(0));
  options.model.cross_rank = static_cast<std::uint32_t>(state.range(1));
  auto model = Learner::create(options, layout(), Device{}).value();
  state.SetLabel(std::string(architecture_name(options.model.architecture)));
  const auto fresh = events(1024, 1);
  const auto replay = events(1024, 2);
  std::uint64_t steps = 0;
  for (auto _ : state) steps += model->train_round({&fresh, &replay, 0}).value().steps;
  state.counters["step_time"] =
      benchmark::Counter(static_cast<double>(steps), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(train_round_of)
    ->ArgNames({"architecture", "cross_rank"})
    ->Args({static_cast<int>(Architecture::kWideDeep), 0})
    ->Args({static_cast<int>(Architecture::kDcn), 0})
    ->Args({static_cast<int>(Architecture::kDcn), 16})
    ->Unit(benchmark::kMicrosecond);

// A deep network: 16 hidden layers of 256.
ModelOptions deep_options() {
  ModelOptions options;
  options.architecture = Architecture::kMlp;
  options.hidden.assign(16, 256);
  return options;
}

// Forward and backward over 1,024 rows, activations kept or computed again.
void deep_passes(benchmark::State& state) {
  auto options = deep_options();
  options.recompute = state.range(0) != 0;
  auto net = make_tabular_net(options, layout()).value();
  const auto rows = events(1024, 1);
  const RowRange all{&rows, 0, rows.size()};
  const std::vector<float> gradients(rows.size(), 0.001F);
  for (auto _ : state) {
    net->parameters().clear_gradients();
    benchmark::DoNotOptimize(net->forward({&all, 1}).is_ok());
    benchmark::DoNotOptimize(net->backward(gradients).is_ok());
  }
  state.counters["activation_bytes"] = static_cast<double>(net->activation_bytes());
}
BENCHMARK(deep_passes)->ArgName("recompute")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

// A step over 1,024 rows through LibTorch on this CPU, in float32 and with products in bfloat16.
void deep_step_torch(benchmark::State& state) {
  LearnerOptions options;
  options.model = deep_options();
  options.engine = EngineKind::kTorch;
  options.autocast = state.range(0) != 0 ? Autocast::kBf16 : Autocast::kOff;
  options.batch_size = 1024;
  options.replay_ratio = 0.0F;
  auto model = Learner::create(options, layout(), Device{}).value();
  const auto fresh = events(1024, 1);
  for (auto _ : state) benchmark::DoNotOptimize(model->train_round({&fresh, nullptr, 0}).is_ok());
}
BENCHMARK(deep_step_torch)->ArgName("bfloat16")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

void publish(benchmark::State& state) {
  auto model = learner(OptimizerKind::kAdagrad, static_cast<PublishedWeights>(state.range(0)));
  const auto fresh = events(1024, 1);
  for (auto _ : state) {
    state.PauseTiming();
    benchmark::DoNotOptimize(model->train_round({&fresh, nullptr, 0}).is_ok());
    state.ResumeTiming();
    const auto published = model->publish(1);
    benchmark::DoNotOptimize(published.get());
  }
}
BENCHMARK(publish)
    ->ArgName("published")
    ->Arg(static_cast<int>(PublishedWeights::kRaw))
    ->Arg(static_cast<int>(PublishedWeights::kEma))
    ->Arg(static_cast<int>(PublishedWeights::kAverage))
    ->Iterations(200)
    ->Unit(benchmark::kMicrosecond);

void predict(benchmark::State& state) {
  auto model = learner(OptimizerKind::kAdagrad, PublishedWeights::kRaw);
  const auto rows = static_cast<std::size_t>(state.range(0));
  const auto batch = events(rows, 3);
  const auto predictor = model->publish(1);
  Predictions out;
  for (auto _ : state) {
    benchmark::DoNotOptimize(predictor->predict(batch, 0, rows, out).is_ok());
  }
}
BENCHMARK(predict)->ArgName("rows")->Arg(1)->Arg(8)->Arg(64)->Arg(1024)->Unit(benchmark::kMicrosecond);

void save_state(benchmark::State& state) {
  auto model = learner(OptimizerKind::kAdagrad, PublishedWeights::kRaw);
  const auto fresh = events(65536, 1);
  benchmark::DoNotOptimize(model->train_round({&fresh, nullptr, 0}).is_ok());
  std::size_t bytes = 0;
  for (auto _ : state) {
    ByteWriter out;
    benchmark::DoNotOptimize(model->save(out).is_ok());
    bytes = out.buffer().size();
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(save_state)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace freshet

BENCHMARK_MAIN();
