// Mailbox: requests of any thread that the ingest thread serves between two batches.
//
// Threads: any thread posts, ingest takes and answers; open() and close() by ingest.
// Owns: the requests that wait, at most kRequestsMax.
// Failure: kUnavailable while nobody serves, when too many wait, and when no answer came in time: what was begun is
// done anyway.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "core/status.h"

namespace freshet {

template <typename Question, typename Answer>
class Mailbox {
 public:
  static constexpr std::size_t kRequestsMax = 16;

  struct Request {
    Question question;
    std::optional<Result<Answer>> outcome;
  };

  Result<Answer> post(Question question, std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    if (!open_) return unavailable("the pipeline takes no requests now: it is starting, redoing its log, or has ended");
    if (waiting_.size() >= kRequestsMax) return unavailable("too many requests wait already; try again later");
    const auto request = std::make_shared<Request>();
    request->question = std::move(question);
    waiting_.push_back(request);
    if (!changed_.wait_for(lock, timeout, [&] { return request->outcome.has_value(); })) {
      return unavailable("it was not done in time; ask again, which does no harm");
    }
    return std::move(*request->outcome);
  }

  std::vector<std::shared_ptr<Request>> take() {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Request>> all(waiting_.begin(), waiting_.end());
    waiting_.clear();
    return all;
  }

  void answer(Request& request, Result<Answer> outcome) {
    {
      const std::lock_guard lock(mutex_);
      request.outcome = std::move(outcome);
    }
    changed_.notify_all();
  }

  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
  }

  void close() {
    {
      const std::lock_guard lock(mutex_);
      open_ = false;
      for (const auto& request : waiting_) request->outcome = unavailable("the pipeline has ended");
      waiting_.clear();
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Request>> waiting_;
  bool open_ = false;
};

}  // namespace freshet
