#include "bench/continual/run.h"

#include <time.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>

#include <fmt/core.h>

#include "bench/continual/event_memory.h"
#include "bench/continual/protocol.h"
#include "core/rng.h"
#include "learners/training/strategy.h"

namespace freshet::bench {

namespace {

constexpr std::size_t kChunk = 1000;  // encoded ahead of training, and scored at once
constexpr std::uint64_t kSampleSalt = 0x5A3B;
constexpr std::uint64_t kMemorySalt = 0x3E30;

double cpu_seconds_now() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

template <typename Number>
Status read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return invalid_argument(fmt::format("\"{}\" is no number", text));
  }
  return Status::ok();
}

Status read_optimizer(std::string_view text, OptimizerOptions& optimizer) {
  optimizer.kind = TRY(parse_optimizer(text));
  return Status::ok();
}

Status read_published(std::string_view text, PublishedWeights& published) {
  published = TRY(parse_published_weights(text));
  return Status::ok();
}

Status read_initial(std::string_view text, InitialWeights& initial) {
  initial = TRY(parse_initial_weights(text));
  return Status::ok();
}

class SeedRun {
 public:
  SeedRun(const RunSpec& spec, const Mnist& mnist, std::uint64_t seed, const Progress& progress)
      : spec_(spec), mnist_(mnist), progress_(progress), rng_(seed ^ kSampleSalt) {
    result_.seed = seed;
  }

  Result<SeedResult> run(std::size_t events_max, const std::string& scratch) {
    tasks_ = TRY(make_tasks(spec_.protocol, mnist_, result_.seed));
    for (auto& task : tasks_) {
      if (events_max == 0) break;
      task.train.resize(std::min(task.train.size(), events_max));
      task.test.resize(std::min(task.test.size(), events_max));
    }
    round_rows_ = spec_.fresh;
    for (const auto& task : tasks_) {
      if (spec_.rounds_of_tasks) round_rows_ = std::max(round_rows_, task.train.size());
    }
    chunk_ = EncodedBatch(kPixels, 0, std::max(kChunk, round_rows_));
    LearnerOptions options = spec_.learner;
    options.batch_size = spec_.fresh + spec_.replayed;
    options.replay_ratio = static_cast<float>(spec_.replayed) / static_cast<float>(options.batch_size);
    options.model.seed = result_.seed;
    learner_ = TRY(Learner::create(options, pixel_layout(), Device{}));
    TRY(make_memory(scratch));
    TRY(train());
    if (memory_) result_.memory_bytes = memory_->bytes();
    summarise();
    return std::move(result_);
  }

 private:
  Status make_memory(const std::string& scratch) {
    fresh_ = EncodedBatch(kPixels, 0, round_rows_);
    const std::size_t replayed = spec_.rounds_of_tasks ? spec_.buffer : learner_->replay_rows_for(spec_.fresh);
    replay_ = EncodedBatch(kPixels, 0, std::max<std::size_t>(replayed, 1));
    losses_.resize(replay_.capacity());
    std::vector<std::uint32_t> widths;
    for (const auto& column : learner_->stored_columns()) {
      widths.push_back(column.width);
      stored_values_.emplace_back(replay_.capacity() * column.width);
      to_store_values_.emplace_back(round_rows_ * column.width);
    }
    stored_.assign(stored_values_.begin(), stored_values_.end());
    to_store_.assign(to_store_values_.begin(), to_store_values_.end());
    if (spec_.buffer == 0) return Status::ok();
    ReplayOptions options;
    options.policy = spec_.policy;
    options.sampling = spec_.sampling;
    options.capacity_events = spec_.buffer;
    options.seed = result_.seed ^ kMemorySalt;
    memory_ = TRY(EventMemory::create(options, pixel_layout(), round_rows_, spec_.on_disk ? scratch : "", widths));
    return Status::ok();
  }

  // The stream, and after each task (the one task of a joined run) the score of the tasks so far.
  Status train() {
    const auto stream = stream_of(tasks_, spec_.joined, result_.seed);
    std::size_t at = 0;
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      const std::size_t end = spec_.joined ? stream.size() : at + tasks_[t].train.size();
      while (at < end) {
        chunk_.resize(std::min(chunk_.capacity() / round_rows_ * round_rows_, end - at));
        for (std::size_t i = 0; i < chunk_.size(); ++i) {
          const auto [task, image] = stream[at + i];
          encode_digit(mnist_.train, image, tasks_[task].pixels, chunk_, i);
          chunk_.seqs[i] = at + i + 1;
        }
        TRY(train_chunk());
        at += chunk_.size();
        progress_(static_cast<double>(at) / static_cast<double>(stream.size()));
      }
      const std::size_t seen = spec_.joined ? tasks_.size() : t + 1;
      TRY(score(seen));
      if (memory_) TRY(memory_->checkpoint());
      if (seen == tasks_.size()) break;
    }
    result_.events = stream.size();
    return Status::ok();
  }

  Status train_chunk() {
    const auto begin = std::chrono::steady_clock::now();
    const double cpu_begin = cpu_seconds_now();
    for (std::size_t from = 0; from < chunk_.size(); from += round_rows_) {
      fresh_.resize(std::min(round_rows_, chunk_.size() - from));
      std::copy_n(chunk_.dense_row(from).data(), fresh_.size() * kPixels, fresh_.dense());
      for (std::size_t i = 0; i < fresh_.size(); ++i) {
        fresh_.labels[i] = chunk_.labels[from + i];
        fresh_.weights[i] = chunk_.weights[from + i];
        fresh_.seqs[i] = chunk_.seqs[from + i];
      }
      TRY(train_round());
    }
    result_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    result_.cpu_seconds += cpu_seconds_now() - cpu_begin;
    return Status::ok();
  }

  Status train_round() {
    replay_.clear();
    if (memory_ && spec_.rounds_of_tasks) TRY(memory_->insert(fresh_, to_store_));
    if (memory_) {
      TRY(memory_->sample(learner_->replay_rows_for(fresh_.size(), memory_->size()), rng_, replay_, stored_));
    }
    RoundInput input;
    input.fresh = &fresh_;
    input.replay = &replay_;
    input.round = round_++;
    input.replay_losses = {losses_.data(), replay_.size()};
    if (memory_) input.stored = stored_;
    if (memory_) input.to_store = to_store_;
    TRY(learner_->train_round(input).status());
    if (!memory_) return Status::ok();
    memory_->note_replayed(input.replay_losses, round_);
    return spec_.rounds_of_tasks ? Status::ok() : memory_->insert(fresh_, to_store_);
  }

  Status score(std::size_t seen) {
    const auto predictor = learner_->publish(round_);
    auto& row = result_.matrix.emplace_back();
    for (std::size_t t = 0; t < seen; ++t) row.push_back(TRY(accuracy(*predictor, tasks_[t])));
    return Status::ok();
  }

  Result<double> accuracy(const Predictor& predictor, const Task& task) {
    std::size_t right = 0;
    for (std::size_t begin = 0; begin < task.test.size(); begin += kChunk) {
      chunk_.resize(std::min(kChunk, task.test.size() - begin));
      for (std::size_t i = 0; i < chunk_.size(); ++i) {
        encode_digit(mnist_.test, task.test[begin + i], task.pixels, chunk_, i);
      }
      TRY(predictor.predict(chunk_, 0, chunk_.size(), predictions_));
      for (std::size_t i = 0; i < chunk_.size(); ++i) {
        const float* values = predictions_.values.data() + i * predictions_.width;
        const auto best = std::max_element(values, values + predictions_.width) - values;
        if (best == static_cast<std::ptrdiff_t>(chunk_.labels[i])) ++right;
      }
    }
    return static_cast<double>(right) / static_cast<double>(task.test.size());
  }

  void summarise() {
    const auto& last = result_.matrix.back();
    for (const double score : last) result_.accuracy += score / static_cast<double>(last.size());
    for (std::size_t t = 0; t + 1 < last.size(); ++t) {
      double best = last[t];
      for (const auto& row : result_.matrix) {
        if (t < row.size()) best = std::max(best, row[t]);
      }
      result_.forgetting += (best - last[t]) / static_cast<double>(last.size() - 1);
    }
  }

  const RunSpec& spec_;
  const Mnist& mnist_;
  const Progress& progress_;
  Rng rng_;
  SeedResult result_;
  std::vector<Task> tasks_;
  std::unique_ptr<Learner> learner_;
  std::unique_ptr<EventMemory> memory_;
  EncodedBatch chunk_;
  EncodedBatch fresh_;
  EncodedBatch replay_;
  std::vector<float> losses_;
  // What a strategy stores beside replayed and fresh events, a matrix for each of its columns.
  std::vector<std::vector<float>> stored_values_;
  std::vector<std::vector<float>> to_store_values_;
  std::vector<std::span<float>> stored_;
  std::vector<std::span<float>> to_store_;
  Predictions predictions_;
  std::size_t round_rows_ = 0;  // fresh events of a round
  std::uint64_t round_ = 0;
};

}  // namespace

Status change(std::string_view setting, RunSpec& spec) {
  const std::size_t equals = setting.find('=');
  if (equals == std::string_view::npos) return invalid_argument(fmt::format("\"{}\" is not key=value", setting));
  const std::string_view key = setting.substr(0, equals);
  const std::string_view value = setting.substr(equals + 1);
  LearnerOptions& learner = spec.learner;
  StrategySettings& strategies = learner.strategies;
  if (key == "label") return spec.label = value, Status::ok();
  if (key == "strategy") return learner.strategy = value, Status::ok();
  if (key == "policy") return spec.policy = value, Status::ok();
  if (key == "sampling") return spec.sampling = value, Status::ok();
  if (key == "rounds_of_tasks") return spec.rounds_of_tasks = value == "true", Status::ok();
  if (key == "joined") return spec.joined = value == "true", Status::ok();
  if (key == "on_disk") return spec.on_disk = value == "true", Status::ok();
  if (key == "buffer") return read_number(value, spec.buffer);
  if (key == "fresh") return read_number(value, spec.fresh);
  if (key == "replayed") return read_number(value, spec.replayed);
  if (key == "learning_rate") return read_number(value, learner.schedule.learning_rate);
  if (key == "optimizer") return read_optimizer(value, learner.optimizer);
  if (key == "momentum") return read_number(value, learner.optimizer.momentum);
  if (key == "weight_decay") return read_number(value, learner.optimizer.weight_decay);
  if (key == "initial") return read_initial(value, learner.model.initial);
  if (key == "label_smoothing") return read_number(value, learner.loss.label_smoothing);
  if (key == "published") return read_published(value, learner.published);
  if (key == "ema_decay") return read_number(value, learner.ema_decay);
  if (key == "clip_norm") return read_number(value, learner.clip_norm);
  if (key == "der.alpha") return read_number(value, strategies.der.alpha);
  if (key == "der_pp.alpha") return read_number(value, strategies.der_pp.alpha);
  if (key == "der_pp.beta") return read_number(value, strategies.der_pp.beta);
  if (key == "der_pp.two_draws") return strategies.der_pp.two_draws = value == "true", Status::ok();
  if (key == "cls_er.alpha") return read_number(value, strategies.cls_er.alpha);
  if (key == "cls_er.beta") return read_number(value, strategies.cls_er.beta);
  if (key == "cls_er.stable_decay") return read_number(value, strategies.cls_er.stable_decay);
  if (key == "cls_er.plastic_decay") return read_number(value, strategies.cls_er.plastic_decay);
  if (key == "super_er.alpha") return read_number(value, strategies.super_er.alpha);
  if (key == "super_er.beta") return read_number(value, strategies.super_er.beta);
  if (key == "super_er.shrink_every_rounds") return read_number(value, strategies.super_er.shrink_every_rounds);
  if (key == "lwf.every_rounds") return read_number(value, strategies.lwf.every_rounds);
  if (key == "ewc.lambda") return read_number(value, strategies.ewc.lambda);
  if (key == "ewc.every_rounds") return read_number(value, strategies.ewc.every_rounds);
  if (key == "gdumb.passes") return read_number(value, strategies.gdumb.passes);
  if (key == "offline_er.passes") return read_number(value, strategies.offline_er.passes);
  if (key == "pod_er.alpha") return read_number(value, strategies.pod_er.alpha);
  return invalid_argument(fmt::format("a run has no \"{}\"", key));
}

Result<SeedResult> run_seed(const RunSpec& spec, const Mnist& mnist, std::uint64_t seed, std::size_t events_max,
                            const std::string& scratch, const Progress& progress) {
  if (spec.fresh == 0 || spec.fresh > kChunk) return invalid_argument("a mini-batch needs 1 to 1000 fresh events");
  auto result = SeedRun(spec, mnist, seed, progress).run(events_max, scratch);
  if (!result.is_ok()) return result.status().with_context(spec.label);
  return result;
}

}  // namespace freshet::bench
