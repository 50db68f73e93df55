// Service: the daemon as one object: store, source, pipeline, model slot and HTTP server, wired and started in order,
// drained and stopped in the reverse one. `freshet run` and `freshet demo` are thin shells around it.
//
// Threads: open, wait and stop from the owner's thread. Runs the ingest thread; the pipeline, the source and the server
// have threads of their own. snapshot and status_json from any.
// Owns: all parts.  Failure: open says what is wrong before anything is learnt; later a failure of the pipeline ends
// ingest (`wait` returns why) while serving goes on until stop.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/clock.h"
#include "daemon/adapters/disk_metrics.h"
#include "daemon/adapters/prometheus_metrics.h"
#include "daemon/config/config.h"
#include "daemon/control/control_file.h"
#include "daemon/control/operations.h"
#include "daemon/control/state_operations.h"
#include "daemon/endpoints.h"
#include "daemon/pipeline/pipeline.h"
#include "daemon/status_page/recent_dead_letters.h"
#include "daemon/status_page/status_feed.h"
#include "serving/model_slot.h"
#include "serving/v2_protocol.h"
#include "storage/store.h"
#include "stream/dead_letters.h"
#include "stream/embedded_broker.h"
#include "stream/event_source.h"
#include "stream/kafka_notices.h"
#include "stream/kafka_source.h"

namespace freshet {

class Service {
 public:
  struct Options {
    PipelineOptions pipeline;
    std::function<void(LogLevel)> set_log_level;  // empty: nobody may change it while this runs
    bool fail_on_gap = false;                     // an offset that is missing ends the run (embedded broker)
  };

  // Everything is restored and HTTP answers from the last checkpoint when it returns; learning has not begun.
  static Result<std::unique_ptr<Service>> open(const Config& config, const Options& options, const Clock& clock,
                                               Log& log);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  void start_learning();

  // Waits for `timeout` or until the pipeline has ended by itself; then its Status.
  std::optional<Status> wait(std::chrono::milliseconds timeout);

  // Drains: requests in flight are answered, the batch at hand is committed and synced, positions are mirrored to the
  // broker. Ok when all of it went well. Idempotent.
  Status stop();

  // Changes what can change while running; the rest is said in the log.
  void reload(const Config& wanted);

  std::uint16_t port() const { return endpoints_->port(); }
  PipelineSnapshot snapshot() const { return pipeline_->snapshot(); }
  std::string status_json() const;
  // The offset after the last record taken from the broker; 0 before the first.
  std::int64_t next_offset(std::int32_t partition) const;
  const Config& config() const { return config_; }

 private:
  Service(const Config& config, const Clock& clock, Log& log);
  Status start_embedded_broker();
  void warn_of_retraining() const;
  Status open_store();
  Status open_source(const Options& options);
  Status open_server();
  Status add_status(Router& requests, Router& administration);
  std::string stopped_reason() const;
  void add_control(Router& router);
  void add_lane(Router& router, std::string_view lane, Operations& running, const StateOperations& known);
  void write_control_file();
  void log_state_hash();

  Config config_;                 // the owner's thread; reload() changes it
  const std::string model_name_;  // any thread
  const Clock& clock_;
  Log& log_;
  std::unique_ptr<EmbeddedBroker> broker_;  // only with `brokers: embedded`
  std::unique_ptr<PrometheusMetrics> metrics_;
  std::optional<DiskMetrics> disk_;
  std::optional<Schema> schema_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<RecentDeadLetters> dead_letters_;
  std::unique_ptr<EventSource> source_;
  KafkaSource* kafka_ = nullptr;           // source_
  std::unique_ptr<KafkaNotices> notices_;  // only with drift.topic
  std::unique_ptr<ModelSlot> slot_;
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<V2Protocol> protocol_;
  std::unique_ptr<StatusFeed> feed_;
  StateOperations state_operations_;
  Operations operations_;  // runs one of them at a time; ended before the store goes
  StateOperations publishing_operations_;
  std::function<void(LogLevel)> set_log_level_;
  Operations publishing_;  // likewise, beside a backup too
  std::unique_ptr<Endpoints> endpoints_;
  std::optional<ControlFile> control_file_;

  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  std::optional<Status> outcome_;  // of the pipeline
  bool stopped_ = false;
  std::thread ingest_;
};

}  // namespace freshet
