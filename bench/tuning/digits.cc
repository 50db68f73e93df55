#include "bench/tuning/digits.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <numeric>

#include <fmt/core.h>

#include "core/rng.h"
#include "learners/evaluation/metrics.h"
#include "learners/training/learner.h"

namespace freshet::bench {

namespace {

constexpr std::uint32_t kPixels = 64;
constexpr std::uint32_t kClasses = 10;

struct Sizes {
  double rate = 0.1, momentum = 0.0, weight_decay = 0.0, hidden = 64, batch = 32;
};

Result<Sizes> sizes_of(std::span<const tuning::Setting> settings) {
  Sizes sizes;
  for (const auto& [option, value] : settings) {
    double* target = option == "learning_rate"  ? &sizes.rate
                     : option == "momentum"     ? &sizes.momentum
                     : option == "weight_decay" ? &sizes.weight_decay
                     : option == "hidden"       ? &sizes.hidden
                     : option == "batch_size"   ? &sizes.batch
                                                : nullptr;
    if (target == nullptr || std::from_chars(value.data(), value.data() + value.size(), *target).ec != std::errc()) {
      return invalid_argument(fmt::format("{} = {} is nothing of the digits'", option, value));
    }
  }
  return sizes;
}

class DigitsTrainer final : public tuning::TrialTrainer {
 public:
  static Result<std::unique_ptr<DigitsTrainer>> make(const Digits& digits, std::uint64_t seed,
                                                     std::span<const tuning::Setting> settings) {
    const Sizes sizes = TRY(sizes_of(settings));
    LearnerOptions options;
    options.model.architecture = Architecture::kMlp;
    options.model.task = Task::kMulticlass;
    options.model.classes = kClasses;
    options.model.hidden = {static_cast<std::uint32_t>(sizes.hidden)};
    options.model.seed = seed;
    options.optimizer.kind = OptimizerKind::kSgd;
    options.optimizer.momentum = static_cast<float>(sizes.momentum);
    options.optimizer.weight_decay = static_cast<float>(sizes.weight_decay);
    options.schedule.learning_rate = static_cast<float>(sizes.rate);
    options.strategy = "finetune";
    options.batch_size = static_cast<std::uint32_t>(sizes.batch);
    auto learner = TRY(Learner::create(options, digits_layout(), Device{}));
    return std::unique_ptr<DigitsTrainer>(new DigitsTrainer(digits, seed, std::move(learner)));
  }

  Status train_to(std::uint64_t epochs, const tuning::StopFlag& stop) override {
    for (; epoch_ < epochs; ++epoch_) {
      if (stop.load()) return cancelled("asked to stop");
      Rng rng(seed_ ^ (epoch_ * 0x9E3779B97F4A7C15ULL));  // the order of an epoch needs no state
      std::iota(order_.begin(), order_.end(), 0U);
      for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[rng.below(i)]);
      for (std::size_t i = 0; i < order_.size(); ++i) rows_.take_row(digits_.train, order_[i], i);
      RoundInput input;
      input.fresh = &rows_;
      input.round = epoch_;
      TRY(learner_->train_round(input).status());
    }
    return Status::ok();
  }

  Result<double> evaluate() override {
    TRY(learner_->evaluate(digits_.test, predictions_));
    EvaluationMetrics metrics(Task::kMulticlass, kClasses);
    for (std::size_t i = 0; i < digits_.test.size(); ++i) {
      const float* row = predictions_.values.data() + i * kClasses;
      const auto predicted = std::max_element(row, row + kClasses) - row;
      metrics.add({static_cast<float>(predicted), digits_.test.labels[i], 1.0F, 0.0F});
    }
    return find_metric(metrics.values(), "f1_macro").value_or(0.0);
  }

  Status checkpoint(ByteWriter& out) override {
    out.put(epoch_);
    return learner_->save(out);
  }
  Status load(ByteReader& in) {
    epoch_ = in.get<std::uint64_t>();
    return learner_->load(in);
  }

 private:
  DigitsTrainer(const Digits& digits, std::uint64_t seed, std::unique_ptr<Learner> learner)
      : digits_(digits),
        seed_(seed),
        learner_(std::move(learner)),
        rows_(kPixels, 0, digits.train.size()),
        order_(digits.train.size()) {
    rows_.resize(digits.train.size());
  }

  const Digits& digits_;
  std::uint64_t seed_;
  std::unique_ptr<Learner> learner_;
  std::uint64_t epoch_ = 0;
  EncodedBatch rows_;
  std::vector<std::size_t> order_;
  Predictions predictions_;
};

Status read_part(std::ifstream& file, std::size_t rows, EncodedBatch& batch) {
  batch = EncodedBatch(kPixels, 0, rows);
  batch.resize(rows);
  file.read(reinterpret_cast<char*>(batch.dense()), static_cast<std::streamsize>(rows * kPixels * sizeof(float)));
  file.read(reinterpret_cast<char*>(batch.labels.data()), static_cast<std::streamsize>(rows * sizeof(float)));
  std::fill(batch.weights.begin(), batch.weights.end(), 1.0F);
  std::iota(batch.seqs.begin(), batch.seqs.end(), std::uint64_t{1});
  return file ? Status::ok() : data_loss("the digits are cut short");
}

}  // namespace

Result<Digits> Digits::read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char magic[4] = {};
  std::uint32_t sizes[2] = {};
  file.read(magic, sizeof magic);
  file.read(reinterpret_cast<char*>(sizes), sizeof sizes);
  if (!file || std::string_view(magic, 4) != "DIG1" || sizes[0] > 100'000 || sizes[1] > 100'000) {
    return not_found(fmt::format("no digits in {}: make them with bench/tuning/prepare.py", path));
  }
  Digits digits;
  TRY(read_part(file, sizes[0], digits.train));
  TRY(read_part(file, sizes[1], digits.test));
  return digits;
}

EncodedLayout digits_layout() {
  EncodedLayout layout;
  for (std::uint32_t i = 0; i < kPixels; ++i) layout.dense_names.push_back(fmt::format("pixel{}", i));
  return layout;
}

std::vector<SearchSpace> digits_spaces() {
  std::vector<SearchSpace> spaces;
  spaces.push_back(SearchSpace::logarithmic("learning_rate", 1e-3, 0.5));
  spaces.push_back(SearchSpace::choice("momentum", {"0", "0.9", "0.99"}));
  spaces.push_back(SearchSpace::logarithmic("weight_decay", 1e-6, 1e-2));
  spaces.push_back(SearchSpace::choice("hidden", {"16", "32", "64", "128", "256"}));
  spaces.push_back(SearchSpace::choice("batch_size", {"16", "32", "64", "128"}));
  return spaces;
}

Result<std::unique_ptr<tuning::TrialTrainer>> DigitsTrainers::create(std::uint64_t trial,
                                                                     std::span<const tuning::Setting> settings) {
  auto made = TRY(DigitsTrainer::make(digits_, seed_ * 1'000'003 + trial, settings));
  return std::unique_ptr<tuning::TrialTrainer>(std::move(made));
}

Result<std::unique_ptr<tuning::TrialTrainer>> DigitsTrainers::resume(std::uint64_t trial,
                                                                     std::span<const tuning::Setting> settings,
                                                                     std::string_view checkpoint) {
  auto made = TRY(DigitsTrainer::make(digits_, seed_ * 1'000'003 + trial, settings));
  ByteReader reader(checkpoint);
  TRY(made->load(reader));
  return std::unique_ptr<tuning::TrialTrainer>(std::move(made));
}

double DigitsTrainers::virtual_time(std::span<const tuning::Setting> settings, std::uint64_t from, std::uint64_t to) {
  const auto sizes = sizes_of(settings);
  if (!sizes) return 1.0;
  const auto rows = static_cast<double>(digits_.train.size());
  const double microseconds = rows / sizes->batch * 3.0 + rows * (0.3 + sizes->hidden * 74.0 * 6.0 / 40'000.0);
  return microseconds * 1e-6 * static_cast<double>(to - from);
}

}  // namespace freshet::bench
