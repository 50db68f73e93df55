#include "storage/replay_memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/bytes.h"
#include "storage/replay_header.h"

namespace freshet {
namespace {

constexpr std::int64_t kTtlSteps = 256;
constexpr std::size_t kBucketsMax = 4096;  // event times all over the calendar share the buckets that there are

Result<std::uint64_t> capacity_of(const ReplayOptions& options) {
  std::uint64_t capacity = options.policy == "unbounded" ? kSlotsMax : options.capacity_events;
  if (options.capacity_bytes > 0) {
    if (options.record_bytes == 0) return invalid_argument("a capacity in bytes needs the size of an event's record");
    const std::uint64_t fit = options.capacity_bytes / options.record_bytes;
    if (fit == 0) {
      return invalid_argument(fmt::format("memory.capacity_bytes is {}, but an event takes {}", options.capacity_bytes,
                                          options.record_bytes));
    }
    capacity = std::min(capacity, fit);
  }
  return std::min(capacity, kSlotsMax);
}

std::string described(std::span<const MetadataColumn> columns) {
  std::string text;
  for (const MetadataColumn& column : columns) {
    text += fmt::format("{}{} ({} floats)", text.empty() ? "" : ", ", column.name, column.width);
  }
  return text.empty() ? "nothing" : text;
}

}  // namespace

ReplayMemory::ReplayMemory(const ReplayOptions& options, std::uint64_t capacity, std::unique_ptr<ReplayPolicy> policy,
                           std::unique_ptr<ReplaySampler> sampler)
    : options_(options),
      capacity_(capacity),
      policy_(std::move(policy)),
      sampler_(std::move(sampler)),
      slots_(policy_->columns().joined(sampler_->columns()).joined({.times = options.ttl_ms > 0})),
      metadata_(options.metadata),
      rng_(options.seed) {
  const std::int64_t step = std::clamp<std::int64_t>(options_.ttl_ms / 1000 / kTtlSteps, 1, 1 << 24);
  bucket_s_ = static_cast<std::uint32_t>(step);
}

Result<std::unique_ptr<ReplayMemory>> ReplayMemory::create(const ReplayOptions& options) {
  if (options.ttl_ms < 0) return invalid_argument("the replay memory's time to live is negative");
  for (const MetadataColumn& column : options.metadata.columns) {
    if (column.width == 0 || column.width > 65536) {
      return invalid_argument(
          fmt::format("the column {} of metadata has {} floats; 1 to 65536 can be", column.name, column.width));
    }
  }
  const std::uint64_t capacity = TRY(capacity_of(options));
  auto policy = TRY(make_replay_policy(options.policy, std::max<std::uint64_t>(1, capacity)));
  auto sampler = TRY(make_replay_sampler({options.sampling, options.priority_alpha, options.recency_half_life}));
  return std::unique_ptr<ReplayMemory>(new ReplayMemory(options, capacity, std::move(policy), std::move(sampler)));
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

void ReplayMemory::insert(const ReplayItem& offered, std::vector<std::uint64_t>& released) {
  ++seen_;
  if (capacity_ == 0) {
    released.push_back(offered.seq);
    return;
  }
  if (slots_.columns().times) {
    const std::uint32_t time_s = SlotTable::to_seconds(offered.time_ms);
    if (time_s < horizon_s_) {  // too old on arrival
      released.push_back(offered.seq);
      return;
    }
    count_age(time_s);
  }
  ReplayItem item = offered;
  leaving_.clear();
  while (policy_->prepare(item, slots_, view(), rng_, leaving_)) {
    for (std::size_t i = leaving_.size(); i-- > 0;) take_out(leaving_[i], released);
    leaving_.clear();
  }
  const auto slot = policy_->place(item, slots_, rng_);
  if (!slot.has_value()) {
    released.push_back(item.seq);
    return;
  }
  if (*slot < size()) released.push_back(slots_.seq(*slot));
  fill(*slot, item);
}

void ReplayMemory::fill(std::uint64_t slot, const ReplayItem& item) {
  if (slot == size()) {
    slots_.append(item);
    metadata_.append(item.loss);
  } else {
    policy_->before(view(), slot);
    sampler_->before(view(), slot);
    followed_.gone(slots_.seq(slot));
    slots_.replace(slot, item);
    metadata_.replace(slot, item.loss);
  }
  followed_.placed(item.seq, slot);
  policy_->after(view(), slot);
  sampler_->after(view(), slot);
}

void ReplayMemory::take_out(std::uint64_t slot, std::vector<std::uint64_t>& released) {
  released.push_back(slots_.seq(slot));
  const std::uint64_t last = size() - 1;
  for (SlotIndex* index : {static_cast<SlotIndex*>(policy_.get()), static_cast<SlotIndex*>(sampler_.get())}) {
    index->before(view(), slot);
    if (slot != last) index->before(view(), last);
  }
  followed_.gone(slots_.seq(slot));
  slots_.remove(slot);
  metadata_.remove(slot);
  if (slot != last) followed_.placed(slots_.seq(slot), slot);
  for (SlotIndex* index : {static_cast<SlotIndex*>(policy_.get()), static_cast<SlotIndex*>(sampler_.get())}) {
    index->after(view(), slot);
    if (slot != last) index->after(view(), last);
  }
}

void ReplayMemory::expire(std::int64_t before_ms, std::vector<std::uint64_t>& released) {
  if (!slots_.columns().times || before_ms <= 0) return;
  const std::uint32_t horizon = bucket_of(SlotTable::to_seconds(before_ms));
  if (horizon <= horizon_s_) return;
  horizon_s_ = horizon;
  std::uint64_t offered = 0;
  while (!offered_.empty() && offered_.begin()->first < horizon) {
    offered += offered_.begin()->second;
    offered_.erase(offered_.begin());
  }
  std::uint64_t held = 0;
  for (std::uint64_t slot = 0; slot < size();) {
    if (slots_.time_s(slot) >= horizon) {
      ++slot;
      continue;
    }
    policy_->removing(slots_, slot);
    take_out(slot, released);
    ++held;
  }
  policy_->settle(held, offered > held ? offered - held : 0);
}

void ReplayMemory::erase(std::span<const std::uint64_t> seqs, std::vector<std::uint64_t>& released) {
  std::uint64_t held = 0;
  for (std::uint64_t slot = 0; slot < size();) {
    if (!std::binary_search(seqs.begin(), seqs.end(), slots_.seq(slot))) {
      ++slot;
      continue;
    }
    if (slots_.columns().times) {
      const auto age = offered_.find(bucket_of(slots_.time_s(slot)));
      if (age != offered_.end() && age->second > 0) --age->second;
    }
    policy_->removing(slots_, slot);
    take_out(slot, released);
    ++held;
  }
  if (held != 0) policy_->settle(held, 0);
}

void ReplayMemory::sample(std::uint64_t n, Rng& rng, ReplaySample& sample) {
  if (size() == 0) return;
  const std::size_t begin = sample.slots.size();
  for (; n > size(); n -= size()) {
    for (std::uint64_t slot = 0; slot < size(); ++slot) sample.slots.push_back(slot);
  }
  sampler_->draw(n, view(), rng, sample.slots);
  for (std::size_t i = begin; i < sample.slots.size(); ++i) sample.seqs.push_back(slots_.seq(sample.slots[i]));
}

void ReplayMemory::sample(std::uint64_t n, Rng& rng, std::vector<std::uint64_t>& seqs) {
  ReplaySample drawn;
  sample(n, rng, drawn);
  seqs.insert(seqs.end(), drawn.seqs.begin(), drawn.seqs.end());
}

void ReplayMemory::note_replayed(const ReplaySample& sample, std::span<const float> losses, std::uint64_t round) {
  const std::size_t count = std::min(sample.seqs.size(), losses.size());
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t slot = sample.slots[i];
    if (slot >= size() || slots_.seq(slot) != sample.seqs[i]) continue;
    metadata_.note_replayed(slot, losses[i], round);
    if (sampler_->follows_losses()) sampler_->after(view(), slot);
  }
}

void ReplayMemory::dirty_pages(const PageVisitor& visitor) const {
  slots_.dirty_pages([&](std::uint64_t page, std::string_view bytes) { visitor(kReplaySpace, page, bytes); });
  metadata_.dirty_pages(visitor);
}

std::map<std::uint32_t, std::uint64_t> ReplayMemory::page_counts() const {
  std::map<std::uint32_t, std::uint64_t> counts;
  counts[kReplaySpace] = (size() + kSlotsPerPage - 1) / kSlotsPerPage;
  metadata_.count_pages(counts);
  return counts;
}

std::map<std::uint32_t, std::uint64_t> ReplayMemory::page_counts(const ReplaySummary& summary) {
  std::map<std::uint32_t, std::uint64_t> counts;
  counts[kReplaySpace] = (summary.size + kSlotsPerPage - 1) / kSlotsPerPage;
  if (summary.metadata_bytes != 0) ReplayMetadata::count_pages(summary.columns, summary.size, counts);
  return counts;
}

void ReplayMemory::clear_dirty() {
  slots_.clear_dirty();
  metadata_.clear_dirty();
}

std::string ReplayMemory::header() const {
  ByteWriter writer;
  write_replay_header(
      {std::string(policy_->name()), capacity_, options_.ttl_ms, size(), seen_, options_.capacity_bytes,
       options_.record_bytes, std::string(sampler_->name()), size() * metadata_.row_bytes(), metadata_.columns()},
      writer);
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

Status ReplayMemory::check_agreement(const ReplaySummary& stored) const {
  if (stored.policy != policy_->name() || stored.capacity != capacity_ || stored.ttl_ms != options_.ttl_ms ||
      stored.sampling != sampler_->name()) {
    return failed_precondition(fmt::format(
        "the stored replay memory is a {} of {} events with a time to live of {} ms and {} sampling, configured is a "
        "{} of {} with {} ms and {} sampling; "
        "give back the old memory.* options, or begin anew with another memory.path",
        stored.policy, stored.capacity, stored.ttl_ms, stored.sampling, policy_->name(), capacity_, options_.ttl_ms,
        sampler_->name()));
  }
  return Status::ok();
}

Status ReplayMemory::load_header(std::string_view header, std::uint32_t& format) {
  ByteReader reader(header);
  const ReplayHeader stored = TRY(read_replay_header(reader));
  format = stored.format;
  TRY(check_agreement(stored.summary));
  if (format == 1 && policy_->name() != "reservoir") {
    return failed_precondition(
        fmt::format("the stored replay memory is a {} of format 1, which cannot be taken over; "
                    "begin anew with another memory.path",
                    policy_->name()));
  }
  if (format > 1 && stored.summary.columns != metadata_.columns()) {
    return failed_precondition(fmt::format(
        "the stored replay memory keeps {} with each event, configured is {}: learning.strategy and the shape of the "
        "model decide what is kept; give back the old ones, or begin anew with another memory.path",
        described(stored.summary.columns), described(metadata_.columns())));
  }
  if (stored.summary.size > capacity_) return data_loss("the replay memory's header has more events than room");
  loading_ = stored.summary.size;
  seen_ = stored.summary.seen;
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
  return Status::ok();
}

Status ReplayMemory::load(std::string_view header,
                          const std::function<Status(std::uint32_t, const PageReader&)>& read_space) {
  std::uint32_t format = 0;
  followed_.stop();
  TRY(load_header(header, format));
  slots_.load_begin(loading_);
  TRY(read_space(kReplaySpace,
                 [&](std::uint64_t page, std::string_view bytes) { return slots_.load_page(page, bytes); }));
  TRY(slots_.load_end());
  if (format == 1) {
    metadata_.load_unknown(size());
  } else {
    metadata_.load_begin(loading_);
    for (std::uint32_t space = kReplayMetadataSpace; space < kReplayMetadataSpace + metadata_.spaces(); ++space) {
      TRY(read_space(
          space, [&](std::uint64_t page, std::string_view bytes) { return metadata_.load_page(space, page, bytes); }));
    }
    TRY(metadata_.load_end());
  }
  policy_->rebuild(view());
  sampler_->rebuild(view());
  return Status::ok();
}

Result<ReplaySummary> ReplayMemory::summary(std::string_view header) {
  ByteReader reader(header);
  ReplayHeader read = TRY(read_replay_header(reader));
  return std::move(read.summary);
}

}  // namespace freshet
