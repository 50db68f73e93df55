// Clock: the only way Freshet asks for the time, so that tests and backtests can hold it still.
//
// Threads: all methods are thread-safe.  Failure: none.
#pragma once

#include <atomic>
#include <cstdint>

namespace freshet {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t monotonic_ns() const = 0;  // never goes back; only differences mean something
  virtual std::int64_t wall_ms() const = 0;       // milliseconds since 1970-01-01 UTC; may jump
};

class SystemClock final : public Clock {
 public:
  std::int64_t monotonic_ns() const override;
  std::int64_t wall_ms() const override;
};

// Stands still until told to move.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(std::int64_t wall_ms = 0) : wall_ms_(wall_ms) {}
  std::int64_t monotonic_ns() const override { return monotonic_ns_.load(); }
  std::int64_t wall_ms() const override { return wall_ms_.load(); }
  void advance_ms(std::int64_t ms) {
    monotonic_ns_ += ms * 1'000'000;
    wall_ms_ += ms;
  }
  void set_wall_ms(std::int64_t wall_ms) { wall_ms_ = wall_ms; }  // a jump: the monotonic time does not follow

 private:
  std::atomic<std::int64_t> monotonic_ns_{0};
  std::atomic<std::int64_t> wall_ms_;
};

}  // namespace freshet
