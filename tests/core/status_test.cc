#include "core/status.h"

#include <gtest/gtest.h>

#include <memory>

namespace freshet {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return invalid_argument("odd");
  return value / 2;
}

Result<int> quarter(int value) {
  const int once = TRY(half(value));
  return TRY(half(once));
}

Status check_even(int value, int& reached) {
  TRY(half(value).is_ok() ? Status::ok() : out_of_range("odd"));
  ++reached;
  return Status::ok();
}

TEST(StatusTest, DefaultIsOk) {
  const Status status;
  EXPECT_TRUE(status.is_ok());
  EXPECT_EQ(status.code(), Code::kOk);
  EXPECT_EQ(status.to_string(), "ok");
}

TEST(StatusTest, ToStringNamesTheCode) {
  EXPECT_EQ(data_loss("checksum").to_string(), "data_loss: checksum");
  EXPECT_EQ(internal_error("x").to_string(), "internal: x");
}

TEST(StatusTest, ContextIsPrependedInOrderAndKeepsTheCode) {
  const Status status = unavailable("broker away").with_context("poll").with_context("source");
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_EQ(status.message(), "source: poll: broker away");
}

TEST(StatusTest, ContextLeavesOkAlone) { EXPECT_EQ(Status::ok().with_context("anywhere").to_string(), "ok"); }

TEST(StatusTest, TryReturnsTheValueOrTheFirstFailure) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).code(), Code::kInvalidArgument);
  EXPECT_EQ(quarter(5).status().message(), "odd");
}

TEST(StatusTest, TryOnAStatusStopsTheFunction) {
  int reached = 0;
  EXPECT_TRUE(check_even(2, reached).is_ok());
  EXPECT_EQ(check_even(3, reached).code(), Code::kOutOfRange);
  EXPECT_EQ(reached, 1);
}

TEST(StatusTest, ResultMovesValuesThatCannotBeCopied) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  const std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 7);
}

TEST(StatusTest, ResultKeepsItsStatusThroughContext) {
  const Result<int> result = half(3).with_context("half");
  EXPECT_EQ(result.status().to_string(), "invalid_argument: half: odd");
  EXPECT_EQ(*half(4).with_context("half"), 2);
}

TEST(StatusDeathTest, ReadingTheValueOfAFailureAborts) {
  EXPECT_DEATH(static_cast<void>(half(3).value()), "broken invariant: value\\(\\) of a failed Result.*odd");
}

TEST(StatusDeathTest, AResultCannotBeMadeFromOk) {
  EXPECT_DEATH(static_cast<void>(Result<int>(Status::ok())), "without a value");
}

}  // namespace
}  // namespace freshet
