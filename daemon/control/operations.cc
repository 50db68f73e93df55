#include "daemon/control/operations.h"

#include <fmt/format.h>

#include <utility>

#include "core/json_writer.h"

namespace freshet {

Result<std::uint64_t> Operations::start(const std::string& name, const std::string& unit, Work work) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return unavailable("the daemon is stopping");
  if (state_ == State::kRunning) {
    return unavailable(fmt::format("a {} is running; wait for its end, one operation runs at a time", name_));
  }
  if (thread_.joinable()) thread_.join();  // it has ended: its last step was to leave kRunning, under the mutex
  state_ = State::kRunning;
  ++id_;
  name_ = name;
  unit_ = unit;
  result_.clear();
  failure_ = Status::ok();
  progress_ = std::make_unique<Progress>();
  thread_ = std::thread([this, work = std::move(work), progress = progress_.get()] {
    auto result = work(*progress);
    const std::lock_guard done(mutex_);
    if (result.is_ok()) {
      result_ = std::move(result).value();
      state_ = State::kDone;
    } else {
      failure_ = result.status();
      state_ = State::kFailed;
    }
  });
  return id_;
}

std::string Operations::report() const {
  const std::lock_guard lock(mutex_);
  JsonWriter json(0);
  json.begin_object();
  json.field("id", id_);
  constexpr const char* kNames[] = {"none", "running", "done", "failed"};
  if (state_ != State::kNone) json.field("operation", name_);
  json.field("state", kNames[static_cast<std::size_t>(state_)]);
  if (progress_ != nullptr) {
    json.field("done", progress_->done());
    json.field("total", progress_->total());
    json.field("unit", unit_);
  }
  if (state_ == State::kDone) {
    json.key("result");
    json.json(result_);
  }
  if (state_ == State::kFailed) {
    json.field("error", failure_.message());
    json.field("code", code_name(failure_.code()));
  }
  json.end_object();
  return json.take();
}

void Operations::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (progress_ != nullptr) progress_->cancel();
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace freshet
