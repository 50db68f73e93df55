#include "daemon/status_page/status_feed.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "core/json_writer.h"
#include "daemon/status_json.h"
#include "daemon/status_page/status_page.h"

namespace freshet {
namespace {

constexpr std::chrono::seconds kEvery{1};
constexpr std::int64_t kWaitingAfterNs = 15'000'000'000;  // without an event
constexpr std::size_t kMarksToldMost = 16;

float share_of(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? std::numeric_limits<float>::quiet_NaN()
                    : static_cast<float>(static_cast<double>(part) / static_cast<double>(whole));
}

double sum_of(const std::map<std::string, double>& series) {
  double sum = 0;
  for (const auto& [labels, value] : series) sum += value;
  return sum;
}

void optional_number(JsonWriter& json, std::string_view name, float value) {
  if (std::isfinite(value)) json.field(name, value);
}

void write_letters(JsonWriter& json, const RecentDeadLetters& letters, const std::map<std::string, double>& reasons) {
  json.key("dead_letters");
  json.begin_object();
  json.field("total", sum_of(reasons));
  json.key("reasons");
  json.begin_object();
  for (const auto& [reason, count] : reasons) json.field(reason, count);
  json.end_object();
  json.key("recent");
  json.begin_array();
  for (const RecentDeadLetters::Letter& letter : letters.newest()) {
    json.begin_object();
    json.field("number", letter.number);
    json.field("time_ms", letter.time_ms);
    json.field("reason", skip_reason_name(letter.reason));
    json.field("topic", letter.topic);
    json.field("partition", letter.position.partition);
    json.field("offset", letter.position.offset);
    json.field("detail", letter.detail);
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

void write_slot(JsonWriter& json, const ModelSlot& slot) {
  const auto history = slot.history();
  if (!history.empty()) json.field("served_since_ms", history.front().wall_ms);
  json.key("loaded_versions");
  json.begin_array();
  for (const std::uint64_t version : slot.loaded_versions()) json.value(version);
  json.end_array();
}

}  // namespace

StatusFeed::StatusFeed(const Config& config, StatusFeedSources sources)
    : sources_(std::move(sources)),
      model_(config.model.name),
      capacity_(config.memory.capacity_events),
      window_events_(config.evaluation.window_events),
      started_ms_(sources_.clock.wall_ms()),
      stream_(std::make_shared<EventStream>()) {
  adopt(config);
  history_.mark(MarkKind::kStarted, started_ms_, 0, fmt::format("Freshet {} began.", FRESHET_VERSION));
}

void StatusFeed::adopt(const Config& config) {
  std::string json = config_json(config);
  const std::lock_guard lock(mutex_);
  config_ = std::move(json);
  ++config_number_;
}

void StatusFeed::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "status");
    run();
  });
}

void StatusFeed::run() {
  auto next = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const bool keep = std::chrono::steady_clock::now() >= next;
    // Looks that were missed (a machine asleep) are not made up for.
    if (keep) next = std::max(next + kEvery, std::chrono::steady_clock::now());
    wanted_ = false;
    lock.unlock();
    look(keep);
    lock.lock();
    changed_.wait_until(lock, next, [this] { return stopping_ || wanted_; });
  }
}

void StatusFeed::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
    look(false);  // the last word
  }
  stream_->end();
}

std::shared_ptr<EventStream> StatusFeed::follow() {
  {
    const std::lock_guard lock(mutex_);
    wanted_ = true;
  }
  changed_.notify_all();
  return stream_;
}

std::optional<std::string> StatusFeed::history(std::string_view step) const {
  const auto known = parse_history_step(step);
  if (!known) return std::nullopt;
  return history_.json(*known);
}

std::string StatusFeed::slices() const {
  JsonWriter json(0);
  write_slice_scores(json, sources_.snapshot());
  return json.take();
}

std::string StatusFeed::config() const {
  const std::lock_guard lock(mutex_);
  return config_;
}

// A second of a counter, since the last look that was kept.
double StatusFeed::rate(std::string_view metric, double seconds) {
  const double total = sum_of(sources_.metric(metric));
  auto& before = totals_[std::string(metric)];
  const double added = std::max(total - before, 0.0);
  before = total;
  return seconds > 0 ? added / seconds : std::numeric_limits<double>::quiet_NaN();
}

StatusPoint StatusFeed::point_of(const PipelineSnapshot& now, std::int64_t time_ms) {
  const double seconds = looked_ns_ ? static_cast<double>(now_ns_ - *looked_ns_) * 1e-9 : 0;
  looked_ns_ = now_ns_;
  StatusPoint point;
  point.time_ms = time_ms - time_ms % 1000;
  point[StatusColumn::kRate] = static_cast<float>(rate("freshet_events_total", seconds));
  point[StatusColumn::kPredictions] = static_cast<float>(rate("freshet_http_predictions_total", seconds));
  if (const auto lags = sources_.metric("freshet_lag_events"); !lags.empty()) {
    point[StatusColumn::kLagEvents] = static_cast<float>(sum_of(lags));
  }
  for (const auto& [labels, lag] : sources_.metric("freshet_lag_seconds")) {
    float& most = point[StatusColumn::kLagSeconds];
    most = std::isnan(most) ? static_cast<float>(lag) : std::max(most, static_cast<float>(lag));
  }
  const std::uint64_t considered = now.sifting.considered - std::min(sifting_.considered, now.sifting.considered);
  const std::uint64_t left_out = now.sifting.left_out - std::min(sifting_.left_out, now.sifting.left_out);
  if (now.sifts) point[StatusColumn::kKeptShare] = share_of(considered - std::min(left_out, considered), considered);
  sifting_ = now.sifting;
  point[StatusColumn::kReplayFill] = share_of(now.memory_events, capacity_);
  if (now.forgetting.mean_forgetting) {
    point[StatusColumn::kForgetting] = static_cast<float>(*now.forgetting.mean_forgetting);
  }
  point[StatusColumn::kSwaps] = static_cast<float>(seconds > 0 ? now.swaps - std::min(swaps_, now.swaps) : 0);
  swaps_ = now.swaps;
  history_.set_measures(point.live, now.evaluation.window);
  if (now.baseline.frozen) history_.set_measures(point.frozen, now.baseline.frozen_whole.window);
  return point;
}

void StatusFeed::look(bool keep) {
  const PipelineSnapshot now = sources_.snapshot();
  const std::int64_t time_ms = sources_.clock.wall_ms();
  now_ns_ = sources_.clock.monotonic_ns();
  if (now.events != events_ || events_since_ns_ == 0) events_since_ns_ = now_ns_;
  events_ = now.events;
  marks_.note(now, time_ms, history_);
  if (const std::string why = sources_.stopped(); !why.empty() && !stop_marked_) {
    stop_marked_ = true;
    history_.mark(MarkKind::kStopped, time_ms, now.events, why);
  }
  if (keep) {
    newest_ = point_of(now, time_ms);
    history_.add(newest_);
  }
  if (stream_->listeners() > 0 || !keep) tell(now, newest_, time_ms);
}

std::string_view StatusFeed::state_name(const PipelineSnapshot& now, const std::string& stopped) const {
  if (stopping_) return "draining";
  if (!stopped.empty()) return "stopped";
  if (now.redoing) return "redoing";
  if (now.gate.pinned_version != 0) return "pinned";
  if (now.gate.paused) return "paused";
  return now_ns_ - events_since_ns_ > kWaitingAfterNs ? "waiting" : "learning";
}

void StatusFeed::tell(const PipelineSnapshot& now, const StatusPoint& point, std::int64_t time_ms) {
  const std::string stopped = sources_.stopped();
  JsonWriter json(0);
  json.begin_object();
  json.field("time_ms", time_ms);
  json.field("started_ms", started_ms_);
  json.field("server", FRESHET_VERSION);
  json.field("model", model_);
  {
    const std::lock_guard lock(mutex_);
    json.field("state", state_name(now, stopped));
    json.field("config_number", config_number_);
  }
  json.field("reason", stopped);
  optional_number(json, "rate", point[StatusColumn::kRate]);
  optional_number(json, "lag_events", point[StatusColumn::kLagEvents]);
  optional_number(json, "lag_seconds", point[StatusColumn::kLagSeconds]);
  optional_number(json, "predictions_rate", point[StatusColumn::kPredictions]);
  json.field("predictions", sum_of(sources_.metric("freshet_http_predictions_total")));
  json.field("replay_capacity", capacity_);
  json.field("window_events", window_events_);
  json.field("slices_round", now.slice_scores.empty() ? 0 : now.slice_scores.back().round);
  write_slot(json, sources_.slot);
  if (now.baseline.frozen) write_metrics(json, "frozen_recent", now.baseline.frozen_whole.window);
  write_letters(json, sources_.dead_letters, sources_.metric("freshet_dead_letters_total"));
  history_.write_marks(json, kMarksToldMost);
  history_.write_point(json, point);
  json.key("status");
  json.begin_object();
  write_status(json, model_, now, stopped);
  json.end_object();
  json.end_object();
  stream_->publish(json.take());
}

}  // namespace freshet
