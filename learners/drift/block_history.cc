#include "learners/drift/block_history.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace freshet {
namespace {

bool in_direction(ChangeDirection direction, double moved) {
  return moved != 0 && (direction == ChangeDirection::kBoth || (direction == ChangeDirection::kRise) == (moved > 0));
}

}  // namespace

void MeanAndSpread::add(double value) {
  count += 1;
  const double distance = value - mean;
  mean += distance / count;
  squares += distance * (value - mean);
}

void MeanAndSpread::add(const MeanAndSpread& other) {
  if (other.count == 0) return;
  const double sum = count + other.count;
  const double distance = other.mean - mean;
  squares += other.squares + distance * distance * count * other.count / sum;
  mean += distance * other.count / sum;
  count = sum;
}

void MeanAndSpread::save(ByteWriter& out) const {
  out.put(count);
  out.put(mean);
  out.put(squares);
}

bool MeanAndSpread::load(ByteReader& in) {
  count = in.get<double>();
  mean = in.get<double>();
  squares = in.get<double>();
  return in.ok() && count >= 0 && squares >= 0 && mean == mean;
}

BlockHistory::BlockHistory() : ring_(kBlocks) {}

void BlockHistory::add(double value) {
  current_.add(value);
  if (current_.count < kBlockEvents) return;
  if (count_ == kBlocks) {
    first_ = (first_ + 1) % kBlocks;
    --count_;
  }
  ring_[(first_ + count_) % kBlocks] = current_;
  ++count_;
  current_ = {};
}

double BlockHistory::long_run_variance(std::size_t split, const MeanAndSpread& before, double mean_after) const {
  constexpr std::array<std::size_t, 4> kBatches = {1, 4, 16, 32};  // blocks in a batch
  constexpr std::size_t kBatchesMin = 8;
  double most = before.variance();
  for (const std::size_t batch : kBatches) {
    if (count_ / batch < kBatchesMin) break;
    MeanAndSpread means;
    for (std::size_t begin = 0; begin + batch <= count_; begin += batch) {
      double sum = 0;
      for (std::size_t i = begin; i < begin + batch; ++i) sum += block(i).mean - (i < split ? before.mean : mean_after);
      means.add(sum / static_cast<double>(batch));
    }
    most = std::max(most, means.variance() * static_cast<double>(batch * kBlockEvents));
  }
  return most;
}

std::optional<Baseline> BlockHistory::before_change(ChangeDirection direction) const {
  if (count_ <= kBaselineBlocksMin) return std::nullopt;
  double total = 0;
  for (std::size_t i = 0; i < count_; ++i) total += block(i).mean;
  const auto all = static_cast<double>(count_);
  double before = 0;
  double best = 0;
  std::size_t split = 0;
  for (std::size_t i = 0; i + 1 < count_; ++i) {
    before += block(i).mean;
    const auto k = static_cast<double>(i + 1);
    const double moved = (total - before) / (all - k) - before / k;
    const double gain = k * (all - k) * moved * moved;
    if (i + 1 < kBaselineBlocksMin || !in_direction(direction, moved) || !(gain > best)) continue;
    best = gain;
    split = i + 1;
  }
  if (split != 0) {
    constexpr double kDeviations = 3;
    if (auto found = before_split(split, direction, kDeviations)) return found;
  }
  return before_split(count_ - 1, direction, 0);
}

std::optional<Baseline> BlockHistory::before_split(std::size_t split, ChangeDirection direction,
                                                   double deviations) const {
  Baseline baseline;
  MeanAndSpread after = current_;
  for (std::size_t i = 0; i < split; ++i) baseline.events.add(block(i));
  for (std::size_t i = split; i < count_; ++i) after.add(block(i));
  const double moved = after.mean - baseline.events.mean;
  const double error = std::sqrt(baseline.events.variance() / baseline.events.count +
                                 std::max(baseline.events.variance(), after.variance()) / after.count);
  if (!in_direction(direction, moved) || !(std::fabs(moved) >= deviations * error)) return std::nullopt;
  baseline.long_run_variance = long_run_variance(split, baseline.events, after.mean);
  baseline.after = after.mean;
  baseline.events_since = static_cast<std::uint64_t>(after.count);
  return baseline;
}

void BlockHistory::keep_newest(std::uint64_t events) {
  const std::size_t kept = std::min<std::size_t>(count_, static_cast<std::size_t>(events / kBlockEvents));
  first_ = (first_ + count_ - kept) % kBlocks;
  count_ = kept;
  if (events < static_cast<std::uint64_t>(current_.count)) current_ = {};
}

void BlockHistory::save(ByteWriter& out) const {
  out.put<std::uint64_t>(count_);
  for (std::size_t i = 0; i < count_; ++i) block(i).save(out);
  current_.save(out);
}

bool BlockHistory::load(ByteReader& in) {
  first_ = 0;
  count_ = 0;
  const auto count = in.get<std::uint64_t>();
  if (count > kBlocks) return false;
  for (std::size_t i = 0; i < count; ++i) {
    if (!ring_[i].load(in) || ring_[i].count != kBlockEvents) return false;
  }
  count_ = count;
  return current_.load(in) && current_.count < kBlockEvents;
}

}  // namespace freshet
