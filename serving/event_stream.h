// EventStream: a state that changes, sent to any number of connections as server-sent events ("text/event-stream" of
// the HTML standard). What is sent is the newest state, not each one: at most one waits for a connection, and a slow
// reader misses some instead of letting them pile up.
//
// Threads: all from any thread. A listener's wake() is called with a lock held: it must return at once and not call
// back. Owns: the newest state. Listeners are borrowed until remove() has returned. Failure: add() is false when there
// are as many listeners as there may be, or the stream has ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace freshet {

class EventListener {
 public:
  virtual ~EventListener() = default;
  // There is news, or the stream has ended.
  virtual void wake() = 0;
};

class EventStream {
 public:
  struct Frame {
    std::uint64_t number = 0;                  // they rise; 0: nothing was published yet
    std::shared_ptr<const std::string> bytes;  // null: nothing since the last listener left
    bool last = false;                         // the stream has ended with it
  };

  explicit EventStream(std::size_t listeners_max = 64) : listeners_max_(listeners_max) {}

  // `data`: text without line feeds, such as JSON.
  void publish(std::string_view data);
  // What has been published is the last; listeners leave.
  void end();

  Frame newest() const;
  std::size_t listeners() const;

  bool add(EventListener& listener);
  void remove(EventListener& listener);

 private:
  void wake_all();

  const std::size_t listeners_max_;
  mutable std::mutex mutex_;
  Frame newest_;
  std::vector<EventListener*> listeners_;
};

}  // namespace freshet
