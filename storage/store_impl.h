// Store::Impl: what the sources of Store share. Only storage/store*.cc include it.
//
// Threads: `mutex` guards the members below it; the writer alone touches those above, and may read the guarded ones
// without it, being the only one to change them. `database_mutex` lets the writer put another database in the place of
// one that a full disk has stopped for good: readers hold it shared, reopen() alone.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <deque>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "storage/key_index.h"
#include "storage/late_errors.h"
#include "storage/manifest.h"
#include "storage/record_cache.h"
#include "storage/store.h"

namespace freshet {

enum Family : std::size_t { kMeta, kEvents, kOrder, kPositions, kMemory, kCheckpoints, kKeys, kStudies, kFamilies };

inline rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view view(const rocksdb::Slice& bytes) { return {bytes.data(), bytes.size()}; }

// What RocksDB says, as a Status that names the path and what to do.
Status convert(const rocksdb::Status& status, std::string_view what, std::string_view path);

// The bit of a family in Impl::stand_ins; the stand-in is named as the family, with ".b".
constexpr std::uint8_t stand_in_bit(Family family) { return family == kCheckpoints ? 1 : family == kMemory ? 2 : 0; }

struct PageId {
  std::uint32_t space = 0;
  std::uint64_t index = 0;
  friend bool operator==(const PageId&, const PageId&) = default;
};
struct PageIdHash {
  std::size_t operator()(const PageId& id) const {
    return static_cast<std::size_t>((id.index * 31 + id.space) * 0x9E3779B97F4A7C15ULL);
  }
};

// A page's version that cannot be read, or is not there: the checkpoints from `version` up to before `until` need it.
struct DamagedPage {
  PageId page;
  std::uint64_t version = 0;
  std::uint64_t until = 0;
};

struct Kept {
  std::uint64_t id = 0;
  std::optional<Manifest> manifest;  // nothing: damaged
};

// A write that was reported as failed and is there after all, found when the database was opened again: its repetition
// by the caller is already done.
struct Landed {
  std::uint64_t first_seq = 0;
  std::uint64_t last_seq = 0;
  std::uint64_t first_order = 0;
  std::uint64_t next_order = 0;
};

// How far into the doomed ranges a batch of deletions goes.
struct Deletions {
  std::size_t ranges = 0;     // wholly deleted
  std::uint64_t partial = 0;  // events deleted of the range after them
};

struct Store::Impl {
  StoreOptions options;
  Log* log = nullptr;
  Counter* appended = nullptr;
  Counter* checkpointed = nullptr;
  Counter* fallbacks = nullptr;
  Counter* stalls = nullptr;
  Gauge* checkpoint_bytes = nullptr;

  // What the database runs on, each over the one before; the first over options.env, or over the machine's.
  std::unique_ptr<rocksdb::Env> prompt_reads;  // nothing where options.env is given
  std::unique_ptr<rocksdb::Env> ordered_logs;
  std::unique_ptr<LateErrors> files;
  mutable std::shared_mutex database_mutex;
  std::unique_ptr<rocksdb::DB> db;  // nothing when reopening failed: the next write tries again
  std::array<rocksdb::ColumnFamilyHandle*, kFamilies> families{};
  std::vector<rocksdb::ColumnFamilyHandle*> other_families;
  std::uint8_t stand_ins = 0;  // which families a repair has put another in the place of: stand_in_bit() of each, or-ed

  std::unique_ptr<RecordCache> cache;
  rocksdb::WriteBatch batch;
  bool checkpoints_verified = false;  // until then they and their pages are not compacted
  bool stalled = false;               // the last write failed: recover() before the next
  std::optional<Landed> landed;
  std::deque<SeqRange> doomed;  // garbage of the oldest kept checkpoint, deleted bit by bit with the appends
  std::unordered_map<PageId, std::uint64_t, PageIdHash> page_versions;  // newest version of each page
  std::vector<DamagedPage> damaged_pages;                               // as found at the opening; a repair leaves none

  KeyBlock key_block;         // keys of the newest block of events
  std::uint64_t thin_at = 0;  // the block of the key index that was looked at last

  mutable std::mutex mutex;
  Ledger ledger;
  std::vector<Erasure> erasures;  // by id
  std::uint64_t last_erasure = 0;
  std::map<std::int32_t, std::int64_t> synced;
  std::optional<StoreIdentity> identity;
  std::uint64_t last_seq = 0;
  std::uint64_t next_order = 0;
  std::uint64_t last_checkpoint = 0;
  std::uint32_t format = kStoreFormat;
  std::vector<Kept> kept;  // oldest first

  ~Impl();

  // store_database.cc
  Status open_database();
  void close_database();
  void touch_all_families(rocksdb::WriteBatch& with);  // before each write

  // store_open.cc
  Status load();
  Status migrate();

  // store.cc
  Status ready(std::string_view what);  // to write: recovers when the last write failed
  Status usable() const;                // to read; the caller holds database_mutex
  Status recover(std::string_view what);
  Status reopen();
  Status write(bool sync, std::string_view what);      // `batch`, which is empty afterwards
  Deletions add_deletions(std::uint64_t deletes_max);  // of `doomed`, to `batch`
  void drop(const Deletions& done);                    // from `doomed`, once written
  Status delete_all_doomed();
  void mark_synced();

  // store_erase.cc
  Status load_erasures();
  std::vector<Erasure> put_erasures(std::span<const Erasure> wanted);
  void keep_erasures(std::span<const Erasure> added);
  void put_erasure_checkpoint(const CheckpointWrite& in, Manifest& manifest);
  void finish_erasure(const CheckpointWrite& in);
  void put_key_block(std::uint64_t block, std::span<const std::uint64_t> hashes);
  Status read_key_hashes(std::uint64_t first, std::uint64_t end, std::vector<std::uint64_t>& hashes) const;
  Status index_keys(const AppendBatch& in);
  Status thin_key_index(std::uint64_t newest, std::size_t stride);
  Status key_candidates(std::uint64_t block, std::span<const std::uint64_t> wanted,
                        const std::function<void(std::uint64_t)>& visitor);

  // store_rollback.cc
  std::string encode_ledgers() const;
  void put_ledgers(std::span<const PartitionLedger> ledgers);
  void take_ledgers(std::span<const PartitionLedger> ledgers);

  // store_checkpoint.cc
  std::string encode_kept(const std::vector<std::uint64_t>& ids) const;
  Result<Checkpoint> load_checkpoint(const Manifest& manifest, std::string_view only = {}) const;
  Status retire_oldest();

  // store_repair.cc
  Status take_stand_ins();
  Status load_page_versions();
  Result<Checkpoint> load_whole(const Kept& entry) const;
  Status allow_compaction();  // of the checkpoints, which are whole
  Result<bool> damaged_before(std::size_t good) const;
  Status discard_after(std::size_t good);
  Result<rocksdb::ColumnFamilyHandle*> create_stand_in(Family family);
  Status put_in_place(Family family, rocksdb::ColumnFamilyHandle* fresh);
  Status copy_pages(rocksdb::ColumnFamilyHandle* to, std::span<const std::uint64_t> ids);
};

rocksdb::ColumnFamilyOptions family_options(const StoreOptions& options, std::string_view name);

}  // namespace freshet
