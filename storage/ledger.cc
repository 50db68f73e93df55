#include "storage/ledger.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/bytes.h"
#include "core/hash.h"

namespace freshet {
namespace {

// Accounts for one offset; false when it was accounted for before.
bool advance(PartitionLedger& ledger, std::int64_t offset) {
  if (ledger.first_offset < 0) {
    ledger.first_offset = offset;
  } else if (offset < ledger.next_offset) {
    return false;
  } else if (offset > ledger.next_offset) {
    ++ledger.gaps;
    ledger.missing += static_cast<std::uint64_t>(offset - ledger.next_offset);
  }
  ledger.last_offset = offset;
  ledger.next_offset = offset + 1;
  return true;
}

void reset(PartitionLedger& ledger, std::int64_t offset) {
  if (ledger.first_offset < 0) {
    ledger.first_offset = offset;
  } else if (offset > ledger.next_offset) {
    ++ledger.gaps;
    ledger.missing += static_cast<std::uint64_t>(offset - ledger.next_offset);
  } else if (offset < ledger.next_offset) {
    ++ledger.restarts;
    ledger.first_offset = offset;
    ledger.last_offset = offset - 1;
  }
  ledger.next_offset = offset;
}

}  // namespace

std::uint64_t PartitionLedger::skipped_total() const {
  std::uint64_t total = 0;
  for (const std::uint64_t count : skipped) total += count;
  return total - duplicates();
}

std::uint64_t ledger_mix(std::int64_t offset, std::uint64_t value_hash) {
  return hash_combine(static_cast<std::uint64_t>(offset), value_hash);
}

PartitionLedger relearnt(const PartitionLedger& before, const PartitionLedger& anew) {
  PartitionLedger ledger = before;
  ledger.learnt = anew.learnt;
  ledger.hash = anew.hash;
  ledger.left_out = before.left_out + before.learnt - anew.learnt;
  return ledger;
}

std::string encode_ledger(const PartitionLedger& ledger) {
  ByteWriter writer;
  writer.put(ledger.first_offset);
  writer.put(ledger.last_offset);
  writer.put(ledger.next_offset);
  writer.put(ledger.learnt);
  writer.put(ledger.gaps);
  writer.put(ledger.missing);
  writer.put(ledger.hash);
  writer.put_span(std::span<const std::uint64_t>(ledger.skipped));
  writer.put(ledger.restarts);
  writer.put(ledger.left_out);
  return writer.take();
}

Result<PartitionLedger> decode_ledger(std::int32_t partition, std::string_view bytes) {
  ByteReader reader(bytes);
  PartitionLedger ledger;
  ledger.partition = partition;
  ledger.first_offset = reader.get<std::int64_t>();
  ledger.last_offset = reader.get<std::int64_t>();
  ledger.next_offset = reader.get<std::int64_t>();
  ledger.learnt = reader.get<std::uint64_t>();
  ledger.gaps = reader.get<std::uint64_t>();
  ledger.missing = reader.get<std::uint64_t>();
  ledger.hash = reader.get<std::uint64_t>();
  const auto skipped = reader.get_vector<std::uint64_t>();
  if (!reader.at_end()) ledger.restarts = reader.get<std::uint64_t>();  // an older build wrote none of these
  if (!reader.at_end()) ledger.left_out = reader.get<std::uint64_t>();
  // Fewer reasons than this build knows: written by an older one. More: refused, their meaning is unknown here.
  if (!reader.at_end() || skipped.size() > kSkipReasons) {
    return data_loss(fmt::format("the ledger of partition {} cannot be read ({} bytes)", partition, bytes.size()));
  }
  std::copy(skipped.begin(), skipped.end(), ledger.skipped.begin());
  return ledger;
}

PartitionLedger& Ledger::staged_for(std::int32_t partition) {
  const auto [place, added] = staged_index_.try_emplace(partition, staged_.size());
  if (added) {
    const auto current = partitions_.find(partition);
    staged_.push_back(current == partitions_.end() ? PartitionLedger{} : current->second);
    staged_.back().partition = partition;
  }
  return staged_[place->second];
}

Status Ledger::stage(std::span<const Position> positions, std::span<const std::uint64_t> value_hashes,
                     std::span<const SkippedRecord> skipped, std::span<const OffsetReset> resets) {
  staged_.clear();
  staged_index_.clear();
  items_.clear();
  if (positions.size() != value_hashes.size()) {
    return invalid_argument(fmt::format("{} positions with {} value hashes", positions.size(), value_hashes.size()));
  }
  for (std::size_t i = 0; i < positions.size(); ++i) items_.push_back({positions[i], value_hashes[i], -1});
  for (const SkippedRecord& record : skipped) {
    if (static_cast<std::size_t>(record.reason) >= kSkipReasons) return invalid_argument("unknown skip reason");
    items_.push_back({record.position, 0, static_cast<std::int32_t>(record.reason)});
  }
  // Events and skipped records come in two lists; the account of gaps needs one, by offset.
  const auto by_position = [](const Item& a, const Item& b) { return a.position < b.position; };
  if (!std::is_sorted(items_.begin(), items_.end(), by_position)) {
    std::stable_sort(items_.begin(), items_.end(), by_position);
  }
  for (const OffsetReset& entry : resets) {
    if (entry.next_offset < 0) return invalid_argument(fmt::format("partition {}: negative offset", entry.partition));
    reset(staged_for(entry.partition), entry.next_offset);
  }
  PartitionLedger* ledger = nullptr;
  for (const Item& item : items_) {
    if (ledger == nullptr || ledger->partition != item.position.partition)
      ledger = &staged_for(item.position.partition);
    if (item.position.offset < 0) {
      return invalid_argument(fmt::format("partition {}: negative offset", item.position.partition));
    }
    if (item.reason >= 0) ++ledger->skipped[static_cast<std::size_t>(item.reason)];
    if (item.reason == static_cast<std::int32_t>(SkipReason::kDuplicate)) continue;
    if (!advance(*ledger, item.position.offset)) {
      return invalid_argument(fmt::format("partition {}: offset {} was already accounted for, the next one is {}",
                                          item.position.partition, item.position.offset, ledger->next_offset));
    }
    if (item.reason < 0) {
      ++ledger->learnt;
      ledger->hash += ledger_mix(item.position.offset, item.value_hash);
    }
  }
  return Status::ok();
}

void Ledger::commit() {
  for (const PartitionLedger& ledger : staged_) partitions_[ledger.partition] = ledger;
  staged_.clear();
  staged_index_.clear();
}

}  // namespace freshet
