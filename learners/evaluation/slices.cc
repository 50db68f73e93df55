#include "learners/evaluation/slices.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/hash.h"
#include "learners/features/calendar.h"

namespace freshet {
namespace {

constexpr std::uint32_t kStateFormat = 1;

std::int64_t floor_div(std::int64_t value, std::int64_t by) { return value / by - (value % by < 0 ? 1 : 0); }

std::string length_text(std::int64_t ms) {
  if (ms % kDayMs == 0) return fmt::format("{}d", ms / kDayMs);
  if (ms % 3'600'000 == 0) return fmt::format("{}h", ms / 3'600'000);
  return fmt::format("{}s", static_cast<double>(ms) / 1000);
}

std::string time_text(std::int64_t time_ms) {
  const CivilDate date = civil_date(day_of(time_ms));
  const std::string day = fmt::format("{:04}-{:02}-{:02}", date.year, date.month, date.day);
  const std::int64_t minute = time_part_value(TimePart::kMinuteOfDay, time_ms);
  return minute == 0 ? day : fmt::format("{}T{:02}:{:02}", day, minute / 60, minute % 60);
}

Result<float> number_value(const Column& column, const std::string& text) {
  if (column.boolean && (text == "true" || text == "false")) return text == "true" ? 1.0F : 0.0F;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
    return invalid_argument(fmt::format("slices: '{}' is not a value of '{}'", text, column.name));
  }
  return static_cast<float>(value);
}

}  // namespace

Result<Slices> Slices::create(const SliceSpec& spec, const Schema& schema) {
  if (spec.kind == SliceKind::kClass && schema.spec().label.classes < 2) {
    return invalid_argument("slices: a label that is a number has no classes to slice by");
  }
  if (spec.kind == SliceKind::kTimeWindow && spec.window_ms <= 0) {
    return invalid_argument("slices: a time window must be longer than 0");
  }
  Slices slices(spec, schema);
  if (spec.kind != SliceKind::kFieldValue) return slices;
  const Column* column = schema.find(spec.field);
  if (column == nullptr || column->kind == ColumnKind::kVector) {
    return invalid_argument(fmt::format("slices: '{}' is no category, number or boolean feature", spec.field));
  }
  if (spec.values.empty() || spec.values.size() >= kSlicesMax) {
    return invalid_argument(fmt::format("slices: give from 1 to {} values of '{}'", kSlicesMax - 1, spec.field));
  }
  slices.category_ = column->kind == ColumnKind::kCategory;
  slices.column_ = column->index;
  for (const auto& value : spec.values) {
    if (slices.category_) {
      slices.category_values_.push_back(hash_category(column->seed, value));
    } else {
      slices.number_values_.push_back(TRY(number_value(*column, value)));
    }
    slices.names_.push_back(fmt::format("{}={}", spec.field, value));
  }
  return slices;
}

Slices::Slices(const SliceSpec& spec, const Schema& schema) : spec_(spec), fingerprint_(schema.fingerprint()) {
  if (spec.kind != SliceKind::kClass) return;
  const auto& label = schema.spec().label;
  for (std::uint32_t c = 0; c < std::min(label.classes, kSlicesMax - 1); ++c) {
    names_.push_back("class=" + (c < label.class_names.size() ? label.class_names[c] : std::to_string(c)));
  }
}

std::int64_t Slices::period_of(std::int64_t time_ms) {
  if (spec_.kind == SliceKind::kMonth) {
    const CivilDate date = civil_date(day_of(time_ms));
    return date.year * 12 + date.month - 1;
  }
  if (!begun_) {
    begun_ = true;
    origin_ms_ = time_ms;
  }
  // Unsigned: times at opposite ends of the range must not overflow.
  const std::uint64_t since = static_cast<std::uint64_t>(time_ms) - static_cast<std::uint64_t>(origin_ms_);
  return floor_div(static_cast<std::int64_t>(since), spec_.window_ms);
}

std::uint32_t Slices::slice_of_period(std::int64_t period) {
  if (latest_ < periods_.size() && periods_[latest_] == period) return latest_;
  const auto found = std::find(periods_.begin(), periods_.end(), period);
  if (found == periods_.end()) {
    if (periods_.size() >= kOtherSlice) return kOtherSlice;
    periods_.push_back(period);
    latest_ = static_cast<std::uint32_t>(periods_.size() - 1);
  } else {
    latest_ = static_cast<std::uint32_t>(found - periods_.begin());
  }
  return latest_;
}

std::uint32_t Slices::slice_of(const EventBatch& events, std::size_t row) {
  switch (spec_.kind) {
    case SliceKind::kClass: {
      const float label = events.labels[row];
      return label >= 0 && label < static_cast<float>(names_.size()) ? static_cast<std::uint32_t>(label) : kOtherSlice;
    }
    case SliceKind::kMonth:
    case SliceKind::kTimeWindow:
      return slice_of_period(period_of(events.time_ms[row]));
    case SliceKind::kFieldValue:
      break;
  }
  const auto index_in = [](const auto& values, auto value) {
    const auto found = std::find(values.begin(), values.end(), value);
    return found == values.end() ? kOtherSlice : static_cast<std::uint32_t>(found - values.begin());
  };
  return category_ ? index_in(category_values_, events.categories(column_)[row])
                   : index_in(number_values_, events.numbers(column_)[row]);
}

std::uint32_t Slices::size() const {
  const bool fixed = spec_.kind == SliceKind::kClass || spec_.kind == SliceKind::kFieldValue;
  return static_cast<std::uint32_t>(fixed ? names_.size() : periods_.size());
}

std::string Slices::name(std::uint32_t slice) const {
  if (slice >= size()) return "other";
  if (spec_.kind == SliceKind::kMonth) {
    const std::int64_t year = floor_div(periods_[slice], 12);
    return fmt::format("{:04}-{:02}", year, periods_[slice] - year * 12 + 1);
  }
  if (spec_.kind == SliceKind::kTimeWindow) {
    const auto window = static_cast<std::uint64_t>(spec_.window_ms);
    const std::uint64_t begin =
        static_cast<std::uint64_t>(origin_ms_) + static_cast<std::uint64_t>(periods_[slice]) * window;
    return fmt::format("{}+{}", time_text(static_cast<std::int64_t>(begin)), length_text(spec_.window_ms));
  }
  return names_[slice];
}

void Slices::save(ByteWriter& out) const {
  out.put(kStateFormat);
  out.put(fingerprint_);
  out.put(spec_.kind);
  out.put(spec_.window_ms);
  out.put(begun_);
  out.put(origin_ms_);
  out.put_span(std::span<const std::int64_t>(periods_));
}

Status Slices::load(ByteReader& in) {
  const auto format = in.get<std::uint32_t>();
  const auto fingerprint = in.get<std::uint64_t>();
  const auto kind = in.get<SliceKind>();
  const auto window_ms = in.get<std::int64_t>();
  if (format != kStateFormat || fingerprint != fingerprint_ || kind != spec_.kind || window_ms != spec_.window_ms) {
    return data_loss("slices of another configuration");
  }
  begun_ = in.get<std::uint8_t>() != 0;
  origin_ms_ = in.get<std::int64_t>();
  periods_ = in.get_vector<std::int64_t>();
  latest_ = 0;
  if (!in.ok() || periods_.size() > kOtherSlice) return data_loss("slices are cut short");
  return Status::ok();
}

}  // namespace freshet
