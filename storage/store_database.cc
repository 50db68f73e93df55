// The database under the store: which folder, which families, how they are tuned; what it says, as a Status.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <rocksdb/advanced_options.h>
#include <rocksdb/convenience.h>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "storage/ordered_logs.h"
#include "storage/prompt_reads.h"
#include "storage/rocksdb_log.h"
#include "storage/store_impl.h"
#include "storage/store_keys.h"

namespace freshet {
namespace {

constexpr std::array<std::string_view, kFamilies> kFamilyNames = {"meta",   "events",      "order", "positions",
                                                                  "memory", "checkpoints", "keys",  "studies"};
constexpr int kReadOnlyTriesMax = 10;
constexpr char kNeverThere = '\xff';  // as a key, or after one

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
  db.max_file_opening_threads = options.file_opening_threads;
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
    // Replayed events are drawn from all over the log, so what a read costs is the memory that it touches: small
    // blocks, and an index of a few bytes for each.
    table.block_size = 2 << 10;
    table.block_restart_interval = 4;
    table.index_block_restart_interval = 8;
    // No bloom filter: every seq that is asked for is there.
    family.optimize_filters_for_hits = true;
  } else {
    family.write_buffer_size =
        name.starts_with("checkpoints") ? options.write_buffer_bytes * 2 : options.write_buffer_bytes / 2;
    family.compression = rocksdb::kNoCompression;
    // Many of its tables have nothing but what touch_all_families() wrote; merging means rewriting pages from all over.
    if (name.starts_with("memory")) family.level0_file_num_compaction_trigger = 8;
  }
  table.no_block_cache = true;  // the record cache and the kernel's keep what is read again
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return family;
}

// A flush that fails must not have families in it that had nothing to flush, or RocksDB 7.8 aborts where it was built
// with assertions. All families flush together; so all have something in each memory table when each write has
// something for all of them: the deletion of a key that is never there. In the log of events it stands where the
// write's own events begin, so that tables of ascending seqs still do not overlap.
void Store::Impl::touch_all_families(rocksdb::WriteBatch& with) {
  std::string before_next(seq_key(last_seq).view());
  before_next.push_back(kNeverThere);
  for (rocksdb::ColumnFamilyHandle* family : families) {
    if (family == nullptr) continue;
    const bool events = family == families[kEvents];
    with.Delete(family, events ? slice(before_next) : rocksdb::Slice(&kNeverThere, 1)).PermitUncheckedError();
  }
  for (rocksdb::ColumnFamilyHandle* family : other_families) {
    if (family->GetName() != rocksdb::kDefaultColumnFamilyName) {
      with.Delete(family, rocksdb::Slice(&kNeverThere, 1)).PermitUncheckedError();
    }
  }
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
  if (files == nullptr) {
    if (options.env == nullptr) prompt_reads = with_prompt_reads(rocksdb::Env::Default());
    ordered_logs = with_ordered_logs(options.env != nullptr ? options.env : prompt_reads.get());
    files = std::make_unique<LateErrors>(ordered_logs.get());
  }
  files->forget();
  db_options.env = files->env();
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
  const auto there = [&](std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  for (const auto name : kFamilyNames) {
    const bool stood_in_for = there(std::string(name) + ".b");  // see store_repair.cc
    if (!options.read_only && !stood_in_for && !there(name)) names.emplace_back(name);
  }
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  descriptors.reserve(names.size());
  for (const std::string& name : names) {
    descriptors.emplace_back(name, family_options(options, name));
    // A compaction that meets a damaged block stops all writing, the repair of checkpoints included.
    if (name.starts_with("checkpoints") || name.starts_with("memory")) {
      descriptors.back().options.disable_auto_compactions = !checkpoints_verified;
    }
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
    if (families[family] != nullptr || there(std::string(kFamilyNames[family]) + ".b")) continue;
    return not_found(fmt::format("the store at {} is empty", options.path));
  }
  return Status::ok();
}

}  // namespace freshet
