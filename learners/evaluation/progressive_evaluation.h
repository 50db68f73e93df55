// ProgressiveEvaluation: test-then-train. Every event is predicted by the served model before anyone trains on it;
// this keeps how well that went, over the whole stream and over the last events. The same class with a second set of
// predictions makes a baseline to compare with (a frozen model).
//
// The window is exact: the last `window_events` events that counted are kept (16 bytes each), summed when asked for.
//
// Threads: one owner (ingest).  Owns: its sums and window; memory is bounded by `window_events` and the classes.
// Failure: `load` answers data_loss for bytes of another task or window, or cut short.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/bytes.h"
#include "core/predictor.h"
#include "core/status.h"
#include "learners/evaluation/metrics.h"
#include "learners/training/losses.h"

namespace freshet {

struct EvaluationOptions {
  Task task = Task::kBinary;
  std::uint32_t classes = 2;
  std::size_t window_events = 10'000;
  LossOptions loss = {};  // of a regression: what the loss of an event is
};

struct EvaluationReport {
  std::uint64_t events = 0;         // evaluated so far
  std::uint64_t window_events = 0;  // of them in the window
  std::uint64_t model_version = 0;  // which made the newest predictions
  std::vector<MetricValue> stream;  // whole stream, in the order of metrics.h; empty before the first event
  std::vector<MetricValue> window;
};

class ProgressiveEvaluation {
 public:
  explicit ProgressiveEvaluation(const EvaluationOptions& options);

  // Scores rows [0, predictions.rows) and writes their losses. labels, weights and losses hold at least as many.
  void add(const Predictions& predictions, std::span<const float> labels, std::span<const float> weights,
           std::uint64_t model_version, std::span<float> losses);

  // About 0.1 ms at the default window: ask once a second, not once a batch.
  EvaluationReport report();

  std::uint64_t events() const { return stream_.events(); }

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  void add_scored(const ScoredEvent& event);

  EvaluationOptions options_;
  EvaluationMetrics stream_;
  EvaluationMetrics window_;       // filled from ring_ by report()
  std::vector<ScoredEvent> ring_;  // grows to window_events, then wraps
  std::size_t next_ = 0;           // where the next event goes
  std::uint64_t model_version_ = 0;
};

}  // namespace freshet
