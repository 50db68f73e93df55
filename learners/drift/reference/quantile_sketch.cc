#include "learners/drift/reference/quantile_sketch.h"

#include <algorithm>
#include <cmath>

namespace freshet {
namespace {

constexpr std::size_t kLevelsMax = 48;
constexpr std::size_t kCapacityMin = 8;
constexpr double kShrink = 2.0 / 3.0;  // of the capacity from a level to the one below

}  // namespace

QuantileSketch::QuantileSketch(std::uint64_t seed) : levels_(1), rng_(seed) {
  levels_.reserve(kLevelsMax);
  levels_[0].reserve(2 * kExact);
}

std::size_t QuantileSketch::capacity(std::size_t level) const {
  const double depth = static_cast<double>(levels_.size() - 1 - level);
  return std::max(kCapacityMin, static_cast<std::size_t>(std::ceil(kExact * std::pow(kShrink, depth))));
}

void QuantileSketch::add(float value) {
  if (!std::isfinite(value)) {
    ++missing_;
    return;
  }
  ++count_;
  moments_.add(static_cast<double>(value));
  levels_[0].push_back(value);
  if (levels_[0].size() > capacity(0)) compact();
}

void QuantileSketch::merge(const QuantileSketch& other) {
  count_ += other.count_;
  missing_ += other.missing_;
  moments_.add(other.moments_);
  while (levels_.size() < other.levels_.size()) levels_.emplace_back();
  for (std::size_t level = 0; level < other.levels_.size(); ++level) {
    levels_[level].insert(levels_[level].end(), other.levels_[level].begin(), other.levels_[level].end());
  }
  compact();
}

void QuantileSketch::compact() {
  for (std::size_t level = 0; level < levels_.size() && level + 1 < kLevelsMax; ++level) {
    if (levels_[level].size() > capacity(level)) promote(level);
  }
}

// Every second of the sorted numbers goes up a level and stands for two; which half is drawn.
void QuantileSketch::promote(std::size_t level) {
  if (level + 1 == levels_.size()) levels_.emplace_back().reserve(2 * kExact);
  std::vector<float>& from = levels_[level];
  std::vector<float>& to = levels_[level + 1];
  std::ranges::sort(from);
  const std::size_t left = from.size() % 2;  // one stays behind where they are odd
  for (std::size_t i = left + rng_.below(2); i < from.size(); i += 2) to.push_back(from[i]);
  from.resize(left);
}

std::vector<QuantileSketch::Item> QuantileSketch::items() const {
  std::vector<Item> all;
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    for (const float value : levels_[level]) {
      all.push_back({static_cast<double>(value), std::ldexp(1.0, static_cast<int>(level))});
    }
  }
  std::ranges::sort(all, {}, &Item::value);
  return all;
}

void QuantileSketch::save(ByteWriter& out) const {
  out.put(count_);
  out.put(missing_);
  moments_.save(out);
  for (const std::uint64_t word : rng_.state()) out.put(word);
  out.put<std::uint64_t>(levels_.size());
  for (const auto& level : levels_) out.put_span(std::span<const float>(level));
}

bool QuantileSketch::load(ByteReader& in) {
  count_ = in.get<std::uint64_t>();
  missing_ = in.get<std::uint64_t>();
  if (!moments_.load(in)) return false;
  Rng::State state{};
  for (std::uint64_t& word : state) word = in.get<std::uint64_t>();
  rng_.set_state(state);
  const auto levels = in.get<std::uint64_t>();
  if (levels == 0 || levels > kLevelsMax) return false;
  levels_.assign(levels, {});
  std::uint64_t stands_for = 0;
  for (std::size_t level = 0; level < levels; ++level) {
    const auto values = in.get_vector<float>();
    if (!in.ok() || values.size() > 2 * kExact) return false;
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) return false;
    levels_[level].reserve(2 * kExact);
    levels_[level].assign(values.begin(), values.end());
    stands_for += static_cast<std::uint64_t>(values.size()) << level;
  }
  return stands_for == count_;
}

}  // namespace freshet
