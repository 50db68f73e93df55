// The daily work: append, read, scan, sync.
#include "storage/store.h"

#include <fmt/format.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "core/bytes.h"
#include "storage/prompt_reads.h"
#include "storage/store_impl.h"
#include "storage/store_keys.h"

namespace freshet {
namespace {

constexpr std::size_t kReadChunk = 1024;           // keys of one MultiGet
constexpr std::uint64_t kRangeDeleteFrom = 2048;   // shorter ranges are deleted one by one: range marks slow reads
constexpr std::uint64_t kDeletesPerAppend = 2;     // for each appended event, so that deleting keeps up
constexpr std::uint64_t kDeletesPerBatch = 16384;  // when there is nothing to hide behind
constexpr std::size_t kBatchKept = std::size_t{16} << 20;      // an append is smaller, a checkpoint may be far larger
constexpr std::uint64_t kSpareBytes = std::uint64_t{1} << 20;  // free beside a write buffer's worth before resuming

std::string encode_order(const OrderEntry& entry) {
  ByteWriter writer;
  writer.put(entry.kind);
  writer.put(entry.seq);
  writer.put(entry.round);
  writer.put(entry.model_version);
  return writer.take();
}

Result<OrderEntry> decode_order(std::uint64_t index, std::string_view bytes) {
  ByteReader reader(bytes);
  OrderEntry entry;
  entry.kind = reader.get<OrderKind>();
  entry.seq = reader.get<std::uint64_t>();
  entry.round = reader.get<std::uint64_t>();
  entry.model_version = reader.get<std::uint64_t>();
  if (!reader.at_end()) return data_loss(fmt::format("order entry {} cannot be read", index));
  return entry;
}

}  // namespace

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Status Store::Impl::ready(std::string_view what) {
  if (options.read_only) {
    return failed_precondition(fmt::format("{}: the store at {} is open for reading only", what, options.path));
  }
  if (db != nullptr && !files->log_error().ok()) stalled = true;  // in the background, perhaps
  return stalled ? recover(what) : Status::ok();
}

Status Store::Impl::usable() const {
  if (db != nullptr) return Status::ok();
  return unavailable(fmt::format(
      "the store at {} is closed after a disk error; it opens again with the next write that succeeds", options.path));
}

// After a refused write the database is opened anew, which needs room for the tables that it makes of its log.
// RocksDB's own Resume() keeps the log file when the memory tables are empty, and a disk is mostly found full at the
// first write to a new log: that file's writer has failed, and the next write to it is an error for good, or aborts
// where RocksDB was built with assertions.
Status Store::Impl::recover(std::string_view what) {
  if (db != nullptr) {
    std::uint64_t free_bytes = 0;
    const auto asked = db->GetFileSystem()->GetFreeSpace(options.path, rocksdb::IOOptions(), &free_bytes, nullptr);
    const std::uint64_t needed = options.write_buffer_bytes + kSpareBytes;
    if (asked.ok() && free_bytes < needed) {
      stalls->increment();
      return resource_exhausted(
          fmt::format("{}: the disk that holds {} has {} bytes free, {} are needed; make room and "
                      "writing resumes by itself",
                      what, options.path, free_bytes, needed));
    }
  }
  Status reopened = reopen();
  if (!reopened.is_ok()) {
    stalls->increment();
    return std::move(reopened).with_context(what);
  }
  stalled = false;
  log->info("store_resumed", "the disk takes writes again", {{"path", options.path}});
  return Status::ok();
}

Status Store::Impl::reopen() {
  const std::unique_lock exclusive(database_mutex);
  const std::lock_guard lock(mutex);
  const std::uint64_t seq_before = last_seq;
  const std::uint64_t order_before = next_order;
  close_database();
  Status status = open_database();
  if (status.is_ok()) status = load();
  if (!status.is_ok()) {
    close_database();
    last_seq = seq_before;
    next_order = order_before;
    return status;
  }
  if (last_seq != seq_before || next_order != order_before)
    landed = Landed{seq_before + 1, last_seq, order_before, next_order};
  return Status::ok();
}

// A refused write changes nothing: neither the log nor the tables have any of it, but for a sync that failed after the
// log had taken it all (LateErrors: RocksDB takes such a write for done); reopen() finds that out.
Status Store::Impl::write(bool sync, std::string_view what) {
  rocksdb::WriteOptions write_options;
  write_options.sync = sync;
  touch_all_families(batch);
  rocksdb::Status status = db->Write(write_options, &batch);
  if (batch.GetDataSize() > kBatchKept) {
    batch = rocksdb::WriteBatch();
  } else {
    batch.Clear();
  }
  if (status.ok()) status = files->log_error();
  if (status.ok()) return Status::ok();
  stalls->increment();
  if (!stalled) {
    stalled = true;
    log->error("store_stalled", "the disk refused a write; it is tried again with the next one",
               {{"path", options.path}, {"error", status.ToString()}});
  }
  return convert(status, what, options.path);
}

Deletions Store::Impl::add_deletions(std::uint64_t deletes_max) {
  Deletions done;
  std::uint64_t deletes = 0;
  for (const SeqRange& range : doomed) {
    if (deletes >= deletes_max) break;
    const std::uint64_t size = range.last - range.first + 1;
    if (size >= kRangeDeleteFrom) {
      batch.DeleteRange(families[kEvents], slice(seq_key(range.first).view()), slice(seq_key(range.last + 1).view()))
          .PermitUncheckedError();
      ++deletes;
      ++done.ranges;
      continue;
    }
    const std::uint64_t count = std::min(size, deletes_max - deletes);
    for (std::uint64_t i = 0; i < count; ++i) {
      batch.Delete(families[kEvents], slice(seq_key(range.first + i).view())).PermitUncheckedError();
    }
    deletes += count;
    if (count == size) {
      ++done.ranges;
    } else {
      done.partial = count;
    }
  }
  return done;
}

void Store::Impl::drop(const Deletions& done) {
  for (std::size_t i = 0; i < done.ranges; ++i) cache->forget(doomed[i].first, doomed[i].last);
  if (done.partial != 0) cache->forget(doomed[done.ranges].first, doomed[done.ranges].first + done.partial - 1);
  doomed.erase(doomed.begin(), doomed.begin() + static_cast<std::ptrdiff_t>(done.ranges));
  if (done.partial != 0) doomed.front().first += done.partial;
}

Status Store::Impl::delete_all_doomed() {
  while (!doomed.empty()) {  // each round deletes at least one range or kDeletesPerBatch events
    batch.Clear();
    const Deletions done = add_deletions(kDeletesPerBatch);
    TRY(write(/*sync=*/false, "deleting events that nobody needs"));
    drop(done);
  }
  return Status::ok();
}

void Store::Impl::mark_synced() {
  for (const auto& [partition, entry] : ledger.partitions()) synced[partition] = entry.next_offset;
}

Status Store::append(const AppendBatch& in) {
  Impl& self = *impl_;
  TRY(self.ready("appending events"));
  const std::size_t count = in.positions.size();
  if (in.records.size() != count * in.stride || (count != 0 && in.stride == 0)) {
    return invalid_argument(
        fmt::format("append of {} events of {} bytes with {} bytes", count, in.stride, in.records.size()));
  }
  if (const auto landed = std::exchange(self.landed, std::nullopt)) {
    const bool same_place = count == 0 || landed->first_seq == in.first_seq;
    if (same_place && landed->last_seq + 1 - landed->first_seq == count &&
        landed->next_order - landed->first_order == in.order.size()) {
      return Status::ok();
    }
  }
  if (count != 0 && in.first_seq != self.last_seq + 1) {
    return invalid_argument(fmt::format("append at seq {}, the next one is {}", in.first_seq, self.last_seq + 1));
  }
  TRY(self.ledger.stage(in.positions, in.value_hashes, in.skipped, in.resets));

  rocksdb::WriteBatch& batch = self.batch;
  batch.Clear();
  std::array<char, 8> key;
  for (std::size_t i = 0; i < count; ++i) {
    store_big_endian(key.data(), in.first_seq + i);
    batch.Put(self.families[kEvents], {key.data(), key.size()}, {in.records.data() + i * in.stride, in.stride})
        .PermitUncheckedError();
  }
  for (std::size_t i = 0; i < in.order.size(); ++i) {
    batch.Put(self.families[kOrder], slice(seq_key(self.next_order + i).view()), encode_order(in.order[i]))
        .PermitUncheckedError();
  }
  for (const PartitionLedger& entry : self.ledger.staged()) {
    batch.Put(self.families[kPositions], slice(partition_key(entry.partition).view()), encode_ledger(entry))
        .PermitUncheckedError();
  }
  const std::uint64_t last_seq = self.last_seq + count;
  const std::uint64_t next_order = self.next_order + in.order.size();
  ByteWriter tail;
  tail.put(last_seq);
  tail.put(next_order);
  batch.Put(self.families[kMeta], slice(kMetaTail), tail.buffer()).PermitUncheckedError();
  std::vector<Erasure> erasures;
  for (const SkippedRecord& record : in.skipped) {
    if (record.reason != SkipReason::kTombstone || record.key_hash == 0) continue;
    erasures.push_back({0, record.key_hash, self.last_seq + record.rows_before});
  }
  erasures = self.put_erasures(erasures);
  TRY(self.index_keys(in));
  const Deletions deletions = self.add_deletions(kDeletesPerAppend * count);

  const bool sync = self.options.sync == SyncPolicy::kEveryAppend;
  TRY(self.write(sync, "appending events"));
  self.drop(deletions);
  self.cache->put(in.first_seq, in.records, in.stride);
  self.appended->add(static_cast<double>(count));
  const std::lock_guard lock(self.mutex);
  self.ledger.commit();
  self.keep_erasures(erasures);
  self.last_seq = last_seq;
  self.next_order = next_order;
  if (sync) self.mark_synced();
  return Status::ok();
}

Status Store::read(std::span<const std::uint64_t> seqs,
                   const std::function<void(std::size_t, std::string_view)>& visitor) const {
  constexpr std::size_t kAhead = 8;
  std::vector<std::size_t> missed;
  for (std::size_t i = 0; i < seqs.size(); ++i) {
    if (i + kAhead < seqs.size()) impl_->cache->prefetch(seqs[i + kAhead]);
    if (!impl_->cache->get(seqs[i], [&](std::string_view record) { visitor(i, record); })) missed.push_back(i);
  }
  if (missed.empty()) return Status::ok();
  const std::shared_lock shared(impl_->database_mutex);
  TRY(impl_->usable());
  std::sort(missed.begin(), missed.end(), [&](std::size_t a, std::size_t b) { return seqs[a] < seqs[b]; });
  const std::size_t chunk = std::min(missed.size(), kReadChunk);
  std::vector<SeqKey> keys(chunk);
  std::vector<rocksdb::Slice> slices(chunk);
  std::vector<rocksdb::PinnableSlice> values(chunk);
  std::vector<rocksdb::Status> statuses(chunk);
  rocksdb::ReadOptions options;
  // The indexes into `seqs` from `begin` to `end`; without `late`, what is not in memory is waited for.
  const auto read_chunk = [&](const std::size_t* begin, const std::size_t* end, std::vector<std::size_t>* late) {
    const auto count = static_cast<std::size_t>(end - begin);
    for (std::size_t i = 0; i < count; ++i) {
      keys[i] = seq_key(seqs[begin[i]]);
      slices[i] = slice(keys[i].view());
    }
    options.io_timeout = late != nullptr ? kPrompt : std::chrono::microseconds{0};
    impl_->db->MultiGet(options, impl_->families[kEvents], count, slices.data(), values.data(), statuses.data(),
                        /*sorted_input=*/true);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t seq = seqs[begin[i]];
      if (late != nullptr && statuses[i].IsTryAgain()) {
        late->push_back(begin[i]);
        continue;
      }
      if (statuses[i].IsNotFound()) return data_loss(fmt::format("event {} is not in {}", seq, path()));
      if (!statuses[i].ok()) return convert(statuses[i], fmt::format("reading event {} (family events)", seq), path());
      impl_->cache->put(seq, view(values[i]), values[i].size());
      visitor(begin[i], view(values[i]));
      values[i].Reset();
    }
    return Status::ok();
  };
  std::vector<std::size_t> late;
  for (std::size_t start = 0; start < missed.size(); start += chunk) {
    const std::size_t count = std::min(chunk, missed.size() - start);
    late.clear();
    TRY(read_chunk(missed.data() + start, missed.data() + start + count, &late));
    // The disk has been asked for all of them by now.
    if (!late.empty()) TRY(read_chunk(late.data(), late.data() + late.size(), nullptr));
  }
  return Status::ok();
}

Status Store::scan(std::uint64_t first, std::uint64_t last,
                   const std::function<Status(std::uint64_t, std::string_view)>& visitor) const {
  const std::shared_lock shared(impl_->database_mutex);
  TRY(impl_->usable());
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> rows(impl_->db->NewIterator(options, impl_->families[kEvents]));
  for (rows->Seek(slice(seq_key(first).view())); rows->Valid(); rows->Next()) {
    const auto seq = read_big_endian<std::uint64_t>(view(rows->key()), 0);
    if (seq > last) break;
    TRY(visitor(seq, view(rows->value())));
  }
  return convert(rows->status(), "reading the event log (family events)", path());
}

Result<std::vector<IndexedOrderEntry>> Store::order_since(std::uint64_t index) const {
  const std::shared_lock shared(impl_->database_mutex);
  TRY(impl_->usable());
  std::vector<IndexedOrderEntry> entries;
  const std::unique_ptr<rocksdb::Iterator> rows(impl_->db->NewIterator({}, impl_->families[kOrder]));
  for (rows->Seek(slice(seq_key(index).view())); rows->Valid(); rows->Next()) {
    const auto at = read_big_endian<std::uint64_t>(view(rows->key()), 0);
    entries.push_back({at, TRY(decode_order(at, view(rows->value())))});
  }
  TRY(convert(rows->status(), "reading the order of rounds (family order)", path()));
  return entries;
}

Status Store::sync() {
  Impl& self = *impl_;
  TRY(self.ready("syncing the log"));
  rocksdb::Status status = self.db->SyncWAL();
  if (status.ok()) status = self.files->log_error();
  if (!status.ok()) {
    self.stalled = true;
    return convert(status, "syncing the log", path());
  }
  const std::lock_guard lock(self.mutex);
  self.mark_synced();
  return Status::ok();
}

Status Store::flush() {
  Impl& self = *impl_;
  TRY(self.ready("flushing the store"));
  const std::vector<rocksdb::ColumnFamilyHandle*> families(self.families.begin(), self.families.end());
  const rocksdb::Status status = self.db->Flush(rocksdb::FlushOptions(), families);
  if (!status.ok()) self.stalled = true;
  return convert(status, "flushing the store", path());
}

std::vector<PartitionLedger> Store::ledger() const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<PartitionLedger> all;
  all.reserve(impl_->ledger.partitions().size());
  for (const auto& [partition, entry] : impl_->ledger.partitions()) all.push_back(entry);
  return all;
}

std::map<std::int32_t, std::int64_t> Store::synced_positions() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->synced;
}

std::optional<StoreIdentity> Store::identity() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->identity;
}

std::uint64_t Store::last_seq() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->last_seq;
}

std::uint64_t Store::next_order_index() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->next_order;
}

std::uint64_t Store::stored_events_estimate() const {
  const std::shared_lock shared(impl_->database_mutex);
  std::uint64_t count = 0;
  if (impl_->usable().is_ok())
    impl_->db->GetIntProperty(impl_->families[kEvents], rocksdb::DB::Properties::kEstimateNumKeys, &count);
  return count;
}

std::uint64_t Store::bytes_on_disk() const {
  std::uint64_t total = 0;
  std::error_code error;
  // Files may vanish under the walk: what cannot be asked counts as nothing.
  for (auto file = std::filesystem::directory_iterator(path(), error);
       !error && file != std::filesystem::directory_iterator(); file.increment(error)) {
    std::error_code gone;
    const auto size = file->file_size(gone);
    if (!gone) total += size;
  }
  return total;
}

std::uint32_t Store::format() const { return impl_->format; }
const std::string& Store::path() const { return impl_->options.path; }

}  // namespace freshet
