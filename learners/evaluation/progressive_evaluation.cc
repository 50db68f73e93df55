#include "learners/evaluation/progressive_evaluation.h"

#include <algorithm>
#include <type_traits>

#include "learners/evaluation/losses.h"

namespace freshet {
namespace {

constexpr std::uint32_t kStateFormat = 1;

static_assert(std::is_trivially_copyable_v<ScoredEvent> && sizeof(ScoredEvent) == 16, "stored as it is in memory");

}  // namespace

ProgressiveEvaluation::ProgressiveEvaluation(const EvaluationOptions& options)
    : options_(options), stream_(options.task, options.classes), window_(options.task, options.classes) {
  options_.window_events = std::max<std::size_t>(options_.window_events, 1);
  ring_.reserve(options_.window_events);
}

void ProgressiveEvaluation::add_scored(const ScoredEvent& event) {
  if (!(event.weight > 0)) return;
  stream_.add(event);
  if (ring_.size() < options_.window_events) {
    ring_.push_back(event);
  } else {
    ring_[next_] = event;
  }
  next_ = next_ + 1 == options_.window_events ? 0 : next_ + 1;
}

void ProgressiveEvaluation::add(const Predictions& predictions, std::span<const float> labels,
                                std::span<const float> weights, std::uint64_t model_version, std::span<float> losses) {
  if (weights.size() < predictions.rows) abort_with("fewer weights than predictions");
  per_sample_losses(options_.task, predictions, labels, losses, options_.loss);
  const bool multiclass = options_.task == Task::kMulticlass;
  for (std::size_t i = 0; i < predictions.rows; ++i) {
    const float score = multiclass ? static_cast<float>(predicted_class(predictions, i)) : predictions.values[i];
    add_scored({score, labels[i], weights[i], losses[i]});
  }
  if (predictions.rows > 0) model_version_ = model_version;
}

EvaluationReport ProgressiveEvaluation::report() {
  window_.clear();
  for (const ScoredEvent& event : ring_) window_.add(event);
  return {stream_.events(), ring_.size(), model_version_, stream_.values(), window_.values()};
}

void ProgressiveEvaluation::save(ByteWriter& out) const {
  out.put(kStateFormat);
  out.put<std::uint64_t>(options_.window_events);
  out.put(model_version_);
  out.put<std::uint64_t>(next_);
  out.put_span(std::span<const ScoredEvent>(ring_));
  stream_.save(out);
}

Status ProgressiveEvaluation::load(ByteReader& in) {
  if (in.get<std::uint32_t>() != kStateFormat) return data_loss("evaluation state of an unknown format");
  const auto window_events = in.get<std::uint64_t>();
  model_version_ = in.get<std::uint64_t>();
  const auto next = in.get<std::uint64_t>();
  ring_ = in.get_vector<ScoredEvent>();
  const std::uint64_t expected = ring_.size() < window_events ? ring_.size() : next;
  if (!in.ok() || window_events != options_.window_events || ring_.size() > window_events || next >= window_events ||
      next != expected) {
    return data_loss("evaluation state of another window, or cut short");
  }
  next_ = next;
  ring_.reserve(options_.window_events);
  return stream_.load(in);
}

}  // namespace freshet
