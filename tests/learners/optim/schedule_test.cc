// Every expected number was computed by other means than the code: in double precision from the papers' formulas, the
// cosine's period by its closed form.
#include "learners/optim/schedule.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace freshet {
namespace {

using Values = std::vector<std::pair<std::uint64_t, double>>;

void expect_rates(const ScheduleOptions& options, const Values& values) {
  const auto schedule = Schedule::create(options);
  ASSERT_TRUE(schedule.is_ok()) << schedule.status().to_string();
  for (const auto& [step, want] : values) {
    EXPECT_NEAR((*schedule)->rate(step), want, 2e-7 * want) << schedule_name(options.kind) << " at step " << step;
  }
}

ScheduleOptions noam_options() {
  ScheduleOptions options;
  options.kind = ScheduleKind::kNoam;
  options.scale = 2.0;
  options.dim = 4;
  options.warmup_steps = 8000;
  return options;
}

ScheduleOptions cosine_options(std::uint32_t t_mult) {
  ScheduleOptions options;
  options.kind = ScheduleKind::kCosineRestarts;
  options.learning_rate = 0.1F;
  options.minimum_rate = 0.001;
  options.first_period = 10;
  options.t_mult = t_mult;
  return options;
}

ScheduleOptions exponential_options() {
  ScheduleOptions options;
  options.kind = ScheduleKind::kExponential;
  options.learning_rate = 0.1F;
  options.decay_rate = 0.5;
  options.decay_steps = 100;
  return options;
}

TEST(Schedule, NoamWarmsUpAndDecays) {
  expect_rates(noam_options(), {{0, 1.3975424859373686e-06},
                                {1, 2.7950849718747372e-06},
                                {3999, 0.005590169943749474},
                                {7999, 0.011180339887498949},
                                {8000, 0.011179641181758961},
                                {31999, 0.005590169943749474},
                                {1'000'000, 0.000999999500000375}});
  EXPECT_NEAR(peak_rate(noam_options()), 0.011180339887498949, 1e-12);
}

TEST(Schedule, IsNeverBelowTheMinimum) {
  auto options = noam_options();
  options.minimum_rate = 1e-4;
  expect_rates(options, {{0, 1e-4}, {1, 1e-4}, {7999, 0.011180339887498949}, {200'000'000, 1e-4}});
}

TEST(Schedule, DoesNotMoveBeforeItsStart) {
  auto options = noam_options();
  options.start_step = 5000;
  expect_rates(options, {{0, 1.3975424859373686e-06},
                         {4999, 1.3975424859373686e-06},
                         {5000, 1.3975424859373686e-06},
                         {5001, 2.7950849718747372e-06},
                         {12999, 0.011180339887498949},
                         {13000, 0.011179641181758961}});
  auto exponential = exponential_options();
  exponential.start_step = 7;
  expect_rates(exponential, {{0, 0.1}, {6, 0.1}, {7, 0.1}, {107, 0.05}, {157, 0.03535533905932738}});
}

TEST(Schedule, CountsStepsOfItsDuration) {
  auto options = noam_options();
  options.start_step = 10;
  options.step_duration = 5;
  expect_rates(options, {{0, 1.3975424859373686e-06},
                         {14, 1.3975424859373686e-06},
                         {15, 2.7950849718747372e-06},
                         {19, 2.7950849718747372e-06},
                         {10 + 5 * 7999, 0.011180339887498949}});
}

TEST(Schedule, InverseSqrtRisesInALineAndFallsWithTheRoot) {
  ScheduleOptions options;
  options.kind = ScheduleKind::kInverseSqrt;
  options.learning_rate = 0.05F;
  options.warmup_steps = 100;
  expect_rates(
      options,
      {{0, 0.0005}, {49, 0.025}, {98, 0.0495}, {99, 0.05}, {100, 0.04975185951049946}, {399, 0.025}, {9999, 0.005}});
}

TEST(Schedule, CosineStartsAgainAfterEachPeriod) {
  expect_rates(cosine_options(1), {{0, 0.1},
                                   {1, 0.09757729755661011},
                                   {5, 0.0505},
                                   {9, 0.0034227024433899004},
                                   {10, 0.1},
                                   {19, 0.0034227024433899004},
                                   {1'000'000'005, 0.0505}});
  expect_rates(cosine_options(2), {{0, 0.1},
                                   {9, 0.0034227024433899004},
                                   {10, 0.1},
                                   {20, 0.0505},
                                   {29, 0.001609427140540686},
                                   {30, 0.1},
                                   {50, 0.0505},
                                   {69, 0.0011525919802101658},
                                   {70, 0.1},
                                   {149, 0.0010381627060842165},
                                   {150, 0.1},
                                   {1000, 0.03847248109478846}});
}

TEST(Schedule, ExponentialDecaysSmoothlyOrInStairs) {
  auto options = exponential_options();
  expect_rates(options, {{0, 0.1},
                         {1, 0.0993092495437036},
                         {99, 0.05034777750283595},
                         {100, 0.05},
                         {150, 0.03535533905932738},
                         {1000, 9.765625e-05}});
  options.staircase = true;
  expect_rates(options, {{0, 0.1}, {99, 0.1}, {100, 0.05}, {199, 0.05}, {250, 0.025}, {1000, 9.765625e-05}});
}

TEST(Schedule, ConstantStaysPut) {
  ScheduleOptions options;
  options.learning_rate = 0.25F;
  expect_rates(options, {{0, 0.25}, {1000, 0.25}});
}

// A daemon that runs for years must not meet a rate that is none.
TEST(Schedule, GivesAUsableRateAtTheLastStepThereIs) {
  constexpr std::uint64_t kLast = std::numeric_limits<std::uint64_t>::max();
  ScheduleOptions inverse;
  inverse.kind = ScheduleKind::kInverseSqrt;
  for (const auto& options : {noam_options(), inverse, cosine_options(1), cosine_options(3), exponential_options()}) {
    for (const std::uint64_t step : {kLast, kLast / 2, kLast / 3}) {
      const float rate = Schedule::create(options).value()->rate(step);
      EXPECT_GE(rate, 0.0F) << schedule_name(options.kind);
      EXPECT_LE(rate, peak_rate(options)) << schedule_name(options.kind);
    }
  }
}

TEST(Schedule, IsFoundByItsName) {
  for (const auto kind : {ScheduleKind::kConstant, ScheduleKind::kNoam, ScheduleKind::kInverseSqrt,
                          ScheduleKind::kCosineRestarts, ScheduleKind::kExponential}) {
    EXPECT_EQ(parse_schedule(schedule_name(kind)).value(), kind);
  }
  EXPECT_EQ(parse_schedule("linear").code(), Code::kInvalidArgument);
}

TEST(Schedule, RefusesOptionsThatGiveNoRate) {
  const auto refuses = [](ScheduleOptions options, auto change) {
    change(options);
    return Schedule::create(options).code() == Code::kInvalidArgument;
  };
  EXPECT_TRUE(refuses({}, [](auto& o) { o.learning_rate = 0.0F; }));
  EXPECT_TRUE(refuses({}, [](auto& o) { o.learning_rate = std::numeric_limits<float>::infinity(); }));
  EXPECT_TRUE(refuses({}, [](auto& o) { o.kind = static_cast<ScheduleKind>(77); }));
  EXPECT_TRUE(refuses(noam_options(), [](auto& o) { o.dim = 0; }));
  EXPECT_TRUE(refuses(noam_options(), [](auto& o) { o.scale = 0.0; }));
  EXPECT_TRUE(refuses(noam_options(), [](auto& o) { o.warmup_steps = 0; }));
  EXPECT_TRUE(refuses(noam_options(), [](auto& o) { o.step_duration = 0; }));
  EXPECT_TRUE(refuses(noam_options(), [](auto& o) { o.minimum_rate = -1.0; }));
  EXPECT_TRUE(refuses(cosine_options(1), [](auto& o) { o.first_period = 0; }));
  EXPECT_TRUE(refuses(cosine_options(1), [](auto& o) { o.t_mult = 0; }));
  EXPECT_TRUE(refuses(cosine_options(1), [](auto& o) { o.minimum_rate = 0.2; }));
  EXPECT_TRUE(refuses(exponential_options(), [](auto& o) { o.decay_rate = 1.0; }));
  EXPECT_TRUE(refuses(exponential_options(), [](auto& o) { o.decay_steps = 0; }));
}

}  // namespace
}  // namespace freshet
