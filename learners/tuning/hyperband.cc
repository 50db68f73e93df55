// Hyperband (Li et al., JMLR 2018): brackets of successive halving one after another, from the one that starts
// eta^s_max trials at the lowest rung to the one that trains s_max + 1 to the end, and round again; successive halving
// alone repeats the first. A round of a bracket ends when all its trials have arrived; the best of them, one of eta, go
// on. While a bracket waits for its last trials, a worker that is free begins the next one.
#include <algorithm>
#include <cmath>

#include "learners/tuning/rungs.h"
#include "learners/tuning/schedulers.h"

namespace freshet::tuning {

namespace {

class Hyperband final : public Scheduler {
 public:
  Hyperband(const SchedulerOptions& options, bool one_bracket)
      : levels_(rung_levels(options.grace, options.eta, options.max_resource)),
        eta_(options.eta),
        one_bracket_(one_bracket) {}

  std::string_view name() const override { return one_bracket_ ? "successive_halving" : "hyperband"; }

  std::optional<Job> next_job(const StartTrial& start) override {
    for (auto& bracket : brackets_) {
      if (auto job = job_of(bracket, start)) return job;
    }
    std::erase_if(brackets_, [](const Bracket& bracket) { return bracket.ended; });
    if (closed_) return std::nullopt;
    brackets_.push_back(next_bracket());
    auto job = job_of(brackets_.back(), start);
    if (!job) brackets_.pop_back();
    return job;
  }

  void report(std::uint64_t trial, std::uint64_t /*resource*/, double objective) override {
    for (auto& bracket : brackets_) {
      for (auto& member : bracket.members) {
        if (member.trial != trial || member.place != Place::kRunning) continue;
        member.place = Place::kArrived;
        member.objective = objective;
        advance(bracket);
        return;
      }
    }
  }

  bool may_resume(std::uint64_t trial) const override {
    for (const auto& bracket : brackets_) {
      if (bracket.ended) continue;
      for (const auto& member : bracket.members) {
        if (member.trial == trial) return true;
      }
    }
    return false;
  }

  void save(ByteWriter& out) const override {
    out.put(started_);
    out.put(opened_);
    out.put<std::uint8_t>(closed_ ? 1 : 0);
    out.put<std::uint64_t>(brackets_.size());
    for (const auto& bracket : brackets_) {
      out.put(bracket.base);
      out.put(bracket.round);
      out.put(bracket.wanted);
      out.put<std::uint8_t>(bracket.ended ? 1 : 0);
      out.put<std::uint64_t>(bracket.members.size());
      for (const auto& member : bracket.members) {
        out.put(member.trial);
        out.put(member.objective);
        out.put(member.place);
      }
    }
  }
  Status load(ByteReader& in) override {
    started_ = in.get<std::uint64_t>();
    opened_ = in.get<std::uint64_t>();
    closed_ = in.get<std::uint8_t>() != 0;
    const auto count = in.get<std::uint64_t>();
    if (count > in.remaining() / 33) return data_loss("the stored scheduler is cut short");
    brackets_.assign(count, {});
    for (auto& bracket : brackets_) {
      bracket.base = in.get<std::uint64_t>();
      bracket.round = in.get<std::uint64_t>();
      bracket.wanted = in.get<std::uint64_t>();
      bracket.ended = in.get<std::uint8_t>() != 0;
      const auto members = in.get<std::uint64_t>();
      if (members > in.remaining() / 17) return data_loss("the stored scheduler is cut short");
      if (bracket.base >= levels_.size() || bracket.round >= levels_.size() - bracket.base) {
        return failed_precondition("a stored bracket has other rungs");
      }
      bracket.members.resize(members);
      for (auto& member : bracket.members) {
        member.trial = in.get<std::uint64_t>();
        member.objective = in.get<double>();
        member.place = in.get<Place>();
        if (member.place > Place::kArrived) return data_loss("a stored trial is nowhere");
      }
    }
    return in.ok() ? Status::ok() : data_loss("the stored scheduler is cut short");
  }

 private:
  enum class Place : std::uint8_t { kPaused, kRunning, kArrived };
  struct Member {
    std::uint64_t trial = 0;
    double objective = 0.0;
    Place place = Place::kRunning;
  };
  struct Bracket {
    std::uint64_t base = 0;    // the rung at which it starts
    std::uint64_t round = 0;   // now at rung base + round
    std::uint64_t wanted = 0;  // trials of its first round; fewer where no more can be started
    bool ended = false;
    std::vector<Member> members;  // of this round
  };

  Bracket next_bracket() {
    const std::uint64_t highest = levels_.size() - 1;
    Bracket bracket;
    bracket.base = one_bracket_ ? 0 : opened_ % levels_.size();
    ++opened_;
    const auto s = static_cast<double>(highest - bracket.base);
    bracket.wanted = static_cast<std::uint64_t>(
        std::ceil(static_cast<double>(highest + 1) / (s + 1) * std::pow(static_cast<double>(eta_), s)));
    return bracket;
  }

  std::optional<Job> job_of(Bracket& bracket, const StartTrial& start) {
    if (bracket.ended) return std::nullopt;
    const std::uint64_t to = levels_[bracket.base + bracket.round];
    if (bracket.round == 0 && bracket.members.size() < bracket.wanted) {
      if (!closed_ && start(started_, to)) {
        bracket.members.push_back({started_, 0.0, Place::kRunning});
        return Job{started_++, 0, to, 0};
      }
      closed_ = true;
      bracket.wanted = bracket.members.size();
      advance(bracket);
      if (bracket.ended || bracket.round == 0) return std::nullopt;
    }
    for (auto& member : bracket.members) {
      if (member.place != Place::kPaused) continue;
      member.place = Place::kRunning;
      const std::uint64_t rung = bracket.base + bracket.round;
      return Job{member.trial, levels_[rung - 1], levels_[rung], 0};
    }
    return std::nullopt;
  }

  // To the next round, if this one is over.
  void advance(Bracket& bracket) {
    if (bracket.round == 0 && bracket.members.size() < bracket.wanted) return;
    auto& members = bracket.members;
    if (std::any_of(members.begin(), members.end(), [](const Member& m) { return m.place != Place::kArrived; })) return;
    std::size_t keep = members.size() / eta_;
    std::stable_sort(members.begin(), members.end(), [](const Member& a, const Member& b) {
      if (std::isnan(a.objective)) return false;
      return std::isnan(b.objective) || a.objective > b.objective;
    });
    while (keep > 0 && std::isnan(members[keep - 1].objective)) --keep;
    if (keep == 0 || bracket.base + bracket.round + 1 >= levels_.size()) {
      bracket.ended = true;
      return;
    }
    members.resize(keep);
    for (auto& member : members) member.place = Place::kPaused;
    ++bracket.round;
  }

  std::vector<std::uint64_t> levels_;
  std::uint64_t eta_;
  bool one_bracket_;
  std::uint64_t started_ = 0;
  std::uint64_t opened_ = 0;
  bool closed_ = false;  // no more trials can be started
  std::vector<Bracket> brackets_;
};

}  // namespace

std::unique_ptr<Scheduler> make_successive_halving(const SchedulerOptions& options) {
  return std::make_unique<Hyperband>(options, true);
}
std::unique_ptr<Scheduler> make_hyperband(const SchedulerOptions& options) {
  return std::make_unique<Hyperband>(options, false);
}

}  // namespace freshet::tuning
