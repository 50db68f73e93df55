#include "daemon/service.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "daemon/adapters/prometheus_metrics.h"
#include "daemon/config/reload.h"
#include "daemon/control/log_operations.h"
#include "daemon/control/publishing_operations.h"
#include "daemon/event_spec_choice.h"
#include "daemon/room_options.h"
#include "daemon/status_json.h"
#include "daemon/status_page/status_page.h"
#include "learners/device.h"
#include "serving/admin_routes.h"
#include "serving/status_routes.h"
#include "stream/kafka_dead_letters.h"
#include "stream/kafka_notices.h"
#include "stream/kafka_source.h"

namespace freshet {

Service::Service(const Config& config, const Clock& clock, Log& log)
    : config_(config), model_name_(config.model.name), clock_(clock), log_(log) {}

Result<std::unique_ptr<Service>> Service::open(const Config& config, const Options& options, const Clock& clock,
                                               Log& log) {
  TRY(set_threads(static_cast<int>(config.learning.threads)));
  std::unique_ptr<Service> service(new Service(config, clock, log));
  service->set_log_level_ = options.set_log_level;
  service->metrics_ = std::make_unique<PrometheusMetrics>(config.model.name, BuildInfo{FRESHET_VERSION, __VERSION__});
  service->endpoints_ = TRY(Endpoints::prepare(config.serving, *service->metrics_, log, clock));
  if (config.stream.embedded()) TRY(service->start_embedded_broker().with_context("starting the embedded broker"));
  TRY(service->open_store().with_context("opening the store"));
  TRY(service->open_source(options).with_context("opening the stream"));
  service->slot_ = std::make_unique<ModelSlot>(clock);
  PipelineOptions pipeline = options.pipeline;
  if (pipeline.baseline_after_events == 0) pipeline.baseline_after_events = config.evaluation.baseline_after_events;
  if (!config.drift.topic.empty()) {
    service->notices_ = TRY(KafkaNotices::create(kafka_notice_options(config), *service->metrics_, log));
    pipeline.on_drift = [service = service.get()](std::string_view json) {
      service->notices_->post(service->model_name_, json);
    };
  }
  service->pipeline_ =
      TRY(Pipeline::open(service->config_, *service->schema_, pipeline,
                         {*service->store_, *service->source_, *service->slot_, clock, log, *service->metrics_}));
  TRY(service->open_server().with_context("opening the HTTP server"));
  return service;
}

Service::~Service() {
  if (const Status status = stop(); !status.is_ok()) log_.error("stop_failed", status.to_string());
}

// For trying things out: the topic is empty at each start and lives as long as the process.
Status Service::start_embedded_broker() {
  broker_ = TRY(EmbeddedBroker::start());
  TRY(broker_->create_topic(config_.stream.topic, 1));
  config_.stream.brokers = {broker_->brokers()};
  log_.info(
      "embedded_broker",
      fmt::format("an embedded broker is at {0}; fill it with: freshet produce --brokers {0} --topic {1} --input FILE",
                  broker_->brokers(), config_.stream.topic));
  return Status::ok();
}

// What a retraining leaves when it is killed: before the exchange of the folders a half-made new model, after it the
// old one, which has learnt from what was to be forgotten.
void Service::warn_of_retraining() const {
  const std::string left = config_.memory.path + ".retrain";
  std::error_code error;
  if (!std::filesystem::exists(left, error)) return;
  log_.warning("retraining_cut_short",
               "a `freshet state erase --retrain` was cut short: stop the daemon and run it again, which also removes "
               "what it left; until then the model may have learnt from erased events",
               {{"left", left}});
}

Status Service::open_store() {
  warn_of_retraining();
  store_ = TRY(Store::open(store_options(config_), std::nullopt, log_, *metrics_));
  disk_.emplace(*metrics_, config_.memory.path);
  const EventSpec spec = TRY(choose_event_spec(config_, *store_, log_));
  schema_.emplace(spec);
  return store_->bind(store_identity(*schema_));
}

Status Service::open_source(const Options& options) {
  std::unique_ptr<DeadLetterSink> sink;
  if (config_.stream.dead_letter_topic.empty()) {
    sink = std::make_unique<LogDeadLetters>(*metrics_, log_, clock_);
  } else {
    sink = TRY(KafkaDeadLetters::create(kafka_dead_letter_options(config_), *metrics_, log_));
  }
  dead_letters_ = std::make_unique<RecentDeadLetters>(std::move(sink), clock_);
  KafkaSourceOptions source = kafka_source_options(config_);
  source.fail_on_gap = options.fail_on_gap || broker_ != nullptr;
  auto kafka = TRY(KafkaSource::create(source, *schema_, *dead_letters_, *metrics_, log_, clock_));
  kafka_ = kafka.get();
  source_ = std::move(kafka);
  return Status::ok();
}

Status Service::open_server() {
  Router& requests = endpoints_->requests();
  Router& administration = endpoints_->administration();
  V2Options v2;
  v2.model_name = config_.model.name;
  v2.server_version = FRESHET_VERSION;
  if (config_.model.architecture == setting::Architecture::kTorchscript) v2.platform = "pytorch_torchscript";
  v2.rows_max = config_.serving.batch_rows_max;
  v2.workers = config_.serving.threads;
  v2.accepting = [this] { return !stopping_.load(); };
  protocol_ = std::make_unique<V2Protocol>(std::move(v2), *slot_, pipeline_->encoding(), clock_, *metrics_);
  protocol_->add_routes(requests, administration);
  TRY(add_status(requests, administration));
  add_control(administration);
  TRY(endpoints_->listen());
  write_control_file();
  return Status::ok();
}

// What is to be seen of the daemon: for Prometheus, for programs, for people.
Status Service::add_status(Router& requests, Router& administration) {
  StatusFeedSources sources{[this] { return pipeline_->snapshot(); },
                            [this] { return stopped_reason(); },
                            [this](std::string_view name) { return metrics_->series(name); },
                            *slot_,
                            *dead_letters_,
                            clock_};
  feed_ = std::make_unique<StatusFeed>(config_, std::move(sources));
  const std::string nonce = TRY(make_control_token());
  StatusPage page = TRY(make_status_page(nonce));
  StatusSources routes;
  routes.metrics = [this] {
    disk_->show();
    return metrics_->exposition();
  };
  routes.status = [this] { return status_json(); };
  routes.stream = [this] { return feed_->follow(); };
  routes.history = [this](std::string_view step) { return feed_->history(step); };
  routes.slices = [this] { return feed_->slices(); };
  routes.config = [this] { return feed_->config(); };
  routes.page = std::move(page.html);
  routes.page_policy = std::move(page.policy);
  add_status_routes(requests, routes);
  if (endpoints_->separate()) add_status_routes(administration, routes);
  feed_->start();
  return Status::ok();
}

// What an operator may ask for while the daemon runs: of the state, and of what is served.
void Service::add_control(Router& router) {
  state_operations_ = store_operations(*store_);
  state_operations_.merge(pipeline_operations(*store_, *pipeline_));
  publishing_operations_ = publishing_operations(*pipeline_);
  if (set_log_level_) publishing_operations_.merge(log_operations(set_log_level_));
  add_lane(router, kOperationsLane, operations_, state_operations_);
  add_lane(router, kPublishingLane, publishing_, publishing_operations_);
}

void Service::add_lane(Router& router, std::string_view lane, Operations& running, const StateOperations& known) {
  AdminCallbacks callbacks;
  callbacks.start = [this, &running, &known](std::string_view name, const JsonObject& arguments) -> AdminAnswer {
    const auto refused = [](int status, const std::string& why) {
      return AdminAnswer{status, error_response(status, why).body};
    };
    const auto operation = known.find(name);
    if (operation == known.end()) return refused(404, fmt::format("there is no operation '{}'", name));
    const auto id =
        running.start(std::string(name), operation->second.unit, [this, operation, arguments](Progress& progress) {
          auto result = operation->second.work(arguments, progress);
          const Status& status = result.status();
          if (!result.is_ok()) log_.error("operation_failed", status.to_string());
          return result;
        });
    if (!id.is_ok()) return refused(409, id.status().message());
    log_.info("operation_started", fmt::format("{}, asked for through the control channel", name), {{"id", *id}});
    return {202, running.report()};
  };
  callbacks.current = [&running] { return AdminAnswer{200, running.report()}; };
  add_admin_routes(router, lane, callbacks);
}

// Without it the daemon does all but take commands, so a full disk does not keep it from starting.
void Service::write_control_file() {
  auto file = ControlFile::create(config_.memory.path, endpoints_->control());
  if (file.is_ok()) {
    control_file_.emplace(std::move(file).value());
  } else {
    log_.warning("no_control_file",
                 fmt::format("{}; `freshet state` cannot reach this daemon", file.status().message()));
  }
}

// Comparable with what `freshet state replay` finds at the end of the log.
void Service::log_state_hash() {
  if (pipeline_->snapshot().redoing) return;
  const auto hash = pipeline_->state_hash();
  if (hash.is_ok()) log_.info("state_hash", hash_text_of(hash->whole), {{"seq", store_->last_seq()}});
}

void Service::start_learning() {
  if (ingest_.joinable()) abort_with("Service::start_learning called twice");
  Gauge& stopped = metrics_->gauge("freshet_learning_stopped", "1 once learning has stopped for good, with an error.");
  stopped.set(0);
  ingest_ = std::thread([this, &stopped] {
    Status status = pipeline_->run(stopping_);
    if (!status.is_ok()) {
      stopped.set(1);
      log_.error("pipeline_ended", fmt::format("{}; learning has stopped, serving goes on", status.to_string()));
    }
    {
      const std::lock_guard lock(mutex_);
      outcome_ = std::move(status);
    }
    ended_.notify_all();
  });
}

std::optional<Status> Service::wait(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  ended_.wait_for(lock, timeout, [&] { return outcome_.has_value(); });
  return outcome_;
}

Status Service::stop() {
  if (stopped_) return Status::ok();
  stopped_ = true;
  stopping_ = true;
  control_file_.reset();
  if (feed_) feed_->stop();
  if (endpoints_) {
    const bool all_answered = endpoints_->drain(std::chrono::milliseconds(config_.serving.drain_timeout_ms));
    if (!all_answered) log_.warning("drain_incomplete", "some requests were cut off when the drain time was over");
  }
  operations_.stop();
  publishing_.stop();
  const bool learnt = ingest_.joinable();
  if (learnt) ingest_.join();
  if (!store_) return Status::ok();
  if (learnt) log_state_hash();
  TRY(store_->sync().with_context("syncing the store"));
  if (source_) {
    source_->committed(store_->synced_positions());
    source_->stop();
  }
  log_.info("stopped", fmt::format("everything up to event {} is durable", store_->last_seq()));
  return Status::ok();
}

void Service::reload(const Config& wanted) {
  const ReloadPlan plan = plan_reload(config_, wanted);
  config_ = plan.next;
  pipeline_->adopt(config_);
  feed_->adopt(config_);
  for (const OptionChange& change : plan.applied) log_.info("option_changed", describe(change));
  for (const OptionChange& change : plan.pending) log_.warning("option_waits", describe_waiting(change));
  if (plan.applied.empty() && plan.pending.empty()) log_.info("reload", "the configuration has not changed");
}

std::int64_t Service::next_offset(std::int32_t partition) const { return kafka_->next_offset(partition); }

std::string Service::stopped_reason() const {
  const std::lock_guard lock(mutex_);
  return outcome_ && !outcome_->is_ok() ? outcome_->message() : std::string();
}

std::string Service::status_json() const {
  return to_status_json(model_name_, pipeline_->snapshot(), stopped_reason());
}

}  // namespace freshet
