// Operations: long work on a running daemon's state (a backup, a compaction), on a thread of its own, one at a time, so
// that neither the server's threads nor ingest wait for it.
//
// Threads: any; the work runs on the thread owned here.
// Owns: that thread, and how the last work ended.  Failure: kUnavailable while another one runs; a failed work's Status
// is part of the report. stop() asks the running one to end (Progress::cancelled) and waits for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "core/status.h"

namespace freshet {

// What long work tells while it runs, and what it asks. `total` 0: not known.
class Progress {
 public:
  void set(std::uint64_t done, std::uint64_t total = 0) {
    done_ = done;
    total_ = total;
  }
  std::uint64_t done() const { return done_; }
  std::uint64_t total() const { return total_; }
  const std::atomic<bool>& cancelled() const { return cancelled_; }
  void cancel() { cancelled_ = true; }

 private:
  std::atomic<std::uint64_t> done_{0};
  std::atomic<std::uint64_t> total_{0};
  std::atomic<bool> cancelled_{false};
};

// The lanes of the admin routes, an Operations each.
inline constexpr std::string_view kOperationsLane = "operations";
inline constexpr std::string_view kPublishingLane = "publishing";

class Operations {
 public:
  // Gives its result as a JSON object.
  using Work = std::function<Result<std::string>(Progress&)>;

  Operations() = default;
  ~Operations() { stop(); }
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;

  // `unit` says what Progress counts. The operation's number.
  Result<std::uint64_t> start(const std::string& name, const std::string& unit, Work work);

  // {"id", "operation", "state": "none"|"running"|"done"|"failed", "done", "total", "unit", "result", "error", "code"};
  // members that do not apply are left out.
  std::string report() const;

  void stop();

 private:
  enum class State : std::uint8_t { kNone, kRunning, kDone, kFailed };

  mutable std::mutex mutex_;
  State state_ = State::kNone;
  std::uint64_t id_ = 0;
  std::string name_;
  std::string unit_;
  std::string result_;
  Status failure_;
  bool stopping_ = false;
  std::unique_ptr<Progress> progress_;
  std::thread thread_;
};

}  // namespace freshet
