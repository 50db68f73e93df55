// Confirmation: the second test that an alarm must pass before anything costly follows from it.
//
// The events that come after the alarm, which had no part in raising it, are held against those before the change: the
// alarm is confirmed as soon as their means are `deviations` standard errors apart (Welch's statistic with long-run
// variances, see block_history.h) and by at least `effect` standard deviations of an event, and dismissed when that has
// not happened within `within_events`. The threshold is far out because the test is repeated with every block and
// after every alarm: at 4 deviations a look is wrong about once in 30,000, and there are some hundred alarms in ten
// million events without a change (bench/drift counts what comes of them: nothing). A detector that is set to raise
// thousands will see one of them confirmed now and then.
//
// Threads: one owner.  Owns: a few sums.  Failure: `load` is false for damaged bytes.
#pragma once

#include <cstdint>

#include "core/bytes.h"
#include "learners/drift/block_history.h"

namespace freshet {

struct ConfirmationOptions {
  double deviations = 4;
  double effect = 0.05;
  std::uint64_t within_events = 8192;
  std::uint64_t least_events = 128;  // none is confirmed with fewer
};

enum class Verdict : std::uint8_t { kWaiting, kConfirmed, kDismissed };

class Confirmation {
 public:
  Confirmation() = default;
  // `position`: of the alarm; `not_before`: the first position at which it may be confirmed.
  Confirmation(const Baseline& baseline, ChangeDirection direction, std::uint64_t position, std::uint64_t not_before);

  // Takes the next event, at this position.
  Verdict add(std::uint64_t position, double value, const ConfirmationOptions& options);

  std::uint64_t alarm() const { return alarm_; }
  std::uint64_t change() const { return change_; }  // about where the change began
  const MeanAndSpread& before() const { return before_; }
  const MeanAndSpread& after() const { return after_; }
  double deviations() const;  // how many standard errors apart the means are; falling is negative

  void save(ByteWriter& out) const;
  bool load(ByteReader& in);

 private:
  MeanAndSpread before_;
  MeanAndSpread after_;
  double long_run_variance_ = 0;
  std::uint64_t alarm_ = 0;
  std::uint64_t change_ = 0;
  std::uint64_t not_before_ = 0;
  ChangeDirection direction_ = ChangeDirection::kBoth;
};

}  // namespace freshet
