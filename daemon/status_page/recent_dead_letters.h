// RecentDeadLetters: passes dead letters on to another sink and keeps what was wrong with the newest, for the status
// page. Of a record it keeps where it stands and the complaint, never its key or value.
//
// Threads: thread-safe.  Owns: the other sink, and the newest letters; nothing is allocated for a letter once warm.
// Failure: that of the other sink.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/clock.h"
#include "stream/dead_letters.h"

namespace freshet {

class RecentDeadLetters final : public DeadLetterSink {
 public:
  static constexpr std::size_t kKept = 24;
  static constexpr std::size_t kDetailBytesMax = 200;

  struct Letter {
    std::uint64_t number = 0;  // they count from 1
    std::int64_t time_ms = 0;  // when it was met
    SkipReason reason = SkipReason::kMalformed;
    std::string topic;
    Position position;
    std::string detail;
  };

  RecentDeadLetters(std::unique_ptr<DeadLetterSink> sink, const Clock& clock);

  std::uint64_t submit(const DeadLetter& letter) override;
  Status acknowledge(std::uint64_t ticket, std::chrono::milliseconds timeout) override {
    return sink_->acknowledge(ticket, timeout);
  }
  bool backlogged() const override { return sink_->backlogged(); }

  std::vector<Letter> newest() const;  // newest first

 private:
  const std::unique_ptr<DeadLetterSink> sink_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::vector<Letter> letters_;  // a ring of kKept
  std::uint64_t seen_ = 0;
};

}  // namespace freshet
