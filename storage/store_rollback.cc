// Rollback: the store as it was at a checkpoint that is kept, in one write.
#include <fmt/format.h>

#include <algorithm>

#include "core/bytes.h"
#include "storage/store_impl.h"
#include "storage/store_keys.h"

namespace freshet {
namespace {

Result<std::vector<PartitionLedger>> decode_ledgers(std::string_view bytes) {
  ByteReader reader(bytes);
  std::vector<PartitionLedger> ledgers;
  const auto count = reader.get<std::uint64_t>();
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
    const auto partition = reader.get<std::int32_t>();
    const std::string entry = reader.get_text();
    if (!reader.ok()) break;
    ledgers.push_back(TRY(decode_ledger(partition, entry)));
  }
  if (!reader.at_end()) return data_loss("the ledger in a checkpoint cannot be read");
  return ledgers;
}

}  // namespace

std::string Store::Impl::encode_ledgers() const {
  ByteWriter writer;
  writer.put<std::uint64_t>(ledger.partitions().size());
  for (const auto& [partition, entry] : ledger.partitions()) {
    writer.put(partition);
    writer.put_text(encode_ledger(entry));
  }
  return writer.take();
}

// Puts `ledgers` in the place of all there are; to `batch`.
void Store::Impl::put_ledgers(std::span<const PartitionLedger> ledgers) {
  for (const auto& [partition, entry] : ledger.partitions()) {
    batch.Delete(families[kPositions], slice(partition_key(partition).view())).PermitUncheckedError();
  }
  for (const PartitionLedger& entry : ledgers) {
    batch.Put(families[kPositions], slice(partition_key(entry.partition).view()), encode_ledger(entry))
        .PermitUncheckedError();
  }
}

void Store::Impl::take_ledgers(std::span<const PartitionLedger> ledgers) {  // the caller holds `mutex`
  ledger = Ledger();
  for (const PartitionLedger& entry : ledgers) ledger.set(entry);
  synced.clear();
  mark_synced();
}

Status Store::adopt_ledger(std::span<const PartitionLedger> ledgers) {
  Impl& self = *impl_;
  TRY(self.ready("taking over positions"));
  self.batch.Clear();
  self.put_ledgers(ledgers);
  TRY(self.write(/*sync=*/true, "taking over positions"));
  const std::lock_guard lock(self.mutex);
  self.take_ledgers(ledgers);
  return Status::ok();
}

Status Store::rollback(std::uint64_t id) {
  Impl& self = *impl_;
  TRY(self.ready("rolling back"));
  const auto target =
      std::find_if(self.kept.begin(), self.kept.end(), [id](const Kept& entry) { return entry.id == id; });
  if (target == self.kept.end()) {
    std::string ids;
    for (const Kept& entry : self.kept) ids += fmt::format("{}{}", ids.empty() ? "" : ", ", entry.id);
    return not_found(fmt::format("checkpoint {} is not kept in {}; these are: {}. checkpoint.keep says how many are",
                                 id, path(), ids.empty() ? "none" : ids));
  }
  if (!target->manifest.has_value()) {
    return data_loss(fmt::format("checkpoint {} in {} is damaged; name an older one", id, path()));
  }
  // All of it is read first: a state that cannot be loaded is no place to go back to.
  const Checkpoint checkpoint = TRY(self.load_whole(*target));
  const auto blob = checkpoint.blobs.find(kLedgerBlob);
  if (blob == checkpoint.blobs.end()) {
    return failed_precondition(fmt::format(
        "checkpoint {} in {} does not hold the stream's positions as they were (an older Freshet wrote it, or it was "
        "written while the log was being redone); name another one",
        id, path()));
  }
  const auto ledgers = TRY(decode_ledgers(blob->second));
  const CheckpointInfo info = checkpoint.info;

  rocksdb::WriteBatch& batch = self.batch;
  batch.Clear();
  const auto delete_from = [&](Family family, std::uint64_t first, std::uint64_t end) {
    if (first >= end) return;
    batch.DeleteRange(self.families[family], slice(seq_key(first).view()), slice(seq_key(end).view()))
        .PermitUncheckedError();
  };
  delete_from(kEvents, info.seq + 1, self.last_seq + 1);
  delete_from(kOrder, info.order_index, self.next_order);
  const std::uint64_t block = (info.seq + 1) / kKeyBlock;  // its lists name events that are gone
  batch
      .DeleteRange(self.families[kKeys], slice(key_list_key(block, 0).view()),
                   slice(key_list_key(UINT64_MAX, 0).view()))
      .PermitUncheckedError();
  batch
      .DeleteRange(self.families[kCheckpoints], slice(piece_key(id + 1, 0, 0, 0).view()),
                   slice(piece_key(self.last_checkpoint + 1, 0, 0, 0).view()))
      .PermitUncheckedError();
  const std::unique_ptr<rocksdb::Iterator> pages(self.db->NewIterator({}, self.families[kMemory]));
  for (pages->SeekToFirst(); pages->Valid(); pages->Next()) {
    if (read_big_endian<std::uint64_t>(view(pages->key()), 12) <= id) continue;
    batch.Delete(self.families[kMemory], pages->key()).PermitUncheckedError();
  }
  TRY(convert(pages->status(), "rolling back", path()));
  self.put_ledgers(ledgers);
  // An erasure that waits stays asked for; events that come again are newer than it.
  std::vector<Erasure> erasures = self.erasures;
  for (Erasure& erasure : erasures) {
    erasure.through_seq = std::min(erasure.through_seq, info.seq);
    ByteWriter value;
    value.put(erasure.key_hash);
    value.put(erasure.through_seq);
    batch.Put(self.families[kMeta], slice(erasure_key(erasure.id)), value.buffer()).PermitUncheckedError();
  }
  ByteWriter tail;
  tail.put(info.seq);
  tail.put(info.order_index);
  batch.Put(self.families[kMeta], slice(kMetaTail), tail.buffer()).PermitUncheckedError();
  std::vector<std::uint64_t> ids;
  for (auto entry = self.kept.begin(); entry != target + 1; ++entry) ids.push_back(entry->id);
  batch.Put(self.families[kMeta], slice(kMetaCheckpoints), self.encode_kept(ids)).PermitUncheckedError();
  TRY(self.write(/*sync=*/true, "rolling back"));

  self.log->warning("rolled_back", "the state is that of an older checkpoint; what came after it will be learnt again",
                    {{"checkpoint", id}, {"events_dropped", self.last_seq - info.seq}, {"path", path()}});
  // What is kept in memory is read back, as after a start.
  const std::unique_lock exclusive(self.database_mutex);
  const std::lock_guard lock(self.mutex);
  self.synced.clear();
  self.key_block = KeyBlock();
  self.cache = std::make_unique<RecordCache>(self.options.record_cache_bytes);
  TRY(self.load());
  self.mark_synced();
  return Status::ok();
}

}  // namespace freshet
