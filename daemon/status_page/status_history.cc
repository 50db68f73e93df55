#include "daemon/status_page/status_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace freshet {
namespace {

constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();

enum class Fold : std::uint8_t { kMean, kMost, kSum };
struct ColumnKind {
  std::string_view name;
  Fold fold;
};
constexpr std::array<ColumnKind, kStatusColumns> kColumns = {{{"rate", Fold::kMean},
                                                              {"lag_events", Fold::kMost},
                                                              {"lag_seconds", Fold::kMost},
                                                              {"kept_share", Fold::kMean},
                                                              {"replay_fill", Fold::kMean},
                                                              {"forgetting", Fold::kMean},
                                                              {"swaps", Fold::kSum},
                                                              {"predictions", Fold::kMean}}};

// `a` stands for `a_count` points, `b` for `b_count`; what is not known counts for nothing.
float folded(Fold fold, float a, std::uint32_t a_count, float b, std::uint32_t b_count) {
  if (std::isnan(a)) return b;
  if (std::isnan(b)) return a;
  switch (fold) {
    case Fold::kMost:
      return std::max(a, b);
    case Fold::kSum:
      return a + b;
    case Fold::kMean:
      break;
  }
  const double whole = static_cast<double>(a_count) + b_count;
  return static_cast<float>((static_cast<double>(a) * a_count + static_cast<double>(b) * b_count) / whole);
}

// Six digits are more than a chart shows.
void write_number(JsonWriter& json, float value) {
  if (std::isfinite(value)) {
    json.json(fmt::format("{:.6g}", value));
  } else {
    json.null();
  }
}

void write_mark(JsonWriter& json, const StatusMark& mark) {
  json.begin_object();
  json.field("number", mark.number);
  json.field("time_ms", mark.time_ms);
  json.field("kind", mark_kind_name(mark.kind));
  json.field("event", mark.event);
  json.field("text", mark.text);
  json.end_object();
}

template <typename Value>
void write_column(JsonWriter& json, std::string_view name, const std::vector<StatusPoint>& points, Value value) {
  json.key(name);
  json.begin_array();
  for (const StatusPoint& point : points) write_number(json, value(point));
  json.end_array();
}

bool any_known(const std::vector<StatusPoint>& points, const std::array<float, kMeasuresMost> StatusPoint::*group,
               std::size_t measure) {
  return std::ranges::any_of(points, [&](const StatusPoint& point) { return !std::isnan((point.*group)[measure]); });
}

}  // namespace

StatusPoint::StatusPoint() {
  columns.fill(kUnknown);
  live.fill(kUnknown);
  frozen.fill(kUnknown);
}

std::string_view mark_kind_name(MarkKind kind) {
  static constexpr std::array<std::string_view, kMarkKinds> kNames = {"started",  "alarm", "confirmed", "dismissed",
                                                                      "rollback", "study", "asked",     "stopped"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::optional<HistoryStep> parse_history_step(std::string_view name) {
  if (name == "second") return HistoryStep::kSecond;
  if (name == "minute") return HistoryStep::kMinute;
  if (name == "life") return HistoryStep::kLife;
  return std::nullopt;
}

void StatusHistory::Bins::fold(Bin& bin, const Bin& more) {
  for (std::size_t i = 0; i < kStatusColumns; ++i) {
    bin.point.columns[i] = folded(kColumns[i].fold, bin.point.columns[i], bin.count, more.point.columns[i], more.count);
  }
  for (std::size_t i = 0; i < kMeasuresMost; ++i) {
    bin.point.live[i] = folded(Fold::kMean, bin.point.live[i], bin.count, more.point.live[i], more.count);
    bin.point.frozen[i] = folded(Fold::kMean, bin.point.frozen[i], bin.count, more.point.frozen[i], more.count);
  }
  bin.count += more.count;
}

void StatusHistory::Bins::add(const StatusPoint& point) {
  Bin next{point, 1};
  next.point.time_ms = point.time_ms - point.time_ms % step_ms_;
  const std::size_t newest = bins_.size() < most_ ? bins_.size() - 1 : (begin_ + most_ - 1) % most_;
  if (!bins_.empty() && bins_[newest].point.time_ms == next.point.time_ms) {
    fold(bins_[newest], next);
  } else if (bins_.size() < most_) {
    if (bins_.capacity() < most_) bins_.reserve(most_);
    bins_.push_back(next);
  } else if (widens_) {
    widen();
    add(point);
  } else {
    bins_[begin_] = next;
    begin_ = (begin_ + 1) % most_;
  }
}

// Bins that share one of twice the length become one.
void StatusHistory::Bins::widen() {
  step_ms_ *= 2;
  std::size_t kept = 0;
  for (Bin& bin : bins_) {
    bin.point.time_ms -= bin.point.time_ms % step_ms_;
    if (kept > 0 && bins_[kept - 1].point.time_ms == bin.point.time_ms) {
      fold(bins_[kept - 1], bin);
    } else {
      bins_[kept++] = bin;
    }
  }
  // With gaps between all of them nothing was joined: the oldest makes room.
  if (kept == bins_.size()) {
    std::rotate(bins_.begin(), bins_.begin() + 1, bins_.end());
    --kept;
  }
  bins_.resize(kept);
}

std::vector<StatusPoint> StatusHistory::Bins::points() const {
  std::vector<StatusPoint> points;
  points.reserve(bins_.size());
  for (std::size_t i = 0; i < bins_.size(); ++i) points.push_back(bins_[(begin_ + i) % bins_.size()].point);
  return points;
}

void StatusHistory::set_measures(std::array<float, kMeasuresMost>& out, std::span<const MetricValue> values) {
  const std::lock_guard lock(mutex_);
  for (const MetricValue& value : values) {
    auto found = std::ranges::find(measures_, value.name);
    if (found == measures_.end()) {
      if (measures_.size() == kMeasuresMost) continue;
      found = measures_.insert(measures_.end(), std::string(value.name));
    }
    out[static_cast<std::size_t>(found - measures_.begin())] = static_cast<float>(value.value);
  }
}

void StatusHistory::add(const StatusPoint& point) {
  const std::lock_guard lock(mutex_);
  seconds_.add(point);
  minutes_.add(point);
  life_.add(point);
}

void StatusHistory::mark(MarkKind kind, std::int64_t time_ms, std::uint64_t event, std::string text) {
  const std::lock_guard lock(mutex_);
  auto& marks = marks_[static_cast<std::size_t>(kind)];
  if (marks.size() == kMarksOfAKind) marks.erase(marks.begin());
  marks.push_back({++marks_made_, time_ms, kind, event, std::move(text)});
}

std::vector<StatusPoint> StatusHistory::points(HistoryStep step) const {
  const std::lock_guard lock(mutex_);
  return step == HistoryStep::kSecond   ? seconds_.points()
         : step == HistoryStep::kMinute ? minutes_.points()
                                        : life_.points();
}

std::vector<StatusMark> StatusHistory::marks() const {
  std::vector<StatusMark> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& of_kind : marks_) all.insert(all.end(), of_kind.begin(), of_kind.end());
  }
  std::ranges::sort(all, {}, &StatusMark::number);
  return all;
}

std::vector<std::string> StatusHistory::measures() const {
  const std::lock_guard lock(mutex_);
  return measures_;
}

std::string StatusHistory::json(HistoryStep step) const {
  const std::vector<StatusPoint> shown = points(step);
  const std::vector<std::string> names = measures();
  std::int64_t step_ms = 0;
  {
    const std::lock_guard lock(mutex_);
    step_ms = (step == HistoryStep::kSecond ? seconds_ : step == HistoryStep::kMinute ? minutes_ : life_).step_ms();
  }
  JsonWriter json(0);
  json.begin_object();
  json.field("step_ms", step_ms);
  json.key("time_ms");
  json.begin_array();
  for (const StatusPoint& point : shown) json.value(point.time_ms);
  json.end_array();
  for (std::size_t i = 0; i < kStatusColumns; ++i) {
    write_column(json, kColumns[i].name, shown, [&](const StatusPoint& point) { return point.columns[i]; });
  }
  for (const auto& [name, group] : {std::pair("live", &StatusPoint::live), std::pair("frozen", &StatusPoint::frozen)}) {
    json.key(name);
    json.begin_object();
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!any_known(shown, group, i)) continue;
      write_column(json, names[i], shown, [&, of = group](const StatusPoint& point) { return (point.*of)[i]; });
    }
    json.end_object();
  }
  write_marks(json, kMarkKinds * kMarksOfAKind);
  json.end_object();
  return json.take();
}

void StatusHistory::write_point(JsonWriter& json, const StatusPoint& point) const {
  const std::vector<std::string> names = measures();
  json.key("point");
  json.begin_object();
  json.field("time_ms", point.time_ms);
  for (std::size_t i = 0; i < kStatusColumns; ++i) {
    json.key(kColumns[i].name);
    write_number(json, point.columns[i]);
  }
  for (const auto& [name, values] : {std::pair("live", &point.live), std::pair("frozen", &point.frozen)}) {
    json.key(name);
    json.begin_object();
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (std::isnan((*values)[i])) continue;
      json.key(names[i]);
      write_number(json, (*values)[i]);
    }
    json.end_object();
  }
  json.end_object();
}

void StatusHistory::write_marks(JsonWriter& json, std::size_t most) const {
  const std::vector<StatusMark> all = marks();
  json.key("marks");
  json.begin_array();
  for (std::size_t i = all.size() > most ? all.size() - most : 0; i < all.size(); ++i) write_mark(json, all[i]);
  json.end_array();
}

}  // namespace freshet
