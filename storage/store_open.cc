// Opening: which folder, which families, whose data.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <rocksdb/advanced_options.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "core/bytes.h"
#include "storage/late_log_errors.h"
#include "storage/rocksdb_log.h"
#include "storage/spec_difference.h"
#include "storage/store_impl.h"
#include "storage/store_keys.h"

namespace freshet {
namespace {

constexpr std::array<std::string_view, kFamilies> kFamilyNames = {"meta",   "events",      "order", "positions",
                                                                  "memory", "checkpoints", "keys"};
constexpr int kReadOnlyTriesMax = 10;

rocksdb::CompressionType compression_type(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return rocksdb::kNoCompression;
    case Compression::kLz4:
      return rocksdb::kLZ4Compression;
    case Compression::kZstd:
      return rocksdb::kZSTD;
  }
  return rocksdb::kNoCompression;
}

// Keeps RocksDB from recovering on a thread of its own, seconds later: the next write resumes at once (Impl::write).
class ResumeOnWrite final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

// The names of the write-ahead logs, and the name and size of the list of tables.
std::string log_files(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto file = std::filesystem::directory_iterator(path, error);
       !error && file != std::filesystem::directory_iterator(); file.increment(error)) {
    const std::string name = file->path().filename().string();
    if (name.ends_with(".log")) names.push_back(name);
    std::error_code gone;
    if (name.starts_with("MANIFEST-")) names.push_back(fmt::format("{} {}", name, file->file_size(gone)));
  }
  std::sort(names.begin(), names.end());
  return fmt::format("{}", fmt::join(names, "\n"));
}

// RocksDB has one code for both: somebody holds the lock, and the lock file cannot be opened (a read-only volume).
bool held_by_another(const rocksdb::Status& status) {
  const std::string text = status.ToString();
  return status.IsIOError() && (text.find("While lock file") != std::string::npos ||
                                text.find("lock hold by current process") != std::string::npos);
}

rocksdb::DBOptions database_options(const StoreOptions& options) {
  rocksdb::DBOptions db;
  db.create_if_missing = options.create_if_missing;
  db.create_missing_column_families = true;
  // One flush and one compaction at a time: ingest and training need the cores.
  db.max_background_jobs = 2;
  db.max_subcompactions = 1;
  db.max_file_opening_threads = 2;  // started anew for each family that is opened
  db.bytes_per_sync = std::uint64_t{1} << 20;
  db.wal_bytes_per_sync = std::uint64_t{1} << 20;
  // All families flush together: the log to replay after a crash is never longer than the write buffers.
  db.atomic_flush = true;
  db.allow_concurrent_memtable_write = false;  // there is one writer
  db.enable_write_thread_adaptive_yield = false;
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  db.max_bgerror_resume_count = 0;
  db.listeners.push_back(std::make_shared<ResumeOnWrite>());
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  return db;
}

// Whether a database has nothing in it, as one whose creation was cut short; another program's has something.
Result<bool> holds_nothing(const StoreOptions& options, const std::vector<std::string>& names) {
  if (names.size() != 1) return false;
  rocksdb::Options open;
  if (options.env != nullptr) open.env = options.env;
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(open, options.path, &opened);
  if (!status.ok()) return convert(status, "opening the store", options.path);
  const std::unique_ptr<rocksdb::DB> db(opened);
  const std::unique_ptr<rocksdb::Iterator> rows(db->NewIterator({}));
  rows->SeekToFirst();
  return !rows->Valid() && rows->status().ok();
}

}  // namespace

rocksdb::ColumnFamilyOptions family_options(const StoreOptions& options, std::string_view name) {
  rocksdb::ColumnFamilyOptions family;
  rocksdb::BlockBasedTableOptions table;
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;
  if (name == "events") {
    family.write_buffer_size = options.write_buffer_bytes;
    family.max_write_buffer_number = 3;
    family.target_file_size_base = std::uint64_t{64} << 20;
    family.level_compaction_dynamic_level_bytes = true;
    // The same at every level: files of ascending seqs then sink by renaming instead of rewriting.
    family.compression = compression_type(options.compression);
    table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes, 4);
    table.block_size = 8 << 10;
    table.block_restart_interval = 4;
    // No bloom filter: every seq that is asked for is there.
    family.optimize_filters_for_hits = true;
  } else {
    family.write_buffer_size =
        name.starts_with("checkpoints") ? options.write_buffer_bytes * 2 : options.write_buffer_bytes / 2;
    family.compression = rocksdb::kNoCompression;
    table.no_block_cache = true;
  }
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return family;
}

Status convert(const rocksdb::Status& status, std::string_view what, std::string_view path) {
  if (status.ok()) return Status::ok();
  const std::string text = status.ToString();
  if (status.IsNoSpace()) {
    return resource_exhausted(fmt::format(
        "{}: the disk that holds {} is full ({}); make room and writing resumes by itself", what, path, text));
  }
  if (status.IsCorruption()) {
    return data_loss(
        fmt::format("{}: the store at {} is damaged ({}); restore that folder from a backup, or move it "
                    "away to begin anew from what the broker still has",
                    what, path, text));
  }
  if (status.IsNotFound()) return not_found(fmt::format("{}: {} ({})", what, path, text));
  if (status.IsBusy() || status.IsTimedOut() || status.IsTryAgain() || status.IsIOError()) {
    return unavailable(fmt::format("{}: I/O error at {} ({}); check that the volume is mounted, writable and healthy",
                                   what, path, text));
  }
  if (status.IsNotSupported()) return unsupported(fmt::format("{}: {} ({})", what, path, text));
  return internal_error(fmt::format("{}: {} ({})", what, path, text));
}

Store::Impl::~Impl() { close_database(); }

void Store::Impl::close_database() {
  if (db == nullptr) return;
  rocksdb::CancelAllBackgroundWork(db.get(), /*wait=*/true);
  for (rocksdb::ColumnFamilyHandle* handle : families) {
    if (handle != nullptr) db->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  }
  for (rocksdb::ColumnFamilyHandle* handle : other_families) {
    db->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  }
  families.fill(nullptr);
  other_families.clear();
  db->Close().PermitUncheckedError();
  db.reset();
}

Status Store::Impl::open_database() {
  rocksdb::DBOptions db_options = database_options(options);
  db_options.info_log = std::make_shared<RocksDbLog>(*log);
  if (env == nullptr) env = with_late_log_errors(options.env != nullptr ? options.env : rocksdb::Env::Default());
  db_options.env = env.get();
  std::vector<std::string> names;
  const rocksdb::Status listed = rocksdb::DB::ListColumnFamilies(db_options, options.path, &names);
  const bool fresh = !listed.ok();
  if (fresh) {
    // Not readable as a database: create one only where there is nothing that could be one.
    std::error_code error;
    const bool exists = std::filesystem::exists(std::filesystem::path(options.path) / "CURRENT", error);
    if (exists || error) return convert(listed, "opening the store", options.path);
    if (!options.create_if_missing || options.read_only) {
      return not_found(fmt::format("there is no store at {}", options.path));
    }
    std::filesystem::create_directories(options.path, error);
    if (error) return unavailable(fmt::format("cannot create {}: {}", options.path, error.message()));
    names = {rocksdb::kDefaultColumnFamilyName};
  } else if (std::find(names.begin(), names.end(), "meta") == names.end() && !TRY(holds_nothing(options, names))) {
    return failed_precondition(
        fmt::format("{} holds a database that is not Freshet's; name another folder", options.path));
  }
  // A process that was killed while it created the store has made some of the families, or none; a store of an older
  // build lacks the newest. Read only, they cannot be made: what must be there is told below.
  for (const auto name : kFamilyNames) {
    const bool there = std::find(names.begin(), names.end(), name) != names.end();
    if (!options.read_only && !there) names.emplace_back(name);
  }
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  descriptors.reserve(names.size());
  for (const std::string& name : names) {
    descriptors.emplace_back(name, family_options(options, name));
    // A compaction that meets a damaged block stops all writing, the repair of checkpoints included.
    if (name.starts_with("checkpoints")) descriptors.back().options.disable_auto_compactions = !checkpoints_verified;
  }

  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  rocksdb::Status status;
  if (options.read_only) {
    // A running daemon may flush meanwhile. Then a file is gone that was listed, or, unnoticed by RocksDB, a log whose
    // table is not in the list that was read: what it held would be missing. So the files must not have changed.
    for (int attempt = 0; attempt < kReadOnlyTriesMax && opened == nullptr; ++attempt) {
      const std::string before = log_files(options.path);
      status = rocksdb::DB::OpenForReadOnly(db_options, options.path, descriptors, &handles, &opened);
      if (opened == nullptr || log_files(options.path) == before) continue;
      for (rocksdb::ColumnFamilyHandle* handle : handles)
        opened->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
      handles.clear();
      delete std::exchange(opened, nullptr);
      status = rocksdb::Status::TryAgain("a daemon writes to it all the time");
    }
  } else {
    status = rocksdb::DB::Open(db_options, options.path, descriptors, &handles, &opened);
  }
  if (!status.ok()) {
    if (held_by_another(status)) {
      return failed_precondition(
          fmt::format("another process has the store at {} open; one daemon owns a store: stop the "
                      "other one or name another folder ({})",
                      options.path, status.ToString()));
    }
    return convert(status, "opening the store", options.path);
  }
  db.reset(opened);
  for (std::size_t i = 0; i < handles.size(); ++i) {
    const auto known = std::find(kFamilyNames.begin(), kFamilyNames.end(), names[i]);
    if (known == kFamilyNames.end()) {
      other_families.push_back(handles[i]);
    } else {
      families[static_cast<std::size_t>(known - kFamilyNames.begin())] = handles[i];
    }
  }
  for (std::size_t family = 0; family < kCheckpoints; ++family) {  // can only be when read beside its creation
    if (families[family] == nullptr) return not_found(fmt::format("the store at {} is empty", options.path));
  }
  return Status::ok();
}

// Reads what the store keeps in memory. A store without a format is new: it gets one.
Status Store::Impl::load() {
  ledger = Ledger();
  kept.clear();
  doomed.clear();
  page_versions.clear();
  checkpoint_family = 0;
  const rocksdb::ReadOptions read;
  const auto meta = [&](std::string_view key, std::string& value) -> Result<bool> {
    const rocksdb::Status status = db->Get(read, families[kMeta], slice(key), &value);
    if (status.IsNotFound()) return false;
    if (!status.ok()) return convert(status, "opening the store", options.path);
    return true;
  };
  std::string value;
  if (!TRY(meta(kMetaFormat, value))) {
    if (options.read_only) return not_found(fmt::format("the store at {} is empty", options.path));
    ByteWriter newest;
    newest.put(kStoreFormat);
    format = kStoreFormat;
    batch.Put(families[kMeta], slice(kMetaFormat), newest.buffer()).PermitUncheckedError();
    TRY(write(/*sync=*/true, "creating the store"));
  } else {
    ByteReader reader(value);
    format = reader.get<std::uint32_t>();
    if (!reader.at_end()) return data_loss(fmt::format("the format of the store at {} cannot be read", options.path));
    if (format > kStoreFormat) {
      return failed_precondition(
          fmt::format("the store at {} has format {}, written by a newer Freshet; this build reads "
                      "up to {}: run that newer version, or restore the backup that was made before the upgrade "
                      "(freshet state restore) into another folder",
                      options.path, format, kStoreFormat));
    }
  }
  if (TRY(meta(kMetaIdentity, value))) {
    ByteReader reader(value);
    StoreIdentity stored;
    stored.fingerprint = reader.get<std::uint64_t>();
    stored.event_spec = reader.get_text();
    stored.notes = reader.get_text();
    if (!reader.at_end()) return data_loss(fmt::format("the identity of the store at {} cannot be read", options.path));
    identity = std::move(stored);
  }
  if (TRY(meta(kMetaTail, value))) {
    ByteReader reader(value);
    last_seq = reader.get<std::uint64_t>();
    next_order = reader.get<std::uint64_t>();
    if (!reader.at_end()) return data_loss(fmt::format("the tail of the store at {} cannot be read", options.path));
  }
  std::vector<std::uint64_t> ids;
  if (TRY(meta(kMetaCheckpoints, value))) {
    ByteReader reader(value);
    last_checkpoint = reader.get<std::uint64_t>();
    ids = reader.get_vector<std::uint64_t>();
    checkpoint_family = reader.get<std::uint8_t>();
    if (!reader.at_end()) return data_loss(fmt::format("the checkpoint list of {} cannot be read", options.path));
  }
  // Of the two names of the checkpoints family one is in use; the other is what a repair left behind.
  for (auto handle = other_families.begin(); handle != other_families.end(); ++handle) {
    if ((*handle)->GetName() != checkpoints_family_name(1)) continue;
    if (checkpoint_family == 1) std::swap(families[kCheckpoints], *handle);
    if (*handle == nullptr) other_families.erase(handle);  // a repair had dropped it, and read only it is not made anew
    break;
  }
  for (const std::uint64_t id : ids) {
    Kept entry{id, std::nullopt};
    const rocksdb::Status status =
        db->Get(read, families[kCheckpoints], slice(piece_key(id, kManifestKind, 0, 0).view()), &value);
    if (status.ok()) {
      auto manifest = decode_manifest(id, value);
      if (manifest.code() == Code::kFailedPrecondition) return manifest.status();
      if (manifest.is_ok()) entry.manifest = std::move(manifest).value();
    } else if (!status.IsNotFound() && !status.IsCorruption()) {
      return convert(status, "reading the checkpoints", options.path);
    }
    kept.push_back(std::move(entry));
  }
  const std::unique_ptr<rocksdb::Iterator> rows(db->NewIterator(read, families[kPositions]));
  for (rows->SeekToFirst(); rows->Valid(); rows->Next()) {
    const auto partition = static_cast<std::int32_t>(read_big_endian<std::uint32_t>(view(rows->key()), 0));
    ledger.set(TRY(decode_ledger(partition, view(rows->value()))));
  }
  if (!rows->status().ok()) return convert(rows->status(), "reading the ledger (family positions)", options.path);
  TRY(load_erasures());
  if (!options.read_only) {
    TRY(load_page_versions());
    // Deleting twice does no harm, and what the last run had deleted of it is not recorded.
    if (!kept.empty() && kept.front().manifest && !options.keep_all_events) {
      doomed.assign(kept.front().manifest->garbage.begin(), kept.front().manifest->garbage.end());
    }
  }
  return Status::ok();
}

// Brings an older store to this build's format, in one synced write. What format 2 adds to format 1 (state hashes and
// configurations in checkpoints, new kinds of order entries and blobs) need not be there, so the number is all that
// changes; it keeps an older build from reading what it would not understand.
Status Store::Impl::migrate() {
  if (options.read_only || !options.migrate || format == kStoreFormat) return Status::ok();
  const std::uint32_t before = format;
  ByteWriter newest;
  newest.put(kStoreFormat);
  batch.Clear();
  batch.Put(families[kMeta], slice(kMetaFormat), newest.buffer()).PermitUncheckedError();
  TRY(write(/*sync=*/true, "migrating the store"));
  format = kStoreFormat;
  log->warning("store_migrated",
               fmt::format("the store had format {} and has format {} now; an older Freshet no longer opens it", before,
                           kStoreFormat),
               {{"path", options.path}});
  return Status::ok();
}

Status Store::Impl::load_page_versions() {
  rocksdb::ReadOptions read;
  read.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> pages(db->NewIterator(read, families[kMemory]));
  for (pages->SeekToFirst(); pages->Valid(); pages->Next()) {
    const std::string_view key = view(pages->key());
    // Versions ascend, so the last one seen is the newest.
    page_versions[{read_big_endian<std::uint32_t>(key, 0), read_big_endian<std::uint64_t>(key, 4)}] =
        read_big_endian<std::uint64_t>(key, 12);
  }
  return convert(pages->status(), "reading the slot table (family memory)", options.path);
}

Result<std::unique_ptr<Store>> Store::open(StoreOptions options, const std::optional<StoreIdentity>& identity, Log& log,
                                           MetricsRegistry& metrics) {
  if (options.path.empty()) return invalid_argument("the store needs a path");
  if (options.checkpoints_kept == 0) return invalid_argument("at least one checkpoint must be kept");
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->cache = std::make_unique<RecordCache>(impl->options.record_cache_bytes);
  impl->log = &log;
  impl->appended = &metrics.counter("freshet_store_appended_events_total", "Events written to the store.");
  impl->checkpointed = &metrics.counter("freshet_checkpoints_total", "Checkpoints written durably.");
  impl->fallbacks =
      &metrics.counter("freshet_checkpoint_fallbacks_total", "Damaged checkpoints that were dropped for an older one.");
  impl->stalls =
      &metrics.counter("freshet_store_write_failures_total", "Writes that the disk refused (full, or I/O error).");
  impl->checkpoint_bytes = &metrics.gauge("freshet_checkpoint_bytes", "Size of the newest checkpoint.");
  TRY(impl->open_database());
  TRY(impl->load());
  TRY(impl->migrate());
  std::unique_ptr<Store> store(new Store(std::move(impl)));
  if (!store->impl_->options.read_only) TRY(store->sync());
  if (identity.has_value()) TRY(store->bind(*identity));
  log.info("store_opened", "the store is open",
           {{"path", store->path()},
            {"last_seq", store->last_seq()},
            {"checkpoints", static_cast<std::uint64_t>(store->impl_->kept.size())}});
  return store;
}

Status Store::bind(const StoreIdentity& identity) {
  Impl& self = *impl_;
  if (self.identity.has_value()) {
    if (self.identity->fingerprint == identity.fingerprint) return Status::ok();
    return failed_precondition(fmt::format(
        "the store at {} was made for another event spec ({}); give back the old spec, or name another memory.path to "
        "begin a new model",
        self.options.path, describe_spec_difference(self.identity->event_spec, identity.event_spec)));
  }
  TRY(self.ready("storing the event spec"));
  ByteWriter value;
  value.put(identity.fingerprint);
  value.put_text(identity.event_spec);
  value.put_text(identity.notes);
  self.batch.Clear();
  self.batch.Put(self.families[kMeta], slice(kMetaIdentity), value.buffer()).PermitUncheckedError();
  TRY(self.write(/*sync=*/true, "storing the event spec"));
  const std::lock_guard lock(self.mutex);
  self.identity = identity;
  return Status::ok();
}

}  // namespace freshet
