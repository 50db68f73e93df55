#include "learners/evaluation/forgetting.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace freshet {
namespace {

constexpr std::uint32_t kStateFormat = 2;  // 1: without the scores of an untrained model

// A running mean that may have seen nothing.
struct Mean {
  double sum = 0;
  double count = 0;
  void add(double value) {
    sum += value;
    count += 1;
  }
  std::optional<double> value() const { return count > 0 ? std::optional<double>(sum / count) : std::nullopt; }
};

void put_optional(ByteWriter& out, const std::optional<double>& value) {
  out.put(value.has_value());
  out.put(value.value_or(0.0));
}

std::optional<double> get_optional(ByteReader& in) {
  const bool present = in.get<std::uint8_t>() != 0;
  const auto value = in.get<double>();
  return present ? std::optional<double>(value) : std::nullopt;
}

}  // namespace

Forgetting::Forgetting(std::optional<double> chance, std::size_t rows_max)
    : chance_(chance), rows_max_(std::max<std::size_t>(rows_max, 2)) {}

void Forgetting::note_before(std::uint32_t slice, double score, double untrained) {
  if (slice >= kSlicesMax || slices_[slice].trained || !std::isfinite(score) || !std::isfinite(untrained)) return;
  slices_[slice].before = score;
  slices_[slice].untrained = untrained;
}

void Forgetting::note_trained(std::uint32_t slice, std::uint64_t round) {
  if (slice >= kSlicesMax) return;
  Slice& s = slices_[slice];
  if (!s.trained && s.evaluations > 0 && !s.untrained) s.before = s.now;
  s.trained = true;
  s.awaits_score = true;
  s.last_trained = std::max(s.last_trained, round);
}

void Forgetting::record(std::uint64_t round, std::span<const SliceScore> scores) {
  ScoreRow row;
  row.round = round;
  row.scores.fill(std::numeric_limits<float>::quiet_NaN());
  for (const SliceScore& given : scores) {
    if (given.slice >= kSlicesMax || !std::isfinite(given.score)) continue;
    Slice& s = slices_[given.slice];
    s.now = given.score;
    if (s.evaluations == 0 || given.score > s.best) {
      s.best = given.score;
      s.best_round = round;
    }
    ++s.evaluations;
    if (s.awaits_score) {
      s.learnt = given.score;
      s.awaits_score = false;
    }
    row.scores[given.slice] = static_cast<float>(given.score);
  }
  if (recorded_++ % stride_ != 0) return;
  if (history_.size() >= rows_max_) {
    for (std::size_t i = 0; 2 * i < history_.size(); ++i) history_[i] = history_[2 * i];
    history_.resize((history_.size() + 1) / 2);
    stride_ *= 2;
    if ((recorded_ - 1) % stride_ != 0) return;
  }
  history_.push_back(row);
}

ForgettingReport Forgetting::report() const {
  std::uint64_t newest_training = 0;
  for (const Slice& s : slices_) {
    if (s.trained) newest_training = std::max(newest_training, s.last_trained);
  }
  ForgettingReport report;
  Mean score;
  Mean forgetting_past;
  Mean forgetting_all;
  Mean backward;
  Mean forward;
  double most = 0;
  for (std::uint32_t i = 0; i < kSlicesMax; ++i) {
    const Slice& s = slices_[i];
    if (s.evaluations == 0) continue;
    const double forgetting = s.best - s.now;
    const bool past = s.trained && s.last_trained < newest_training;
    const auto untrained = s.untrained ? s.untrained : chance_;
    report.slices.push_back(
        {i, s.evaluations, s.now, s.best, s.best_round, forgetting, s.learnt, s.before, untrained, past});
    score.add(s.now);
    forgetting_all.add(forgetting);
    most = std::max(most, forgetting);
    if (past) forgetting_past.add(forgetting);
    if (past && s.learnt) backward.add(s.now - *s.learnt);
    if (s.before && untrained) forward.add(*s.before - *untrained);
  }
  if (report.slices.empty()) return report;
  report.mean_score = score.value();
  report.mean_forgetting = forgetting_past.count > 0 ? forgetting_past.value() : forgetting_all.value();
  report.max_forgetting = most;
  report.backward_transfer = backward.value();
  report.forward_transfer = forward.value();
  return report;
}

void Forgetting::save(ByteWriter& out) const {
  out.put(kStateFormat);
  out.put<std::uint32_t>(kSlicesMax);
  for (const Slice& s : slices_) {
    out.put(s.evaluations);
    out.put(s.now);
    out.put(s.best);
    out.put(s.best_round);
    out.put(s.trained);
    out.put(s.awaits_score);
    out.put(s.last_trained);
    put_optional(out, s.learnt);
    put_optional(out, s.before);
    put_optional(out, s.untrained);
  }
  out.put(recorded_);
  out.put(stride_);
  out.put<std::uint64_t>(history_.size());
  for (const ScoreRow& row : history_) {
    out.put(row.round);
    out.append(row.scores.data(), sizeof row.scores);
  }
}

Status Forgetting::load(ByteReader& in) {
  const auto format = in.get<std::uint32_t>();
  if (format == 0 || format > kStateFormat || in.get<std::uint32_t>() != kSlicesMax) {
    return data_loss("forgetting state of an unknown format");
  }
  for (Slice& s : slices_) {
    s.evaluations = in.get<std::uint64_t>();
    s.now = in.get<double>();
    s.best = in.get<double>();
    s.best_round = in.get<std::uint64_t>();
    s.trained = in.get<std::uint8_t>() != 0;
    s.awaits_score = in.get<std::uint8_t>() != 0;
    s.last_trained = in.get<std::uint64_t>();
    s.learnt = get_optional(in);
    s.before = get_optional(in);
    s.untrained = format >= 2 ? get_optional(in) : std::nullopt;
  }
  recorded_ = in.get<std::uint64_t>();
  stride_ = in.get<std::uint64_t>();
  const auto rows = in.get<std::uint64_t>();
  constexpr std::size_t kRowSize = sizeof(std::uint64_t) + sizeof(ScoreRow::scores);
  if (!in.ok() || stride_ == 0 || rows > in.remaining() / kRowSize) return data_loss("forgetting state is cut short");
  history_.assign(rows, ScoreRow{});
  for (ScoreRow& row : history_) {
    row.round = in.get<std::uint64_t>();
    in.read(row.scores.data(), sizeof row.scores);
  }
  return in.ok() ? Status::ok() : data_loss("forgetting state is cut short");
}

}  // namespace freshet
