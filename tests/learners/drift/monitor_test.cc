// DriftMonitor: what is said, what is confirmed, and that it depends on the numbers alone.
#include "learners/drift/monitor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <new>

#include "core/rng.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 20'250'101;

class DriftMonitors : public ::testing::Test {
 protected:
  std::unique_ptr<DriftMonitor> made(const DriftMonitorOptions& options = {}) {
    auto monitor = DriftMonitor::create(options, names_);
    EXPECT_TRUE(monitor.is_ok()) << monitor.status().message();
    return std::move(monitor).value();
  }

  // Feeds losses in batches of this size.
  static std::vector<DriftFinding> fed(DriftMonitor& monitor, const std::vector<float>& losses, std::size_t batch = 256,
                                       std::size_t begin = 0) {
    std::vector<DriftFinding> findings;
    for (std::size_t at = begin; at < losses.size(); at += batch) {
      DriftInputs inputs;
      inputs.events = std::min(batch, losses.size() - at);
      inputs.loss = {losses.data() + at, 1};
      monitor.add(at, inputs, findings);
    }
    return findings;
  }

  static std::vector<DriftFinding> of_kind(const std::vector<DriftFinding>& findings, FindingKind kind) {
    std::vector<DriftFinding> chosen;
    for (const DriftFinding& finding : findings) {
      if (finding.kind == kind) chosen.push_back(finding);
    }
    return chosen;
  }

  // Exponentially distributed with this mean: what losses look like.
  void append(std::vector<float>& losses, std::size_t events, double mean) {
    for (std::size_t i = 0; i < events; ++i) losses.push_back(static_cast<float>(-mean * std::log(1 - rng_.uniform())));
  }

  static std::string state_of(const DriftMonitor& monitor) {
    ByteWriter out;
    monitor.save(out);
    return out.take();
  }

  Rng rng_{kSeed};
  std::vector<std::string> names_ = {"distance"};
};

TEST_F(DriftMonitors, ConfirmAnAbruptChangeOnceAndSoon) {
  std::vector<float> losses;
  append(losses, 20'000, 0.3);
  append(losses, 20'000, 0.6);
  const auto monitor = made();
  const auto findings = fed(*monitor, losses);
  const auto alarms = of_kind(findings, FindingKind::kAlarm);
  const auto confirmed = of_kind(findings, FindingKind::kConfirmed);
  ASSERT_EQ(confirmed.size(), 1U);
  EXPECT_GE(confirmed[0].position, 20'000U);
  EXPECT_LE(confirmed[0].position, 21'000U);
  EXPECT_NEAR(static_cast<double>(confirmed[0].since), 20'000, 200);
  EXPECT_NEAR(confirmed[0].before, 0.3, 0.03);
  EXPECT_NEAR(confirmed[0].after, 0.6, 0.15);
  EXPECT_EQ(confirmed[0].statistic, "loss");
  EXPECT_NE(confirmed[0].cause.find("worse"), std::string::npos) << confirmed[0].cause;
  ASSERT_FALSE(alarms.empty());
  EXPECT_LT(alarms.back().position, confirmed[0].position);
  EXPECT_TRUE(monitor->in_cooldown(confirmed[0].position + 4999));
  EXPECT_FALSE(monitor->in_cooldown(confirmed[0].position + 5001));
}

TEST_F(DriftMonitors, SayNothingOfALossThatFalls) {
  std::vector<float> losses;
  for (int step = 0; step < 40; ++step) append(losses, 500, 0.7 / (1 + 0.2 * step));
  append(losses, 20'000, 0.05);
  const auto findings = fed(*made(), losses);
  EXPECT_TRUE(of_kind(findings, FindingKind::kConfirmed).empty());
}

TEST_F(DriftMonitors, ConfirmNothingInAMillionEventsWithoutAChange) {
  DriftMonitorOptions options;  // readier to raise the alarm, so that there is something to dismiss
  options.watches = {{"adwin", "loss", {"delta=0.1"}}};
  std::vector<float> losses;
  append(losses, 1'000'000, 0.4);
  const auto monitor = made(options);
  const auto findings = fed(*monitor, losses);
  EXPECT_TRUE(of_kind(findings, FindingKind::kConfirmed).empty());
  EXPECT_GT(monitor->counts().dismissed, 3U);
  std::uint64_t alarms = 0;
  for (const DriftWatchStatus& watch : monitor->watches()) alarms += watch.alarms;
  EXPECT_GT(alarms, monitor->counts().changes);
}

TEST_F(DriftMonitors, ConfirmASecondChangeAfterTheCooldownAndOneWithinItAtItsEnd) {
  std::vector<float> losses;
  append(losses, 10'000, 0.2);
  append(losses, 2'000, 0.5);   // confirmed soon after 10,000
  append(losses, 20'000, 1.1);  // at 12,000, in the cooldown
  append(losses, 10'000, 2.2);  // at 32,000
  const auto confirmed = of_kind(fed(*made(), losses), FindingKind::kConfirmed);
  ASSERT_EQ(confirmed.size(), 3U);
  EXPECT_LE(confirmed[0].position, 10'600U);
  EXPECT_GE(confirmed[1].position, confirmed[0].position + 5000);
  EXPECT_LE(confirmed[1].position, confirmed[0].position + 5200);
  EXPECT_NEAR(confirmed[1].before, 0.5, 0.1);
  EXPECT_GE(confirmed[2].position, 32'000U);
  EXPECT_LE(confirmed[2].position, 33'000U);
}

TEST_F(DriftMonitors, TakeOneChangeSeenByManyDetectorsForOne) {
  DriftMonitorOptions options;
  options.watches = {{"adwin", "loss", {}},
                     {"page_hinkley", "loss", {}},
                     {"adwin", "error", {}},
                     {"ddm", "error", {}},
                     {"hddm_w", "error", {}}};
  const auto monitor = made(options);
  std::vector<DriftFinding> findings;
  for (std::uint64_t t = 0; t < 40'000; ++t) {
    const auto error = static_cast<float>(rng_.uniform() < (t < 20'000 ? 0.1 : 0.35));
    const float loss = error * 2 + 0.1F * static_cast<float>(rng_.uniform());
    DriftInputs inputs;
    inputs.events = 1;
    inputs.loss = {&loss, 1};
    inputs.error = {&error, 1};
    monitor->add(t, inputs, findings);
  }
  EXPECT_EQ(of_kind(findings, FindingKind::kConfirmed).size(), 1U);
  EXPECT_FALSE(of_kind(findings, FindingKind::kWarning).empty());
  EXPECT_EQ(monitor->counts().confirmed, 1U);
}

TEST_F(DriftMonitors, WatchLabelsAndFeaturesInBothDirections) {
  DriftMonitorOptions options;
  options.watches = {{"adwin", "feature:distance", {}}, {"adwin", "label", {}}};
  const auto monitor = made(options);
  std::vector<DriftFinding> findings;
  for (std::uint64_t t = 0; t < 30'000; ++t) {
    // Every second row of a table of two columns; now and then the feature is missing.
    const float rows[2] = {static_cast<float>((t < 15'000 ? 1040 : 610) + 400 * rng_.uniform()), 0};
    const float missing[2] = {std::numeric_limits<float>::quiet_NaN(), 0};
    const auto label = static_cast<float>(rng_.uniform() < 0.3);
    const DriftColumn column{t % 10 == 0 ? missing : rows, 2};
    DriftInputs inputs;
    inputs.events = 1;
    inputs.label = {&label, 1};
    inputs.features = {&column, 1};
    monitor->add(t, inputs, findings);
  }
  const auto confirmed = of_kind(findings, FindingKind::kConfirmed);
  ASSERT_EQ(confirmed.size(), 1U);
  EXPECT_EQ(confirmed[0].statistic, "feature distance");
  EXPECT_LT(confirmed[0].after, confirmed[0].before);
  EXPECT_EQ(monitor->watches()[0].left_out, 3000U);
}

TEST_F(DriftMonitors, SayTheSameInAnyBatchesAndOverARestart) {
  std::vector<float> losses;
  for (int step = 0; step < 12; ++step) append(losses, 4000, step % 3 == 2 ? 0.7 : 0.3);
  const auto whole = made();
  const auto expected = fed(*whole, losses, losses.size());
  ASSERT_FALSE(of_kind(expected, FindingKind::kConfirmed).empty());
  auto parts = made();
  std::vector<DriftFinding> findings;
  for (std::size_t begin = 0; begin < losses.size(); begin += 1234) {
    std::vector<float> until(losses.begin(),
                             losses.begin() + static_cast<std::ptrdiff_t>(std::min(begin + 1234, losses.size())));
    for (DriftFinding& finding : fed(*parts, until, 100, begin)) findings.push_back(std::move(finding));
    const std::string stored = state_of(*parts);
    parts = made();
    ByteReader in(stored);
    ASSERT_TRUE(parts->load(in).is_ok());
    ASSERT_TRUE(in.at_end());
    ASSERT_EQ(state_of(*parts), stored);
  }
  ASSERT_EQ(findings.size(), expected.size());
  for (std::size_t i = 0; i < findings.size(); ++i) {
    EXPECT_EQ(findings[i].kind, expected[i].kind);
    EXPECT_EQ(findings[i].position, expected[i].position);
    EXPECT_EQ(findings[i].cause, expected[i].cause);
  }
  EXPECT_EQ(state_of(*parts), state_of(*whole));
}

TEST_F(DriftMonitors, LeaveOutWhatIsNoNumber) {
  const auto monitor = made();
  std::vector<float> losses(1000, 0.5F);
  losses[500] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(fed(*monitor, losses).empty());
  EXPECT_EQ(monitor->watches()[0].left_out, 1U);
}

TEST_F(DriftMonitors, RefuseWhatCannotBeWatched) {
  const auto refused = [&](DriftWatch watch) {
    DriftMonitorOptions options;
    options.watches = {std::move(watch)};
    const auto monitor = DriftMonitor::create(options, names_);
    EXPECT_FALSE(monitor.is_ok());
    return monitor.status().message();
  };
  EXPECT_NE(refused({"adwinn", "loss", {}}).find("page_hinkley"), std::string::npos);
  EXPECT_NE(refused({"adwin", "lost", {}}).find("feature:NAME"), std::string::npos);
  EXPECT_NE(refused({"adwin", "feature:speed", {}}).find("speed"), std::string::npos);
  EXPECT_NE(refused({"adwin", "loss", {"delta=2"}}).find("delta"), std::string::npos);
  EXPECT_NE(refused({"ddm", "loss", {}}).find("on: error"), std::string::npos);
  EXPECT_NE(refused({"kswin", "loss", {"stat_size=60"}}).find("twice"), std::string::npos);
}

TEST_F(DriftMonitors, RefuseDamagedStates) {
  std::vector<float> losses;
  append(losses, 3000, 0.3);
  const auto monitor = made();
  fed(*monitor, losses);
  const std::string stored = state_of(*monitor);
  const std::string fresh = state_of(*made());
  for (std::size_t size = 0; size < stored.size(); size += 37) {
    ByteReader in(std::string_view(stored).substr(0, size));
    EXPECT_EQ(monitor->load(in).code(), Code::kDataLoss);
    EXPECT_EQ(state_of(*monitor), fresh);
  }
}

}  // namespace
}  // namespace freshet
