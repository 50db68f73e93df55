// ASHA against a plain simulation written from Algorithm 2 of Li et al. (2020), and what the paper does not say.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/rng.h"
#include "learners/tuning/scheduler.h"

namespace freshet::tuning {
namespace {

// Algorithm 2, line by line: minimum resource r, maximum resource R, reduction factor eta, early-stopping rate 0.
class PaperAsha {
 public:
  PaperAsha(int r, int most, int eta) : r_(r), eta_(eta) {
    while (r * std::pow(eta, highest_ + 1) <= most) ++highest_;
  }
  // get_job(): a configuration and the rung to train it in.
  std::pair<int, int> get_job() {
    for (int k = highest_ - 1; k >= 0; --k) {
      for (const int candidate : top_k(k, static_cast<int>(losses_[k].size()) / eta_)) {
        if (promoted_[k].count(candidate) > 0) continue;
        promoted_[k].insert(candidate);
        return {candidate, k + 1};
      }
    }
    return {next_++, 0};
  }
  void update(int configuration, int rung, double loss) { losses_[rung][configuration] = loss; }
  int resource(int rung) const { return r_ * static_cast<int>(std::lround(std::pow(eta_, rung))); }

 private:
  std::vector<int> top_k(int rung, int count) {
    std::vector<std::pair<double, int>> sorted;
    for (const auto& [configuration, loss] : losses_[rung]) sorted.emplace_back(loss, configuration);
    std::sort(sorted.begin(), sorted.end());
    std::vector<int> top;
    for (int i = 0; i < count; ++i) top.push_back(sorted[static_cast<std::size_t>(i)].second);
    return top;
  }
  int r_, eta_, highest_ = 0, next_ = 0;
  std::map<int, std::map<int, double>> losses_;
  std::map<int, std::set<int>> promoted_;
};

TEST(Asha, DecidesAsThePaperForAnyOrderOfArrival) {
  int promotions = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    const int eta = 2 + static_cast<int>(rng.below(3));
    const int grace = 1 + static_cast<int>(rng.below(3));
    const int most = grace * static_cast<int>(std::lround(std::pow(eta, 1 + static_cast<int>(rng.below(4)))));
    const std::size_t workers = 1 + rng.below(8);
    PaperAsha paper(grace, most, eta);
    SchedulerOptions options;
    options.eta = static_cast<std::uint32_t>(eta);
    options.grace = static_cast<std::uint64_t>(grace);
    options.max_resource = static_cast<std::uint64_t>(most);
    auto asha = make_scheduler(options).value();
    std::vector<std::pair<int, int>> running;
    for (int step = 0; step < 150; ++step) {
      while (running.size() < workers) {
        const auto expected = paper.get_job();
        const auto job = asha->next_job([](std::uint64_t, std::uint64_t) { return true; });
        ASSERT_TRUE(job.has_value());
        ASSERT_EQ(job->trial, static_cast<std::uint64_t>(expected.first));
        ASSERT_EQ(job->to, static_cast<std::uint64_t>(paper.resource(expected.second)));
        ASSERT_EQ(job->from,
                  expected.second == 0 ? 0U : static_cast<std::uint64_t>(paper.resource(expected.second - 1)));
        promotions += expected.second > 0 ? 1 : 0;
        running.push_back(expected);
      }
      const std::size_t done = rng.below(running.size());
      const auto [configuration, rung] = running[done];
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(done));
      const double loss = rng.uniform();
      paper.update(configuration, rung, loss);
      asha->report(static_cast<std::uint64_t>(configuration), static_cast<std::uint64_t>(paper.resource(rung)), -loss);
    }
  }
  EXPECT_GT(promotions, 10'000);
}

bool any(std::uint64_t /*trial*/, std::uint64_t /*to*/) { return true; }
bool none(std::uint64_t /*trial*/, std::uint64_t /*to*/) { return false; }

TEST(Asha, TrainsToTheMostEvenWhereNoRungOfThePaperStandsThere) {
  SchedulerOptions options;  // 100 units, grace 1, eta 3
  auto asha = make_scheduler(options).value();
  std::set<std::uint64_t> levels;
  for (int step = 0; step < 2000; ++step) {
    const auto job = asha->next_job(any);
    levels.insert(job->to);
    asha->report(job->trial, job->to, static_cast<double>(job->trial));
  }
  EXPECT_EQ(levels, (std::set<std::uint64_t>{1, 3, 9, 27, 81, 100}));
}

TEST(Asha, NeverPromotesATrialThatFailedButCountsIt) {
  SchedulerOptions options;
  auto asha = make_scheduler(options).value();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (int trial = 0; trial < 6; ++trial) ASSERT_EQ(asha->next_job(any)->trial, static_cast<std::uint64_t>(trial));
  for (const std::uint64_t trial : {0, 1, 2}) asha->report(trial, 1, nan);
  EXPECT_FALSE(asha->next_job(none).has_value());  // the best of three is none
  for (const std::uint64_t trial : {3, 4}) asha->report(trial, 1, nan);
  asha->report(5, 1, -1e300);
  const auto job = asha->next_job(none);  // two of six may go on, and one alone is whole
  ASSERT_TRUE(job.has_value());
  EXPECT_EQ(*job, (Job{5, 1, 3, 0}));
  EXPECT_FALSE(asha->next_job(none).has_value());
}

// Of two brackets, the second one starts its trials at the second rung.
TEST(Asha, SpreadsTrialsOverBrackets) {
  SchedulerOptions options;
  options.max_resource = 9;
  options.brackets = 2;
  auto asha = make_scheduler(options).value();
  std::map<std::uint64_t, int> started;
  for (int i = 0; i < 70; ++i) ++started[asha->next_job(any)->to];
  // Shares 3 * 2 / 2 and 1 * 2 / 1: three to two.
  EXPECT_EQ(started[1], 42);
  EXPECT_EQ(started[3], 28);
}

}  // namespace
}  // namespace freshet::tuning
