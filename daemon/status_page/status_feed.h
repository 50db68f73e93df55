// StatusFeed: looks at the running daemon once a second, keeps what it sees (StatusHistory) and tells it to whoever
// has the status page open (EventStream). With nobody there, a look is all that it costs.
//
// Threads: one of its own; start and stop from the owner's, the others from any.
// Owns: its thread, the history, the stream. Borrows the sources, which must outlive it.
// Failure: none.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "core/clock.h"
#include "core/metrics.h"
#include "daemon/config/config.h"
#include "daemon/pipeline/pipeline.h"
#include "daemon/status_page/recent_dead_letters.h"
#include "daemon/status_page/status_history.h"
#include "daemon/status_page/status_marks.h"
#include "serving/event_stream.h"
#include "serving/model_slot.h"

namespace freshet {

struct StatusFeedSources {
  std::function<PipelineSnapshot()> snapshot;
  std::function<std::string()> stopped;  // why learning has stopped; empty while it has not
  // Of a metric: the values of its series by the values of their labels; see PrometheusMetrics::series.
  std::function<std::map<std::string, double>(std::string_view name)> metric;
  const ModelSlot& slot;
  const RecentDeadLetters& dead_letters;
  const Clock& clock;
};

class StatusFeed {
 public:
  StatusFeed(const Config& config, StatusFeedSources sources);
  ~StatusFeed() { stop(); }
  StatusFeed(const StatusFeed&) = delete;
  StatusFeed& operator=(const StatusFeed&) = delete;

  void start();
  // Says that the daemon drains, and ends the stream.
  void stop();

  // The options have changed.
  void adopt(const Config& config);

  std::shared_ptr<EventStream> follow();  // whoever follows hears at once
  std::optional<std::string> history(std::string_view step) const;
  std::string slices() const;
  std::string config() const;

  // One look, as the thread takes them. keep: it is a point of the history. Not beside a started thread.
  void look(bool keep);

 private:
  void run();
  StatusPoint point_of(const PipelineSnapshot& now, std::int64_t time_ms);
  void tell(const PipelineSnapshot& now, const StatusPoint& point, std::int64_t time_ms);
  std::string_view state_name(const PipelineSnapshot& now, const std::string& stopped) const;
  double rate(std::string_view metric, double seconds);

  const StatusFeedSources sources_;
  const std::string model_;
  const std::uint64_t capacity_;
  const std::uint64_t window_events_;
  const std::int64_t started_ms_;
  const std::shared_ptr<EventStream> stream_;
  StatusHistory history_;

  // The thread's, or whoever looks.
  StatusMarks marks_;
  std::optional<std::int64_t> looked_ns_;
  std::map<std::string, double, std::less<>> totals_;  // of counters, when looked at last
  SiftingTotals sifting_;
  std::uint64_t swaps_ = 0;
  std::uint64_t events_ = 0;
  std::int64_t events_since_ns_ = 0;  // of the newest event
  std::int64_t now_ns_ = 0;
  bool stop_marked_ = false;
  StatusPoint newest_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string config_;
  std::uint64_t config_number_ = 0;
  bool wanted_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace freshet
