// Asynchronous successive halving (Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020,
// Algorithm 2): a free worker takes, from the highest rung down, the best trial among the top 1/eta of a rung that has
// not gone on yet; where there is none, it starts a new configuration at the lowest rung. Nobody ever waits.
//
// With several brackets, those of bracket s start s rungs higher and have rungs of their own; a new trial goes to the
// bracket that is furthest behind its share, which is Hyperband's number of trials for it.
#include <algorithm>
#include <cmath>

#include "learners/tuning/rungs.h"
#include "learners/tuning/schedulers.h"

namespace freshet::tuning {

namespace {

class Asha final : public Scheduler {
 public:
  explicit Asha(const SchedulerOptions& options) {
    const auto levels = rung_levels(options.grace, options.eta, options.max_resource);
    const auto count = std::min<std::size_t>(options.brackets, levels.size());
    for (std::size_t s = 0; s < count; ++s) {
      brackets_.push_back({Rungs({levels.begin() + static_cast<std::ptrdiff_t>(s), levels.end()}, options.eta),
                           std::pow(static_cast<double>(options.eta), static_cast<double>(count - 1 - s)) *
                               static_cast<double>(count) / static_cast<double>(count - s),
                           0});
    }
  }

  std::string_view name() const override { return "asha"; }

  std::optional<Job> next_job(const StartTrial& start) override {
    for (auto& bracket : brackets_) {
      for (std::size_t rung = bracket.rungs.count() - 1; rung-- > 0;) {
        const auto trial = bracket.rungs.promote(rung);
        if (trial) return Job{*trial, bracket.rungs.level(rung), bracket.rungs.level(rung + 1), 0};
      }
    }
    const std::size_t to = next_bracket();
    const std::uint64_t trial = bracket_of_.size();
    if (!start(trial, brackets_[to].rungs.level(0))) return std::nullopt;
    bracket_of_.push_back(static_cast<std::uint8_t>(to));
    ++brackets_[to].started;
    return Job{trial, 0, brackets_[to].rungs.level(0), 0};
  }

  void report(std::uint64_t trial, std::uint64_t resource, double objective) override {
    if (trial >= bracket_of_.size()) return;
    auto& rungs = brackets_[bracket_of_[trial]].rungs;
    const auto rung = rungs.rung_at(resource);
    if (rung) rungs.arrive(*rung, trial, objective);
  }

  // More trials may come to its rung and put it among the best.
  bool may_resume(std::uint64_t /*trial*/) const override { return true; }

  void save(ByteWriter& out) const override {
    out.put_span(std::span<const std::uint8_t>(bracket_of_));
    for (const auto& bracket : brackets_) bracket.rungs.save(out);
  }
  Status load(ByteReader& in) override {
    bracket_of_ = in.get_vector<std::uint8_t>();
    for (auto& bracket : brackets_) {
      bracket.started = 0;
      TRY(bracket.rungs.load(in));
    }
    for (const auto bracket : bracket_of_) {
      if (bracket >= brackets_.size()) return data_loss("a stored trial is of no bracket");
      ++brackets_[bracket].started;
    }
    return in.ok() ? Status::ok() : data_loss("the stored scheduler is cut short");
  }

 private:
  struct Bracket {
    Rungs rungs;
    double share;
    std::uint64_t started;
  };

  std::size_t next_bracket() const {
    std::size_t best = 0;
    for (std::size_t s = 1; s < brackets_.size(); ++s) {
      const auto behind = [&](std::size_t b) {
        return static_cast<double>(brackets_[b].started + 1) / brackets_[b].share;
      };
      if (behind(s) < behind(best)) best = s;
    }
    return best;
  }

  std::vector<Bracket> brackets_;
  std::vector<std::uint8_t> bracket_of_;  // of each trial
};

}  // namespace

std::unique_ptr<Scheduler> make_asha(const SchedulerOptions& options) { return std::make_unique<Asha>(options); }

}  // namespace freshet::tuning
