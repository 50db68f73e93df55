// Erasure: which keys are to be forgotten, where their events are, and the checkpoint that no longer knows them.
#include <fmt/format.h>

#include <algorithm>

#include "core/bytes.h"
#include "core/event_record.h"
#include "storage/store_impl.h"
#include "storage/store_keys.h"

namespace freshet {
namespace {

constexpr std::uint64_t kPurgeGap = 65536;     // erased events closer than this are compacted together
constexpr std::size_t kErasuresAtOnce = 4096;  // requests of one write

std::string encode_erasure(const Erasure& erasure) {
  ByteWriter writer;
  writer.put(erasure.key_hash);
  writer.put(erasure.through_seq);
  return writer.take();
}

}  // namespace

Status Store::Impl::load_erasures() {
  erasures.clear();
  last_erasure = 0;
  const std::unique_ptr<rocksdb::Iterator> rows(db->NewIterator({}, families[kMeta]));
  for (rows->Seek(slice(kMetaErasure)); rows->Valid(); rows->Next()) {
    const std::string_view key = view(rows->key());
    if (!key.starts_with(kMetaErasure)) break;
    ByteReader reader(view(rows->value()));
    Erasure erasure;
    if (key.size() == kMetaErasure.size()) {  // the counter
      last_erasure = reader.get<std::uint64_t>();
    } else if (key.size() == kMetaErasure.size() + sizeof(std::uint64_t)) {
      erasure.id = read_big_endian<std::uint64_t>(key, kMetaErasure.size());
      erasure.key_hash = reader.get<std::uint64_t>();
      erasure.through_seq = reader.get<std::uint64_t>();
      erasures.push_back(erasure);
    }
    if (!reader.at_end()) return data_loss(fmt::format("the list of erasures of {} cannot be read", options.path));
  }
  return convert(rows->status(), "reading the list of erasures", options.path);
}

// To `batch`; the caller keeps them in `erasures` once they are written.
std::vector<Erasure> Store::Impl::put_erasures(std::span<const Erasure> wanted) {
  std::vector<Erasure> added(wanted.begin(), wanted.end());
  if (added.empty()) return added;
  std::uint64_t id = last_erasure;
  for (Erasure& erasure : added) {
    erasure.id = ++id;
    batch.Put(families[kMeta], slice(erasure_key(erasure.id)), encode_erasure(erasure)).PermitUncheckedError();
  }
  ByteWriter counter;
  counter.put(id);
  batch.Put(families[kMeta], slice(kMetaErasure), counter.buffer()).PermitUncheckedError();
  return added;
}

void Store::Impl::keep_erasures(std::span<const Erasure> added) {  // the caller holds `mutex`
  erasures.insert(erasures.end(), added.begin(), added.end());
  if (!added.empty()) last_erasure = added.back().id;
}

Status Store::request_erasures(std::span<const std::uint64_t> key_hashes) {
  Impl& self = *impl_;
  for (std::size_t begin = 0; begin < key_hashes.size(); begin += kErasuresAtOnce) {
    TRY(self.ready("recording an erasure"));
    std::vector<Erasure> wanted;
    for (const std::uint64_t hash : key_hashes.subspan(begin, std::min(kErasuresAtOnce, key_hashes.size() - begin))) {
      wanted.push_back({0, hash, self.last_seq});
    }
    self.batch.Clear();
    const auto added = self.put_erasures(wanted);
    TRY(self.write(/*sync=*/true, "recording an erasure"));
    const std::lock_guard lock(self.mutex);
    self.keep_erasures(added);
    self.mark_synced();
  }
  return Status::ok();
}

std::vector<Erasure> Store::erasures() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->erasures;
}

// Adds to `batch` what turns the checkpoint being written into the only one: the erased events, the older checkpoints
// with the page versions and order entries that only they needed, and the erasures that are done by it.
void Store::Impl::put_erasure_checkpoint(const CheckpointWrite& in, Manifest& manifest) {
  for (const std::uint64_t seq : in.erased) {
    batch.Delete(families[kEvents], slice(seq_key(seq).view())).PermitUncheckedError();
  }
  for (const Erasure& erasure : erasures) {
    if (erasure.id > in.erasures_through) continue;
    batch.Delete(families[kMeta], slice(erasure_key(erasure.id))).PermitUncheckedError();
  }
  if (kept.empty()) return;
  const auto drop_superseded = [this](const Manifest& heir) {
    for (const ManifestPage& page : heir.pages) {
      if (page.superseded == 0) continue;
      batch.Delete(families[kMemory], slice(page_key(page.space, page.index, page.superseded).view()))
          .PermitUncheckedError();
    }
  };
  // What the dropped ones had declared garbage is recorded nowhere else.
  manifest.garbage.insert(manifest.garbage.end(), doomed.begin(), doomed.end());
  for (std::size_t i = 1; i < kept.size(); ++i) {
    if (!kept[i].manifest.has_value()) continue;
    manifest.garbage.insert(manifest.garbage.end(), kept[i].manifest->garbage.begin(), kept[i].manifest->garbage.end());
    drop_superseded(*kept[i].manifest);
  }
  drop_superseded(manifest);
  batch
      .DeleteRange(families[kCheckpoints], slice(piece_key(kept.front().id, 0, 0, 0).view()),
                   slice(piece_key(manifest.info.id, 0, 0, 0).view()))
      .PermitUncheckedError();
  batch.DeleteRange(families[kOrder], slice(seq_key(0).view()), slice(seq_key(manifest.order_keep_from).view()))
      .PermitUncheckedError();
}

// After the write: forgets what is gone, and says so. The caller holds `mutex`.
void Store::Impl::finish_erasure(const CheckpointWrite& in) {
  for (const std::uint64_t seq : in.erased) cache->forget(seq, seq);
  std::erase_if(erasures, [&](const Erasure& erasure) { return erasure.id <= in.erasures_through; });
  std::string dropped;
  for (const Kept& entry : kept) dropped += fmt::format("{}{}", dropped.empty() ? "" : ", ", entry.id);
  kept.clear();
  log->info("events_erased", "events were erased with a checkpoint that does not need them; older ones are gone",
            {{"events", static_cast<std::uint64_t>(in.erased.size())},
             {"checkpoints_dropped", dropped.empty() ? "none" : dropped},
             {"path", options.path}});
}

void Store::Impl::put_key_block(std::uint64_t block, std::span<const std::uint64_t> hashes) {
  const auto lists = key_lists(hashes);
  ByteWriter header;
  header.put<std::uint32_t>(
      static_cast<std::uint32_t>(std::count_if(hashes.begin(), hashes.end(), [](auto hash) { return hash != 0; })));
  for (std::size_t bucket = 0; bucket < lists.size(); ++bucket) {
    batch.Put(families[kKeys], slice(key_list_key(block, static_cast<std::uint16_t>(bucket)).view()), lists[bucket])
        .PermitUncheckedError();
  }
  batch.Put(families[kKeys], slice(key_list_key(block, kKeyHeader).view()), header.buffer()).PermitUncheckedError();
}

// The hashes of stored events first <= seq < end, all of one block, into their places.
Status Store::Impl::read_key_hashes(std::uint64_t first, std::uint64_t end, std::vector<std::uint64_t>& hashes) const {
  rocksdb::ReadOptions read;
  read.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> rows(db->NewIterator(read, families[kEvents]));
  for (rows->Seek(slice(seq_key(first).view())); rows->Valid(); rows->Next()) {
    const auto seq = read_big_endian<std::uint64_t>(view(rows->key()), 0);
    if (seq >= end) break;
    hashes[seq % kKeyBlock] = record_key_hash(view(rows->value()));
  }
  return convert(rows->status(), "reading the keys of the event log", options.path);
}

// Adds to `batch` the lists of each block that an append fills.
Status Store::Impl::index_keys(const AppendBatch& in) {
  for (std::size_t i = 0; i < in.positions.size(); ++i) {
    const std::uint64_t seq = in.first_seq + i;
    key_block.note(seq, record_key_hash(in.records.substr(i * in.stride, in.stride)));
    if (seq % kKeyBlock != kKeyBlock - 1) continue;
    const std::uint64_t block = key_block.block();
    // The events before this process started, or before a write that failed.
    if (key_block.known_from() > std::max<std::uint64_t>(1, block * kKeyBlock)) {
      TRY(read_key_hashes(block * kKeyBlock, key_block.known_from(), key_block.hashes()));
    }
    put_key_block(block, key_block.hashes());
    TRY(thin_key_index(block, in.stride));
  }
  return Status::ok();
}

// Looks at one older block, the next in turn: when less than half of what its lists name is still stored, they are made
// anew. In the time of a turn the log grows by as much as it had, so the lists name few more events than there are.
Status Store::Impl::thin_key_index(std::uint64_t newest, std::size_t stride) {
  if (newest == 0) return Status::ok();
  thin_at = (thin_at + 1) % newest;
  const std::uint64_t block = thin_at;
  std::string value;
  const rocksdb::Status found = db->Get({}, families[kKeys], slice(key_list_key(block, kKeyHeader).view()), &value);
  if (found.IsNotFound()) return Status::ok();
  if (!found.ok()) return convert(found, "reading the key index", options.path);
  ByteReader reader(value);
  const auto named = reader.get<std::uint32_t>();
  const SeqKey begin = seq_key(block * kKeyBlock);
  const SeqKey end = seq_key((block + 1) * kKeyBlock);
  const rocksdb::Range range(slice(begin.view()), slice(end.view()));
  std::uint64_t bytes = 0;
  rocksdb::SizeApproximationOptions everything;
  everything.include_memtables = true;
  if (!db->GetApproximateSizes(everything, families[kEvents], &range, 1, &bytes).ok()) return Status::ok();
  if (bytes > named * std::uint64_t{stride} / 2) return Status::ok();
  std::vector<std::uint64_t> hashes(kKeyBlock);
  TRY(read_key_hashes(block * kKeyBlock, (block + 1) * kKeyBlock, hashes));
  if (std::all_of(hashes.begin(), hashes.end(), [](std::uint64_t hash) { return hash == 0; })) {
    batch.DeleteRange(families[kKeys], slice(key_list_key(block, 0).view()), slice(key_list_key(block + 1, 0).view()))
        .PermitUncheckedError();
  } else {
    put_key_block(block, hashes);
  }
  return Status::ok();
}

// Calls visitor(seq) for events of `block` that may be of a key in `wanted`.
Status Store::Impl::key_candidates(std::uint64_t block, std::span<const std::uint64_t> wanted,
                                   const std::function<void(std::uint64_t)>& visitor) {
  rocksdb::PinnableSlice list;
  const std::uint64_t first = block * kKeyBlock;
  rocksdb::Status found = db->Get({}, families[kKeys], slice(key_list_key(block, kKeyHeader).view()), &list);
  if (found.IsNotFound()) {  // not full yet, from a store that had no index, or all its events are gone
    std::vector<std::uint64_t> hashes(kKeyBlock);
    std::uint64_t known = first + kKeyBlock;
    if (!key_block.hashes().empty() && key_block.block() == block) {
      hashes = key_block.hashes();
      known = key_block.known_from();
    }
    TRY(read_key_hashes(first, known, hashes));
    for (std::size_t place = 0; place < hashes.size(); ++place) {
      if (hashes[place] != 0 && std::binary_search(wanted.begin(), wanted.end(), hashes[place])) visitor(first + place);
    }
    return Status::ok();
  }
  for (auto begin = wanted.begin(); begin != wanted.end();) {
    const std::uint8_t bucket = key_bucket(*begin);
    const auto end = std::find_if(begin, wanted.end(), [&](std::uint64_t hash) { return key_bucket(hash) != bucket; });
    list.Reset();
    found = db->Get({}, families[kKeys], slice(key_list_key(block, bucket).view()), &list);
    TRY(convert(found, "reading the key index", options.path));
    TRY(match_keys(view(list), {begin, end}, [&](std::uint64_t place) { visitor(first + place); }));
    begin = end;
  }
  return Status::ok();
}

Result<std::vector<std::uint64_t>> Store::find(std::span<const Erasure> erasures) const {
  const std::shared_lock shared(impl_->database_mutex);
  TRY(impl_->usable());
  std::vector<std::uint64_t> seqs;
  std::vector<std::uint64_t> candidates;
  const ErasedKeys erased(erasures);
  const auto wanted = erased.ascending();
  if (wanted.empty()) return seqs;
  rocksdb::DB& db = *impl_->db;
  const std::unique_ptr<rocksdb::Iterator> oldest(db.NewIterator({}, impl_->families[kEvents]));
  oldest->SeekToFirst();
  if (!oldest->Valid()) {
    TRY(convert(oldest->status(), "reading the event log", path()));
    return seqs;
  }
  const std::uint64_t last_block = impl_->last_seq / kKeyBlock;
  for (std::uint64_t block = read_big_endian<std::uint64_t>(view(oldest->key()), 0) / kKeyBlock; block <= last_block;
       ++block) {
    TRY(impl_->key_candidates(block, wanted, [&](std::uint64_t seq) { candidates.push_back(seq); }));
  }
  rocksdb::PinnableSlice record;
  for (const std::uint64_t seq : candidates) {
    record.Reset();
    const rocksdb::Status status = db.Get({}, impl_->families[kEvents], slice(seq_key(seq).view()), &record);
    if (status.IsNotFound()) continue;  // deleted since the list was written
    TRY(convert(status, fmt::format("reading event {}", seq), path()));
    if (erased.covers(record_key_hash(view(record)), seq)) seqs.push_back(seq);
  }
  std::sort(seqs.begin(), seqs.end());
  return seqs;
}

Status Store::purge(std::span<const std::uint64_t> seqs) {
  const std::shared_lock shared(impl_->database_mutex);
  TRY(impl_->usable());
  // The log files go with what they hold.
  const std::vector<rocksdb::ColumnFamilyHandle*> families(impl_->families.begin(), impl_->families.end());
  TRY(convert(impl_->db->Flush(rocksdb::FlushOptions(), families), "flushing the store", path()));
  rocksdb::CompactRangeOptions compact;
  compact.exclusive_manual_compaction = false;
  compact.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  for (std::size_t i = 0; i < seqs.size();) {
    const std::size_t begin = i++;
    while (i < seqs.size() && seqs[i] - seqs[i - 1] < kPurgeGap) ++i;
    const SeqKey first = seq_key(seqs[begin]);
    const SeqKey last = seq_key(seqs[i - 1]);
    const rocksdb::Slice from = slice(first.view());
    const rocksdb::Slice to = slice(last.view());
    TRY(convert(impl_->db->CompactRange(compact, impl_->families[kEvents], &from, &to), "compacting erased events",
                path()));
  }
  for (const Family family : {kCheckpoints, kMeta, kMemory, kStudies}) {
    TRY(convert(impl_->db->CompactRange(compact, impl_->families[family], nullptr, nullptr),
                "compacting old checkpoints", path()));
  }
  return Status::ok();
}

}  // namespace freshet
