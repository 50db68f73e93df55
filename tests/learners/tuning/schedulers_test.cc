// What is particular to each scheduler; what all of them must do is in tests/conformance/tuning_test.cc.
#include <algorithm>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "learners/tuning/scheduler.h"

namespace freshet::tuning {
namespace {

bool any(std::uint64_t /*trial*/, std::uint64_t /*to*/) { return true; }
bool none(std::uint64_t /*trial*/, std::uint64_t /*to*/) { return false; }

std::unique_ptr<Scheduler> make(const std::string& kind, std::uint64_t most, std::uint32_t eta = 3) {
  SchedulerOptions options;
  options.kind = kind;
  options.max_resource = most;
  options.eta = eta;
  return make_scheduler(options).value();
}

TEST(Schedulers, RefuseWhatMakesNoSense) {
  for (int wrong = 0; wrong < 6; ++wrong) {
    SchedulerOptions options;
    if (wrong == 0) options.kind = "bandit";
    if (wrong == 1) options.grace = 0;
    if (wrong == 2) options.max_resource = 0;
    if (wrong == 3) options.eta = 1;
    if (wrong == 4) options.brackets = 0;
    if (wrong == 5) options.epsilon_percentile = 101;
    EXPECT_EQ(make_scheduler(options).code(), Code::kInvalidArgument) << wrong;
  }
}

// The example of Li et al. (2018), R = 81 and eta = 3: bracket s starts ceil((s_max + 1) / (s + 1) * eta^s) trials, and
// of each round a third goes on.
TEST(Hyperband, RunsThePapersBrackets) {
  auto hyperband = make("hyperband", 81);
  std::map<std::uint64_t, std::vector<std::uint64_t>> reached;  // of each trial
  for (int step = 0; step < 100'000; ++step) {
    const auto job = hyperband->next_job([](std::uint64_t trial, std::uint64_t) { return trial < 143; });
    if (!job) break;
    reached[job->trial].push_back(job->to);
    hyperband->report(job->trial, job->to, static_cast<double>((job->trial * 7919) % 1009));
  }
  const auto count = [&](std::uint64_t begin, std::uint64_t end, std::uint64_t level) {
    std::size_t trials = 0;
    for (std::uint64_t trial = begin; trial < end; ++trial) {
      trials += static_cast<std::size_t>(std::count(reached[trial].begin(), reached[trial].end(), level));
    }
    return trials;
  };
  const auto levels = [&](std::uint64_t begin, std::uint64_t end) {
    return std::vector<std::size_t>{count(begin, end, 1), count(begin, end, 3), count(begin, end, 9),
                                    count(begin, end, 27), count(begin, end, 81)};
  };
  EXPECT_EQ(levels(0, 81), (std::vector<std::size_t>{81, 27, 9, 3, 1}));
  EXPECT_EQ(levels(81, 115), (std::vector<std::size_t>{0, 34, 11, 3, 1}));
  EXPECT_EQ(levels(115, 130), (std::vector<std::size_t>{0, 0, 15, 5, 1}));
  EXPECT_EQ(levels(130, 138), (std::vector<std::size_t>{0, 0, 0, 8, 2}));
  EXPECT_EQ(levels(138, 143), (std::vector<std::size_t>{0, 0, 0, 0, 5}));
}

TEST(SuccessiveHalving, WaitsForARoundAndLetsTheBestGoOn) {
  auto halving = make("successive_halving", 9);
  std::vector<Job> jobs;
  const auto nine = [](std::uint64_t trial, std::uint64_t) { return trial < 9; };
  for (int i = 0; i < 9; ++i) jobs.push_back(halving->next_job(nine).value());
  EXPECT_FALSE(halving->next_job(nine).has_value());
  for (std::uint64_t trial = 0; trial < 8; ++trial) halving->report(trial, 1, static_cast<double>(trial % 5));
  EXPECT_FALSE(halving->next_job(nine).has_value());  // one is still missing
  halving->report(8, 1, 3.5);
  // Objectives 0 1 2 3 4 0 1 2 3.5: 4, 8 and 3.
  EXPECT_EQ(halving->next_job(nine).value(), (Job{4, 1, 3, 0}));
  EXPECT_TRUE(halving->may_resume(8));
  EXPECT_FALSE(halving->may_resume(0));
  EXPECT_EQ(halving->next_job(nine).value(), (Job{8, 1, 3, 0}));
  EXPECT_EQ(halving->next_job(nine).value(), (Job{3, 1, 3, 0}));
  halving->report(3, 3, 9.0);
  halving->report(4, 3, 8.0);
  halving->report(8, 3, 7.0);
  EXPECT_EQ(halving->next_job(nine).value(), (Job{3, 3, 9, 0}));
}

// Trials of which each goes on as soon as three are there; curves by a table.
TEST(Pasha, AddsARungOnlyWhenRanksChange) {
  // Same order at every rung: never above the second rung, 3 of 27 units.
  auto steady = make("pasha", 27);
  std::uint64_t most = 0;
  for (int step = 0; step < 200; ++step) {
    const auto job = steady->next_job(any).value();
    EXPECT_EQ(job.evaluate_every, 1U);
    most = std::max(most, job.to);
    steady->report(job.trial, job.to, static_cast<double>(job.trial % 17));
  }
  EXPECT_EQ(most, 3U);
  // The order turns round at 3 units: the next rung is trained.
  auto turning = make("pasha", 27);
  most = 0;
  for (int step = 0; step < 200; ++step) {
    const auto job = turning->next_job(any).value();
    most = std::max(most, job.to);
    const auto own = static_cast<double>(job.trial % 17);
    turning->report(job.trial, job.to, job.to < 3 ? own : -own);
  }
  EXPECT_GE(most, 9U);
}

// The two trials of the top rung have curves that cross three times, or once, and are 0.2 apart at the end: their
// noise, if it is that, makes a difference of 0.1 at the rung below no difference.
TEST(Pasha, LetsTrialsWithinTheirNoiseChangePlaces) {
  for (const bool noisy : {true, false}) {
    SCOPED_TRACE(noisy);
    SchedulerOptions options;
    options.kind = "pasha";
    options.max_resource = 81;
    options.eta = 3;
    options.grace = 3;  // rungs at 3, 9, 27, 81; evaluations at 3, 6, 9
    auto pasha = make_scheduler(options).value();
    const auto six = [](std::uint64_t trial, std::uint64_t) { return trial < 6; };
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(pasha->next_job(six).has_value());
    // At 3 units 0 is better than 1 by 0.1.
    const std::vector<double> at_three = {0.9, 0.8, 0.3, 0.2, 0.1, 0.0};
    for (std::uint64_t trial = 0; trial < 6; ++trial) pasha->report(trial, 3, at_three[trial]);
    ASSERT_EQ(pasha->next_job(six)->trial, 0U);
    ASSERT_EQ(pasha->next_job(six)->trial, 1U);
    // At 6 units 1 is better; with noise 0 was so again before 1 is better at 9.
    pasha->report(0, 6, 0.5);
    pasha->report(0, 7, noisy ? 0.9 : 0.5);
    pasha->report(0, 9, 0.6);
    pasha->report(1, 6, 0.7);
    pasha->report(1, 7, 0.7);
    pasha->report(1, 9, 0.8);
    // Three more at the lowest rung let one go on; it may go above 9 only if a rung was added.
    bool above = false;
    for (int step = 0; step < 60; ++step) {
      const auto job = pasha->next_job(any).value();
      above = above || job.to > 9;
      pasha->report(job.trial, job.to, -1.0 - static_cast<double>(job.trial));
    }
    EXPECT_EQ(above, !noisy);
  }
}

TEST(MedianStopping, StopsWhatIsWorseThanTheMedianOfAverages) {
  SchedulerOptions options;
  options.kind = "median";
  options.max_resource = 3;
  options.median_trials = 3;
  auto median = make_scheduler(options).value();
  const auto five = [](std::uint64_t trial, std::uint64_t) { return trial < 5; };
  // Three trials to the end: averages after two units 0.3, 0.5, 0.8.
  const std::vector<std::vector<double>> curves = {{0.2, 0.4, 0.4}, {0.4, 0.6, 0.7}, {0.7, 0.9, 0.9}};
  for (const auto& curve : curves) {
    for (std::uint64_t unit = 0; unit < 3; ++unit) {
      const auto job = median->next_job(five).value();
      ASSERT_EQ(job.from, unit);
      ASSERT_EQ(job.to, unit + 1);
      median->report(job.trial, job.to, curve[unit]);
    }
  }
  auto job = median->next_job(five).value();
  EXPECT_EQ(job, (Job{3, 0, 1, 0}));
  median->report(3, 1, 0.45);  // above the median of 0.2, 0.4, 0.7
  job = median->next_job(five).value();
  EXPECT_EQ(job, (Job{3, 1, 2, 0}));
  median->report(3, 2, 0.1);  // its best, 0.45, is below the median of 0.3, 0.5, 0.8
  EXPECT_FALSE(median->may_resume(3));
  job = median->next_job(five).value();
  EXPECT_EQ(job, (Job{4, 0, 1, 0}));
  median->report(4, 1, 0.41);  // below the median of 0.2, 0.4, 0.45, 0.7: 0.425
  EXPECT_FALSE(median->next_job(five).has_value());
}

TEST(Plain, TrainsEveryTrialToTheEnd) {
  auto plain = make("plain", 20);
  EXPECT_EQ(plain->next_job(any).value(), (Job{0, 0, 20, 0}));
  EXPECT_EQ(plain->next_job(any).value(), (Job{1, 0, 20, 0}));
  plain->report(0, 20, 1.0);
  EXPECT_FALSE(plain->next_job(none).has_value());
  EXPECT_FALSE(plain->may_resume(0));
}

}  // namespace
}  // namespace freshet::tuning
