// EvaluationMetrics: weighted sums from which the metrics of a task follow, for a whole stream or a window of it.
//
//   binary      log_loss accuracy auc precision recall f1 f1_macro f1_weighted brier   (positive from 0.5 on)
//   multiclass  log_loss accuracy f1_macro f1_weighted
//   regression  mae rmse r2
//
// Definitions are scikit-learn's: F1 of a class is 2 tp / (predicted + actual); the macro mean runs over the classes
// that occur as label or as prediction, the weighted mean by how often the class is the label; 0 / 0 counts as 0.
// A metric that has no value yet (auc with one class only, r2 of a constant) is left out.
//
// Threads: one owner.  Owns: its sums.  Failure: `load` answers data_loss for bytes of another task or cut short.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/predictor.h"
#include "core/status.h"
#include "learners/evaluation/auc_histogram.h"

namespace freshet {

struct MetricValue {
  std::string_view name;  // of static storage
  double value = 0;
};

std::optional<double> find_metric(std::span<const MetricValue> values, std::string_view name);

// One event as the metrics need it.
struct ScoredEvent {
  float score = 0;  // probability of the positive class, predicted class, or predicted value
  float label = 0;
  float weight = 1;
  float loss = 0;  // per_sample_losses
};

class EvaluationMetrics {
 public:
  // classes: 2 or more for multiclass; ignored otherwise.
  EvaluationMetrics(Task task, std::uint32_t classes);

  // Events whose weight is not above 0 are passed over.
  void add(const ScoredEvent& event) {
    if (!(event.weight > 0)) return;
    const double weight = event.weight;
    ++events_;
    weight_ += weight;
    if (task_ != Task::kRegression) loss_ += weight * static_cast<double>(event.loss);
    switch (task_) {
      case Task::kBinary:
        return add_binary(event, weight);
      case Task::kMulticlass:
        return add_multiclass(event, weight);
      case Task::kRegression:
        return add_regression(event, weight);
    }
  }

  void merge(const EvaluationMetrics& other);  // of the same task and classes
  void clear();

  std::uint64_t events() const { return events_; }
  double weight() const { return weight_; }

  // In the order above. Up to 0.1 ms for a binary task: the AUC reads its bins.
  std::vector<MetricValue> values() const;

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  struct ClassSums {
    double right = 0, predicted = 0, actual = 0;
  };

  void add_binary(const ScoredEvent& event, double weight) {
    const bool positive = event.label > 0.5F;
    // Not a number: as wrong as can be.
    const float p = event.score == event.score ? event.score : (positive ? 0.0F : 1.0F);
    const double error = static_cast<double>(p) - (positive ? 1.0 : 0.0);
    squares_ += weight * error * error;
    confusion_[positive ? 1 : 0][p >= 0.5F ? 1 : 0] += weight;
    auc_->add(p, positive, weight);
  }
  void add_multiclass(const ScoredEvent& event, double weight);
  void add_regression(const ScoredEvent& event, double weight);
  void append_binary(std::vector<MetricValue>& values) const;
  void append_multiclass(std::vector<MetricValue>& values) const;
  void append_regression(std::vector<MetricValue>& values) const;

  Task task_;
  std::uint64_t events_ = 0;
  double weight_ = 0;
  double loss_ = 0;                                           // log losses; regression: squared errors
  double squares_ = 0;                                        // Brier
  std::array<std::array<double, 2>, 2> confusion_{};          // [label][prediction]
  std::optional<AucHistogram> auc_;                           // binary
  std::vector<ClassSums> classes_;                            // multiclass
  double absolute_ = 0, label_mean_ = 0, label_squares_ = 0;  // regression; Welford over the labels
};

}  // namespace freshet
