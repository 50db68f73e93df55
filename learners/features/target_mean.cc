#include "learners/features/target_mean.h"

#include <fmt/format.h>

#include <algorithm>

namespace freshet {

TargetMeanTable::TargetMeanTable(const TargetMeanOptions& options)
    : outputs_(std::max(options.outputs, 1U)),
      stride_(kValues + outputs_),
      bucket_mask_(std::bit_ceil(std::max<std::size_t>(options.keys_max, kWays)) / kWays - 1),
      half_life_ms_(options.half_life_ms),
      decay_per_event_(options.half_life_ms > 0 ? 1.0 : std::exp2(-1.0 / options.half_life_events)),
      lines_(std::make_unique<Line[]>((bucket_mask_ + 1) * stride_)) {
  if ((options.half_life_ms > 0) == (options.half_life_events > 0)) {
    abort_with("a target mean needs a half-life either in events or in time");
  }
}

std::uint32_t TargetMeanTable::make_room(Line* bucket) {
  std::uint32_t least = 0;
  for (std::uint32_t way = 0; way < kWays; ++way) {
    if (bucket[kKeys].words[way].load(std::memory_order_relaxed) == kEmpty) {
      keys_.fetch_add(1, std::memory_order_relaxed);
      return way;
    }
    // Event times may be negative, update numbers never reach 2^63: both compare as signed.
    const auto stamp = static_cast<std::int64_t>(bucket[kStamps].words[way].load(std::memory_order_relaxed));
    const auto oldest = static_cast<std::int64_t>(bucket[kStamps].words[least].load(std::memory_order_relaxed));
    if (stamp < oldest) least = way;
  }
  // Readers that see the counts of the next key see both marks too: those counts are stored with release after them.
  reuses_.fetch_add(1, std::memory_order_relaxed);
  bucket[kKeys].words[least].store(kReused, std::memory_order_relaxed);
  return least;
}

void TargetMeanTable::save(ByteWriter& out) const {
  out.put<std::uint64_t>(bucket_mask_);
  out.put(outputs_);
  out.put(updates_);
  out.put<std::uint64_t>(keys());
  for (std::size_t b = 0; b <= bucket_mask_; ++b) {
    const Line* bucket = lines_.get() + b * stride_;
    for (std::uint32_t way = 0; way < kWays; ++way) {
      const std::uint64_t key = bucket[kKeys].words[way].load(std::memory_order_relaxed);
      if (key == kEmpty) break;
      out.put(key);
      for (std::uint32_t line = kStamps; line < stride_; ++line) {
        out.put(bucket[line].words[way].load(std::memory_order_relaxed));
      }
    }
  }
}

Status TargetMeanTable::load(ByteReader& in) {
  const auto mask = in.get<std::uint64_t>();
  const auto outputs = in.get<std::uint32_t>();
  if (mask != bucket_mask_ || outputs != outputs_) return data_loss("target means of another table size");
  updates_ = in.get<std::uint64_t>();
  const auto count = in.get<std::uint64_t>();
  const std::size_t entry_size = sizeof(std::uint64_t) * stride_;
  if (!in.ok() || count > capacity() || count > in.remaining() / entry_size) {
    return data_loss(fmt::format("target means are cut short: {} keys in {} bytes", count, in.remaining()));
  }
  for (std::size_t line = 0; line < (bucket_mask_ + 1) * stride_; ++line) {
    for (auto& word : lines_[line].words) word.store(kEmpty, std::memory_order_relaxed);
  }
  keys_.store(0, std::memory_order_relaxed);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto key = in.get<std::uint64_t>();
    if (key != normalised(key)) return data_loss("target means hold an impossible key");
    Line* bucket = bucket_of(key);
    std::uint32_t way = 0;
    while (way < kWays && bucket[kKeys].words[way].load(std::memory_order_relaxed) != kEmpty) ++way;
    if (way == kWays) return data_loss("target means hold more keys than their bucket");
    for (std::uint32_t line = kStamps; line < stride_; ++line) {
      const auto word = in.get<std::uint64_t>();
      const LabelCounts counts = unpack(word);
      if (line >= kValues && !(std::isfinite(counts.sum) && std::isfinite(counts.weight) && counts.weight >= 0)) {
        return data_loss("target means hold counts that are not finite");
      }
      bucket[line].words[way].store(word, std::memory_order_relaxed);
    }
    bucket[kKeys].words[way].store(key, std::memory_order_release);
    keys_.fetch_add(1, std::memory_order_relaxed);
  }
  return Status::ok();
}

}  // namespace freshet
