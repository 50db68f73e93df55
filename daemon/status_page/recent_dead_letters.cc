#include "daemon/status_page/recent_dead_letters.h"

#include <utility>

namespace freshet {

RecentDeadLetters::RecentDeadLetters(std::unique_ptr<DeadLetterSink> sink, const Clock& clock)
    : sink_(std::move(sink)), clock_(clock), letters_(kKept) {}

std::uint64_t RecentDeadLetters::submit(const DeadLetter& letter) {
  if (is_dead_letter(letter.reason)) {
    const std::lock_guard lock(mutex_);
    Letter& kept = letters_[seen_ % kKept];
    kept.number = ++seen_;
    kept.time_ms = clock_.wall_ms();
    kept.reason = letter.reason;
    kept.topic.assign(letter.topic);
    kept.position = letter.position;
    kept.detail.assign(letter.detail.substr(0, kDetailBytesMax));
  }
  return sink_->submit(letter);
}

std::vector<RecentDeadLetters::Letter> RecentDeadLetters::newest() const {
  const std::lock_guard lock(mutex_);
  std::vector<Letter> newest;
  for (std::uint64_t back = 0; back < kKept && back < seen_; ++back) {
    newest.push_back(letters_[(seen_ - 1 - back) % kKept]);
  }
  return newest;
}

}  // namespace freshet
