#include "daemon/pipeline/drift_response.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "daemon/config/drift_config.h"
#include "daemon/room_options.h"
#include "learners/evaluation/losses.h"

namespace freshet {
namespace {

constexpr std::uint32_t kFormat = 2;  // 1: without a reference model
constexpr std::uint64_t kNever = UINT64_MAX;
constexpr std::size_t kRecentMax = 100;

// 0 where the served model was right, 1 where it was wrong; of a regression the absolute error.
float error_of(Task task, const Predictions& predictions, std::size_t row, float label) {
  const float* values = predictions.values.data() + row * predictions.width;
  if (!std::isfinite(label) || std::any_of(values, values + predictions.width, [](float v) { return std::isnan(v); })) {
    return std::nanf("");
  }
  switch (task) {
    case Task::kBinary:
      return (values[0] >= 0.5F) == (label >= 0.5F) ? 0.0F : 1.0F;
    case Task::kMulticlass:
      return static_cast<float>(std::max_element(values, values + predictions.width) - values) == label ? 0.0F : 1.0F;
    case Task::kRegression:
      break;
  }
  return std::abs(values[0] - label);
}

}  // namespace

void write_notice(JsonWriter& json, const DriftNotice& notice) {
  const DriftFinding& finding = notice.finding;
  json.begin_object();
  json.field("kind", finding_name(finding.kind));
  json.field("event", finding.position);
  json.field("since", finding.since);
  json.field("event_time_ms", notice.event_time_ms);
  json.field("statistic", finding.statistic);
  json.field("detector", finding.detector);
  json.field("before", finding.before);
  json.field("after", finding.after);
  json.field("cause", finding.cause);
  json.end_object();
}

DriftResponse::DriftResponse(const Config& config, const LossOptions& loss)
    : config_(config.drift), task_(config.model.task), loss_(loss), reference_due_(config.drift.reference_events) {}

Result<std::unique_ptr<DriftResponse>> DriftResponse::create(const Config& config, const EncodedLayout& layout) {
  // What the loss of an event is does not depend on the events' fields.
  std::unique_ptr<DriftResponse> response(new DriftResponse(config, evaluation_options(config, EventSpec{}).loss));
  DriftMonitorOptions options;
  options.cooldown_events = config.drift.cooldown_events;
  options.watches.clear();
  for (const DetectorConfig& detector : config.drift.detectors) {
    auto& watch = options.watches.emplace_back();
    watch.kind = detector.kind;
    watch.on = detector.on;
    if (watch.on == kReferenceStatistic) response->watches_reference_ = true;
    for (const auto& [name, value] : detector.settings) watch.sets.push_back(name + "=" + value);
  }
  response->monitor_ = TRY(DriftMonitor::create(options, layout.dense_names).with_context("drift.detectors"));
  response->features_.resize(layout.dense());
  return response;
}

Status DriftResponse::observe(std::uint64_t first_seq, const EncodedBatch& encoded, std::size_t begin, std::size_t rows,
                              const Predictions& predictions) {
  found_.clear();
  if (config_.detectors.empty()) return Status::ok();
  errors_.resize(rows);
  for (std::size_t i = 0; i < rows; ++i) errors_[i] = error_of(task_, predictions, i, encoded.labels[begin + i]);
  const std::size_t width = encoded.dense_width();
  for (std::size_t f = 0; f < features_.size(); ++f) features_[f] = {encoded.dense() + begin * width + f, width};
  DriftInputs inputs;
  inputs.events = rows;
  inputs.loss = {encoded.losses.data() + begin};
  if (reference_ != nullptr) {
    TRY(reference_->predict(encoded, begin, begin + rows, reference_predictions_).with_context("the reference model"));
    reference_losses_.resize(rows);
    per_sample_losses(task_, reference_predictions_, std::span(encoded.labels).subspan(begin, rows), reference_losses_,
                      loss_);
    inputs.reference = {reference_losses_.data()};
  }
  inputs.error = {errors_.data()};
  inputs.label = {encoded.labels.data() + begin};
  inputs.features = features_;
  findings_.clear();
  monitor_->add(first_seq, inputs, findings_);
  for (DriftFinding& finding : findings_) {
    if (finding.kind == FindingKind::kConfirmed) {
      changed_seq_ = finding.position;
      since_seq_ = finding.since;
      reference_due_ = finding.position + config_.cooldown_events;
    }
    const std::int64_t time_ms = encoded.time_ms[begin + (finding.position - first_seq)];
    found_.push_back({std::move(finding), time_ms});
    if (found_.back().finding.kind == FindingKind::kWarning) continue;
    if (recent_.size() == kRecentMax) recent_.erase(recent_.begin());
    recent_.push_back(found_.back());
  }
  return Status::ok();
}

void DriftResponse::at_cut(std::uint64_t next_seq, const std::shared_ptr<const Predictor>& served) {
  if (!watches_reference_ || next_seq < reference_due_) return;
  reference_ = served;
  reference_due_ = kNever;
  monitor_->renew_reference();
}

void DriftResponse::restore_reference(std::shared_ptr<const Predictor> reference) {
  if (!watches_reference_) return;
  reference_ = std::move(reference);
  if (reference_ == nullptr && reference_due_ == kNever) reference_due_ = 0;
}

float DriftResponse::rate_factor(std::uint64_t end_seq) const {
  return acting(end_seq) ? static_cast<float>(config_.rate_factor) : 1.0F;
}

std::uint64_t DriftResponse::replay_from(std::uint64_t end_seq) const {
  if (config_.window_events == 0 || !acting(end_seq)) return 0;
  return since_seq_ > config_.window_events ? since_seq_ - config_.window_events : 0;
}

DriftReport DriftResponse::report() const { return {monitor_->counts(), monitor_->watches(), recent_}; }

std::string DriftResponse::settings_text() const {
  return fmt::format("{} {}", format_detectors(config_.detectors), config_.cooldown_events);
}

void DriftResponse::save(ByteWriter& out) const {
  out.put(kFormat);
  out.put_text(settings_text());
  out.put(changed_seq_);
  out.put(since_seq_);
  out.put(reference_due_);
  ByteWriter monitor;
  monitor_->save(monitor);
  out.put_text(monitor.take());
}

Status DriftResponse::load(ByteReader& in) {
  const auto format = in.get<std::uint32_t>();
  if (format == 0 || format > kFormat) return data_loss("the drift watch's state has another format");
  const bool same = in.get_text() == settings_text();
  changed_seq_ = in.get<std::uint64_t>();
  since_seq_ = in.get<std::uint64_t>();
  if (format > 1) reference_due_ = in.get<std::uint64_t>();
  const std::string monitor = in.get_text();
  if (!in.at_end()) return data_loss("the drift watch's state is cut short");
  if (!same) return Status::ok();
  ByteReader parts(monitor);
  return monitor_->load(parts);
}

}  // namespace freshet
