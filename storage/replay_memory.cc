#include "storage/replay_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "core/bytes.h"

namespace freshet {
namespace {

constexpr std::uint32_t kHeaderFormat = 1;
constexpr std::int64_t kTtlSteps = 256;
constexpr std::size_t kBucketsMax = 4096;  // event times all over the calendar share the buckets that there are

ReplaySummary read_summary(ByteReader& reader) {
  ReplaySummary summary;
  summary.policy = reader.get_text();
  summary.capacity = reader.get<std::uint64_t>();
  summary.ttl_ms = reader.get<std::int64_t>();
  summary.size = reader.get<std::uint64_t>();
  summary.seen = reader.get<std::uint64_t>();
  return summary;
}

Status check_format(ByteReader& reader) {
  const auto format = reader.get<std::uint32_t>();
  if (!reader.ok()) return data_loss("the replay memory's header is too short");
  if (format != kHeaderFormat) {
    return failed_precondition(
        fmt::format("the replay memory has format {}, this build reads {}", format, kHeaderFormat));
  }
  return Status::ok();
}

}  // namespace

ReplayMemory::ReplayMemory(ReplayOptions options, std::unique_ptr<ReplayPolicy> policy)
    : options_(std::move(options)),
      policy_(std::move(policy)),
      slots_(options_.ttl_ms > 0, policy_->needs_groups()),
      rng_(options_.seed) {
  const std::int64_t step = std::clamp<std::int64_t>(options_.ttl_ms / 1000 / kTtlSteps, 1, 1 << 24);
  bucket_s_ = static_cast<std::uint32_t>(step);
}

Result<std::unique_ptr<ReplayMemory>> ReplayMemory::create(const ReplayOptions& options) {
  if (options.ttl_ms < 0) return invalid_argument("the replay memory's time to live is negative");
  auto policy = TRY(make_replay_policy(options.policy, options.capacity_events));
  return std::unique_ptr<ReplayMemory>(new ReplayMemory(options, std::move(policy)));
}

void ReplayMemory::count_age(std::uint32_t time_s) {
  const std::uint32_t bucket = bucket_of(time_s);
  auto place = offered_.find(bucket);
  if (place == offered_.end()) {
    if (offered_.size() < kBucketsMax) {
      place = offered_.emplace(bucket, 0).first;
    } else {
      place = offered_.upper_bound(bucket);
      if (place != offered_.begin()) --place;
    }
  }
  ++place->second;
}

void ReplayMemory::insert(const ReplayItem& item, std::vector<std::uint64_t>& released) {
  ++seen_;
  if (slots_.with_times()) {
    const std::uint32_t time_s = SlotTable::to_seconds(item.time_ms);
    if (time_s < horizon_s_) {  // too old on arrival
      released.push_back(item.seq);
      return;
    }
    count_age(time_s);
  }
  const auto slot = policy_->place(item, slots_, rng_);
  if (!slot.has_value()) {
    released.push_back(item.seq);
  } else if (*slot == slots_.size()) {
    slots_.append(item);
  } else {
    released.push_back(slots_.seq(*slot));
    slots_.replace(*slot, item);
  }
}

void ReplayMemory::expire(std::int64_t before_ms, std::vector<std::uint64_t>& released) {
  if (!slots_.with_times() || before_ms <= 0) return;
  const std::uint32_t horizon = bucket_of(SlotTable::to_seconds(before_ms));
  if (horizon <= horizon_s_) return;
  horizon_s_ = horizon;
  std::uint64_t offered = 0;
  while (!offered_.empty() && offered_.begin()->first < horizon) {
    offered += offered_.begin()->second;
    offered_.erase(offered_.begin());
  }
  std::uint64_t held = 0;
  for (std::uint64_t slot = 0; slot < slots_.size();) {
    if (slots_.time_s(slot) >= horizon) {
      ++slot;
      continue;
    }
    released.push_back(slots_.seq(slot));
    policy_->removed(slots_.group(slot));
    slots_.remove(slot);
    ++held;
  }
  policy_->settle(held, offered > held ? offered - held : 0, slots_);
}

void ReplayMemory::erase(std::span<const std::uint64_t> seqs, std::vector<std::uint64_t>& released) {
  std::uint64_t held = 0;
  for (std::uint64_t slot = 0; slot < slots_.size();) {
    if (!std::binary_search(seqs.begin(), seqs.end(), slots_.seq(slot))) {
      ++slot;
      continue;
    }
    released.push_back(slots_.seq(slot));
    if (slots_.with_times()) {
      const auto age = offered_.find(bucket_of(slots_.time_s(slot)));
      if (age != offered_.end() && age->second > 0) --age->second;
    }
    policy_->removed(slots_.group(slot));
    slots_.remove(slot);
    ++held;
  }
  if (held != 0) policy_->settle(held, 0, slots_);
}

void ReplayMemory::sample(std::uint64_t n, Rng& rng, std::vector<std::uint64_t>& seqs) {
  if (size() == 0) return;
  while (n > size()) {
    for (std::uint64_t slot = 0; slot < size(); ++slot) seqs.push_back(slots_.seq(slot));
    n -= size();
  }
  sample_distinct(n, rng, seqs);
}

void ReplayMemory::sample_distinct(std::uint64_t n, Rng& rng, std::vector<std::uint64_t>& seqs) {
  const std::uint64_t places = std::bit_ceil(2 * n + 1);
  chosen_.assign(places, 0);
  const auto add = [&](std::uint64_t slot) {  // false when it was chosen before
    std::uint64_t at = (slot * 0x9E3779B97F4A7C15ULL) >> 20;
    for (;; ++at) {  // at most half full, so there is a free place
      std::uint64_t& entry = chosen_[at & (places - 1)];
      if (entry == slot + 1) return false;
      if (entry == 0) {
        entry = slot + 1;
        return true;
      }
    }
  };
  for (std::uint64_t last = size() - n; last < size(); ++last) {
    std::uint64_t slot = rng.below(last + 1);
    if (!add(slot)) {
      slot = last;
      add(slot);
    }
    seqs.push_back(slots_.seq(slot));
  }
}

std::string ReplayMemory::header() const {
  ByteWriter writer;
  writer.put(kHeaderFormat);
  writer.put_text(policy_->name());
  writer.put(options_.capacity_events);
  writer.put(options_.ttl_ms);
  writer.put(slots_.size());
  writer.put(seen_);
  for (const std::uint64_t word : rng_.state()) writer.put(word);
  writer.put(horizon_s_);
  writer.put<std::uint64_t>(offered_.size());
  for (const auto& [bucket, count] : offered_) {
    writer.put(bucket);
    writer.put(count);
  }
  policy_->save(writer);
  return writer.take();
}

Status ReplayMemory::load_begin(std::string_view header) {
  ByteReader reader(header);
  TRY(check_format(reader));
  const ReplaySummary stored = read_summary(reader);
  if (!reader.ok()) return data_loss("the replay memory's header is too short");
  if (stored.policy != policy_->name() || stored.capacity != options_.capacity_events ||
      stored.ttl_ms != options_.ttl_ms) {
    return failed_precondition(fmt::format(
        "the stored replay memory is a {} of {} events with a time to live of {} ms, configured is a {} of {} with {} "
        "ms; "
        "give back the old memory.* options, or begin anew with another memory.path",
        stored.policy, stored.capacity, stored.ttl_ms, policy_->name(), options_.capacity_events, options_.ttl_ms));
  }
  if (stored.size > stored.capacity) return data_loss("the replay memory's header has more events than room");
  seen_ = stored.seen;
  Rng::State state;
  for (std::uint64_t& word : state) word = reader.get<std::uint64_t>();
  rng_.set_state(state);
  horizon_s_ = reader.get<std::uint32_t>();
  offered_.clear();
  const auto buckets = reader.get<std::uint64_t>();
  if (buckets > kBucketsMax) return data_loss("the replay memory's header has too many steps of time");
  for (std::uint64_t i = 0; i < buckets; ++i) {
    const auto bucket = reader.get<std::uint32_t>();
    offered_[bucket] = reader.get<std::uint64_t>();
  }
  TRY(policy_->load(reader));
  if (!reader.at_end()) return data_loss("the replay memory's header has a wrong length");
  slots_.load_begin(stored.size);
  return Status::ok();
}

Result<ReplaySummary> ReplayMemory::summary(std::string_view header) {
  ByteReader reader(header);
  TRY(check_format(reader));
  ReplaySummary summary = read_summary(reader);
  if (!reader.ok()) return data_loss("the replay memory's header is too short");
  return summary;
}

}  // namespace freshet
