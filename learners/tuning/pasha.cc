// Progressive ASHA (Bohdal et al., "PASHA: Efficient HPO and NAS with Progressive Resource Allocation", ICLR 2023):
// ASHA over the two lowest rungs at first; a rung is added when the trials of the two highest rungs do not stand in the
// same order in both. Trials whose objectives are within epsilon of each other may change places. Epsilon comes from
// the trials' own noise: of pairs whose curves cross at least twice, so that neither can be called better, a percentile
// of how far apart they are.
#include <algorithm>
#include <cmath>

#include "learners/tuning/rungs.h"
#include "learners/tuning/schedulers.h"

namespace freshet::tuning {

namespace {

class Pasha final : public Scheduler {
 public:
  explicit Pasha(const SchedulerOptions& options)
      : options_(options),
        rungs_(rung_levels(options.grace, options.eta, options.max_resource), options.eta),
        highest_(std::min<std::uint64_t>(1, rungs_.count() - 1)) {}

  std::string_view name() const override { return "pasha"; }

  std::optional<Job> next_job(const StartTrial& start) override {
    for (std::size_t rung = highest_; rung-- > 0;) {
      const auto trial = rungs_.promote(rung);
      if (trial) return Job{*trial, rungs_.level(rung), rungs_.level(rung + 1), options_.grace};
    }
    const std::uint64_t trial = curves_.size();
    if (!start(trial, rungs_.level(0))) return std::nullopt;
    curves_.emplace_back();
    return Job{trial, 0, rungs_.level(0), options_.grace};
  }

  void report(std::uint64_t trial, std::uint64_t resource, double objective) override {
    if (trial >= curves_.size()) return;
    if (!std::isnan(objective)) curves_[trial].push_back({resource, objective});
    const auto rung = rungs_.rung_at(resource);
    if (!rung) return;
    rungs_.arrive(*rung, trial, objective);
    if (*rung == highest_ && highest_ + 1 < rungs_.count() && !ranks_agree()) ++highest_;
  }

  bool wants_curves() const override { return true; }
  bool may_resume(std::uint64_t /*trial*/) const override { return true; }

  void save(ByteWriter& out) const override {
    rungs_.save(out);
    out.put(highest_);
    out.put<std::uint64_t>(curves_.size());
    for (const auto& curve : curves_) out.put_span(std::span<const Point>(curve));
  }
  Status load(ByteReader& in) override {
    TRY(rungs_.load(in));
    highest_ = in.get<std::uint64_t>();
    const auto count = in.get<std::uint64_t>();
    if (count > in.remaining() / 8) return data_loss("the stored scheduler is cut short");
    curves_.assign(count, {});
    for (auto& curve : curves_) curve = in.get_vector<Point>();
    if (highest_ >= rungs_.count()) return failed_precondition("the stored rungs are others");
    return in.ok() ? Status::ok() : data_loss("the stored scheduler is cut short");
  }

 private:
  struct Point {
    std::uint64_t resource;
    double objective;
  };

  double epsilon() const {
    const auto top = rungs_.members(highest_);
    std::vector<double> distances;
    for (std::size_t a = 0; a < top.size(); ++a) {
      for (std::size_t b = a + 1; b < top.size(); ++b) {
        const auto distance = distance_of_crossing(curves_[top[a].trial], curves_[top[b].trial]);
        if (distance) distances.push_back(*distance);
      }
    }
    if (distances.empty()) return 0.0;
    std::sort(distances.begin(), distances.end());
    const double place = options_.epsilon_percentile / 100.0 * static_cast<double>(distances.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const auto above = std::min(below + 1, distances.size() - 1);
    return distances[below] + (place - static_cast<double>(below)) * (distances[above] - distances[below]);
  }

  // Where two curves cross at least twice: how far apart they are at last.
  static std::optional<double> distance_of_crossing(const std::vector<Point>& a, const std::vector<Point>& b) {
    int crossings = 0;
    double side = 0.0;  // which one was above at last
    double last = 0.0;
    for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
      if (a[i].resource != b[j].resource) {
        ++(a[i].resource < b[j].resource ? i : j);
        continue;
      }
      last = a[i++].objective - b[j++].objective;
      if (last != 0.0 && side != 0.0 && (last > 0.0) != (side > 0.0)) ++crossings;
      if (last != 0.0) side = last;
    }
    if (crossings < 2) return std::nullopt;
    return std::abs(last);
  }

  // Each trial of the highest rung must be within epsilon of the one that had its place a rung below.
  bool ranks_agree() const {
    std::vector<Rungs::Member> below;
    const auto top = rungs_.members(highest_);
    for (const auto& member : rungs_.members(highest_ - 1)) {
      const bool above =
          std::any_of(top.begin(), top.end(), [&](const auto& other) { return other.trial == member.trial; });
      if (above) below.push_back(member);
    }
    const double tolerance = epsilon();
    for (std::size_t i = 0; i < top.size() && i < below.size(); ++i) {
      const auto own = std::find_if(below.begin(), below.end(), [&](const auto& m) { return m.trial == top[i].trial; });
      if (own == below.end() || std::isnan(top[i].objective)) continue;
      if (own->trial != below[i].trial && std::abs(own->objective - below[i].objective) > tolerance) return false;
    }
    return true;
  }

  SchedulerOptions options_;
  Rungs rungs_;
  std::uint64_t highest_;                   // the rung above which nothing is trained yet
  std::vector<std::vector<Point>> curves_;  // of each trial
};

}  // namespace

std::unique_ptr<Scheduler> make_pasha(const SchedulerOptions& options) { return std::make_unique<Pasha>(options); }

}  // namespace freshet::tuning
