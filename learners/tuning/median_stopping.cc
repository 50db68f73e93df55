// The median stopping rule (Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017, 3.2.2): a
// trial stops after unit s if the best objective that it has had by then is worse than the median of the averages, over
// units 1 to s, of the other trials. "Others" are those that have got as far, whether they went on or not: with
// completed ones alone, as the paper has it, two workers would let most of a study pass before the rule says anything.
#include <algorithm>
#include <cmath>

#include "learners/tuning/schedulers.h"

namespace freshet::tuning {

namespace {

class MedianStopping final : public Scheduler {
 public:
  explicit MedianStopping(const SchedulerOptions& options) : options_(options) {}

  std::string_view name() const override { return "median"; }

  std::optional<Job> next_job(const StartTrial& start) override {
    if (!waiting_.empty()) {  // those that were found worth going on, in the order of their reports
      const auto trial = waiting_.front();
      waiting_.erase(waiting_.begin());
      const auto at = reached(trial);
      return Job{trial, at, std::min(at + options_.grace, options_.max_resource), 0};
    }
    const std::uint64_t trial = curves_.size();
    if (!start(trial, options_.grace)) return std::nullopt;
    curves_.emplace_back();
    return Job{trial, 0, options_.grace, 0};
  }

  void report(std::uint64_t trial, std::uint64_t resource, double objective) override {
    if (trial >= curves_.size()) return;
    auto& curve = curves_[trial];
    if (std::isnan(objective)) return;  // what it was before stays a part of the medians
    const bool first = curve.empty();
    const double best = first ? objective : std::max(curve.back().best, objective);
    curve.push_back({(first ? 0.0 : curve.back().sum) + objective, best});
    if (resource < options_.max_resource && !worse_than_median(trial, curve.size(), best)) waiting_.push_back(trial);
  }

  bool may_resume(std::uint64_t trial) const override {
    return std::find(waiting_.begin(), waiting_.end(), trial) != waiting_.end();
  }

  void save(ByteWriter& out) const override {
    out.put<std::uint64_t>(curves_.size());
    for (const auto& curve : curves_) out.put_span(std::span<const Point>(curve));
    out.put_span(std::span<const std::uint64_t>(waiting_));
  }
  Status load(ByteReader& in) override {
    const auto count = in.get<std::uint64_t>();
    if (count > in.remaining() / 8) return data_loss("the stored scheduler is cut short");
    curves_.assign(count, {});
    for (auto& curve : curves_) curve = in.get_vector<Point>();
    waiting_ = in.get_vector<std::uint64_t>();
    for (const auto trial : waiting_) {
      if (trial >= curves_.size() || curves_[trial].empty()) return data_loss("a stored trial waits for nothing");
    }
    return in.ok() ? Status::ok() : data_loss("the stored scheduler is cut short");
  }

 private:
  struct Point {
    double sum;   // of the objectives so far
    double best;  // of them
  };

  std::uint64_t reached(std::uint64_t trial) const {
    return std::min(curves_[trial].size() * options_.grace, options_.max_resource);
  }
  bool worse_than_median(std::uint64_t trial, std::size_t steps, double best) const {
    std::vector<double> averages;
    for (std::uint64_t other = 0; other < curves_.size(); ++other) {
      if (other == trial || curves_[other].size() < steps) continue;
      averages.push_back(curves_[other][steps - 1].sum / static_cast<double>(steps));
    }
    if (averages.size() < std::max<std::size_t>(options_.median_trials, 1)) return false;
    std::sort(averages.begin(), averages.end());
    const std::size_t half = averages.size() / 2;
    const double median = averages.size() % 2 == 1 ? averages[half] : (averages[half - 1] + averages[half]) / 2;
    return best < median;
  }

  SchedulerOptions options_;
  std::vector<std::vector<Point>> curves_;  // of each trial, a point for each stretch of `grace` units
  std::vector<std::uint64_t> waiting_;
};

}  // namespace

std::unique_ptr<Scheduler> make_median(const SchedulerOptions& options) {
  return std::make_unique<MedianStopping>(options);
}

}  // namespace freshet::tuning
