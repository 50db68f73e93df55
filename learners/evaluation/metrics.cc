#include "learners/evaluation/metrics.h"

#include <cfloat>
#include <cmath>

namespace freshet {
namespace {

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

struct ClassMeans {
  double macro = 0;
  double weighted = 0;
};

// Means of F1 over classes given as {right, predicted, actual}.
template <typename Sums>
ClassMeans f1_means(std::span<const Sums> classes) {
  ClassMeans means;
  double occurring = 0;
  double support = 0;
  for (const Sums& sums : classes) {
    if (!(sums.predicted + sums.actual > 0)) continue;
    const double f1 = 2 * sums.right / (sums.predicted + sums.actual);
    means.macro += f1;
    means.weighted += f1 * sums.actual;
    occurring += 1;
    support += sums.actual;
  }
  return {ratio(means.macro, occurring), ratio(means.weighted, support)};
}

}  // namespace

std::optional<double> find_metric(std::span<const MetricValue> values, std::string_view name) {
  for (const MetricValue& value : values) {
    if (value.name == name) return value.value;
  }
  return std::nullopt;
}

EvaluationMetrics::EvaluationMetrics(Task task, std::uint32_t classes) : task_(task) {
  if (task == Task::kBinary) auc_.emplace();
  if (task == Task::kMulticlass) classes_.resize(classes);
}

void EvaluationMetrics::add_multiclass(const ScoredEvent& event, double weight) {
  // A label or prediction that is no class makes the event wrong and counts for no class.
  const auto limit = static_cast<float>(classes_.size());
  const bool known_label = event.label >= 0 && event.label < limit;
  const bool known_score = event.score >= 0 && event.score < limit;
  if (known_label) classes_[static_cast<std::size_t>(event.label)].actual += weight;
  if (known_score) classes_[static_cast<std::size_t>(event.score)].predicted += weight;
  if (known_label && event.label == event.score) classes_[static_cast<std::size_t>(event.label)].right += weight;
}

void EvaluationMetrics::add_regression(const ScoredEvent& event, double weight) {
  const double label = event.label;
  // Squared in float32, as the losses of events are; those may be of another kind.
  const float difference = event.score - event.label;
  const float square = difference * difference;
  loss_ += weight * static_cast<double>(square <= FLT_MAX ? square : FLT_MAX);
  const double error = std::abs(static_cast<double>(event.score) - label);
  absolute_ += weight * (error <= FLT_MAX ? error : FLT_MAX);
  const double delta = label - label_mean_;
  label_mean_ += delta * weight / weight_;
  label_squares_ += weight * delta * (label - label_mean_);
}

void EvaluationMetrics::merge(const EvaluationMetrics& other) {
  if (other.task_ != task_ || other.classes_.size() != classes_.size()) abort_with("metrics of different tasks merged");
  if (other.events_ == 0) return;
  const double total = weight_ + other.weight_;
  const double delta = other.label_mean_ - label_mean_;
  label_squares_ += other.label_squares_ + delta * delta * weight_ * other.weight_ / total;
  label_mean_ += delta * other.weight_ / total;
  events_ += other.events_;
  weight_ = total;
  loss_ += other.loss_;
  squares_ += other.squares_;
  absolute_ += other.absolute_;
  for (std::size_t label = 0; label < 2; ++label) {
    for (std::size_t prediction = 0; prediction < 2; ++prediction) {
      confusion_[label][prediction] += other.confusion_[label][prediction];
    }
  }
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    classes_[c].right += other.classes_[c].right;
    classes_[c].predicted += other.classes_[c].predicted;
    classes_[c].actual += other.classes_[c].actual;
  }
  if (auc_) auc_->merge(*other.auc_);
}

void EvaluationMetrics::clear() {
  events_ = 0;
  weight_ = loss_ = squares_ = absolute_ = label_mean_ = label_squares_ = 0;
  confusion_ = {};
  classes_.assign(classes_.size(), ClassSums{});
  if (auc_) auc_->clear();
}

void EvaluationMetrics::append_binary(std::vector<MetricValue>& values) const {
  const double right_negative = confusion_[0][0];
  const double false_positive = confusion_[0][1];
  const double false_negative = confusion_[1][0];
  const double right_positive = confusion_[1][1];
  const double precision = ratio(right_positive, right_positive + false_positive);
  const double recall = ratio(right_positive, right_positive + false_negative);
  const std::array<ClassSums, 2> sums = {{
      {right_negative, right_negative + false_negative, right_negative + false_positive},
      {right_positive, right_positive + false_positive, right_positive + false_negative},
  }};
  const ClassMeans f1 = f1_means(std::span<const ClassSums>(sums));
  values.push_back({"log_loss", loss_ / weight_});
  values.push_back({"accuracy", (right_negative + right_positive) / weight_});
  if (const auto auc = auc_->auc()) values.push_back({"auc", *auc});
  values.push_back({"precision", precision});
  values.push_back({"recall", recall});
  values.push_back({"f1", ratio(2 * right_positive, sums[1].predicted + sums[1].actual)});
  values.push_back({"f1_macro", f1.macro});
  values.push_back({"f1_weighted", f1.weighted});
  values.push_back({"brier", squares_ / weight_});
}

void EvaluationMetrics::append_multiclass(std::vector<MetricValue>& values) const {
  double right = 0;
  for (const ClassSums& sums : classes_) right += sums.right;
  const ClassMeans f1 = f1_means(std::span<const ClassSums>(classes_));
  values.push_back({"log_loss", loss_ / weight_});
  values.push_back({"accuracy", right / weight_});
  values.push_back({"f1_macro", f1.macro});
  values.push_back({"f1_weighted", f1.weighted});
}

void EvaluationMetrics::append_regression(std::vector<MetricValue>& values) const {
  values.push_back({"mae", absolute_ / weight_});
  values.push_back({"rmse", std::sqrt(loss_ / weight_)});
  if (label_squares_ > 0) values.push_back({"r2", 1 - loss_ / label_squares_});
}

std::vector<MetricValue> EvaluationMetrics::values() const {
  std::vector<MetricValue> values;
  if (!(weight_ > 0)) return values;
  switch (task_) {
    case Task::kBinary:
      append_binary(values);
      break;
    case Task::kMulticlass:
      append_multiclass(values);
      break;
    case Task::kRegression:
      append_regression(values);
      break;
  }
  return values;
}

void EvaluationMetrics::save(ByteWriter& out) const {
  out.put(task_);
  out.put<std::uint64_t>(classes_.size());
  out.put(events_);
  for (const double sum : {weight_, loss_, squares_, absolute_, label_mean_, label_squares_}) out.put(sum);
  for (const auto& row : confusion_) {
    for (const double sum : row) out.put(sum);
  }
  for (const ClassSums& sums : classes_) {
    for (const double sum : {sums.right, sums.predicted, sums.actual}) out.put(sum);
  }
  if (auc_) auc_->save(out);
}

Status EvaluationMetrics::load(ByteReader& in) {
  const auto task = in.get<Task>();
  const auto classes = in.get<std::uint64_t>();
  if (task != task_ || classes != classes_.size()) return data_loss("metrics of another task");
  events_ = in.get<std::uint64_t>();
  for (double* sum : {&weight_, &loss_, &squares_, &absolute_, &label_mean_, &label_squares_}) *sum = in.get<double>();
  for (auto& row : confusion_) {
    for (double& sum : row) sum = in.get<double>();
  }
  for (ClassSums& sums : classes_) {
    for (double* sum : {&sums.right, &sums.predicted, &sums.actual}) *sum = in.get<double>();
  }
  if (auc_) TRY(auc_->load(in));
  return in.ok() ? Status::ok() : data_loss("metrics are cut short");
}

}  // namespace freshet
