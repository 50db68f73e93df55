// eventually: waits for a condition, not for a time: looks again every few milliseconds until it holds or the deadline
// is over. The one place of the tests that pauses.
//
// Threads: the caller's.  Failure: false when the condition did not hold in time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>

namespace freshet {

inline bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds timeout) {
  constexpr std::chrono::milliseconds kLookEvery{20};
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::mutex mutex;
  std::condition_variable nobody_notifies;
  std::unique_lock lock(mutex);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    nobody_notifies.wait_for(lock, kLookEvery);
  }
  return true;
}

}  // namespace freshet
