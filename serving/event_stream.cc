#include "serving/event_stream.h"

#include <algorithm>

namespace freshet {

void EventStream::publish(std::string_view data) {
  auto bytes = std::make_shared<std::string>();
  bytes->reserve(data.size() + 8);
  bytes->append("data: ").append(data).append("\n\n");
  const std::lock_guard lock(mutex_);
  if (newest_.last) return;
  ++newest_.number;
  newest_.bytes = std::move(bytes);
  wake_all();
}

void EventStream::end() {
  const std::lock_guard lock(mutex_);
  newest_.last = true;
  wake_all();
}

void EventStream::wake_all() {
  for (EventListener* listener : listeners_) listener->wake();
}

EventStream::Frame EventStream::newest() const {
  const std::lock_guard lock(mutex_);
  return newest_;
}

std::size_t EventStream::listeners() const {
  const std::lock_guard lock(mutex_);
  return listeners_.size();
}

bool EventStream::add(EventListener& listener) {
  const std::lock_guard lock(mutex_);
  if (newest_.last || listeners_.size() >= listeners_max_) return false;
  listeners_.push_back(&listener);
  return true;
}

void EventStream::remove(EventListener& listener) {
  const std::lock_guard lock(mutex_);
  std::erase(listeners_, &listener);
  if (listeners_.empty() && !newest_.last) newest_.bytes.reset();  // it would be old news to the next
}

}  // namespace freshet
