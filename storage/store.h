// Store: the one place where Freshet's state rests. Events, order, positions, ledger, replay slots and checkpoints live
// in one RocksDB and move in atomic write batches; docs/formats.md gives every key and value.
//
// What is promised. After a kill, the store is as it was after some append() or checkpoint() that returned, or one that
// was under way: each is there wholly or not at all. After a power cut it is at such a point too, at or after the last
// sync. A checkpoint stays whole, with the log, the slots and the payloads that it needs, until newer ones are durable:
// garbage and superseded pages handed to checkpoint() go only when that checkpoint has become the oldest one kept.
//
// Sequence numbers begin at 1 and have no holes; 0 means "none".
//
// Threads: one writer (append, checkpoint, sync, latest_checkpoint, request_erasures,
// rollback, adopt_ledger); everything else from any thread beside it.
// Owns: the database and its background threads.
// Failure: kResourceExhausted when the disk is full, kUnavailable on I/O errors (both leave the store as it was; call
// again with the same arguments, it resumes by itself), kDataLoss on damage, kInvalidArgument on a caller's slip.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/log.h"
#include "core/metrics.h"
#include "core/status.h"
#include "storage/erasure.h"
#include "storage/ledger.h"

namespace rocksdb {
class Env;
}

namespace freshet {

inline constexpr std::uint32_t kStoreFormat = 2;

enum class Compression : std::uint8_t { kNone, kLz4, kZstd };
enum class SyncPolicy : std::uint8_t {
  kCheckpoints,  // a power cut may take events back to an older state; Kafka delivers them again
  kEveryAppend,
};

// What the events in a store mean; a store keeps the identity it was created with.
struct StoreIdentity {
  std::uint64_t fingerprint = 0;  // Schema::fingerprint()
  std::string event_spec;         // serialize_event_spec()
  std::string notes;              // free text on the configuration that created it
};

struct StoreOptions {
  std::string path;
  std::uint64_t record_cache_bytes = std::uint64_t{128} << 20;  // event records, as appended or read; 0: none
  std::uint64_t write_buffer_bytes = std::uint64_t{16} << 20;   // up to three of them are in memory
  int file_opening_threads = 2;  // all but one are started anew, and ended, for each family that is opened
  Compression compression = Compression::kNone;  // of event records: kLz4 costs a tenth of the append rate
  SyncPolicy sync = SyncPolicy::kCheckpoints;
  std::uint32_t checkpoints_kept = 2;  // at least 1
  bool keep_all_events = false;        // deletes neither events nor order entries: the log can be redone from event 1
  bool read_only = false;              // beside a running daemon: shows the state at the time of opening, takes no lock
  bool create_if_missing = true;
  bool migrate = true;          // an older format becomes this build's; false: it stays, for a backup of it
  rocksdb::Env* env = nullptr;  // not owned; tests inject faults through it
};

// kErase: the erasures from number `round` to number `model_version` take effect with the cut that follows.
// kServeAverage: an average of `round` states is served, if the checkpoint that stands right after this entry has it.
// kRejected: round `round` made the version, and the gate turned it away. kRolledBack: the version is served again.
// kStudyBegins: study `round` begins; kStudyEnds: it is over, and what it found (trial `model_version` - 1; 0: nothing
// better) learns beside the model from here on; kChallengerEnds: that of study `round` takes over (`model_version` 1)
// with the next round's model, or is dropped (0).
enum class OrderKind : std::uint8_t {
  kRoundCut = 1,
  kGoLive = 2,
  kErase = 3,
  kServeAverage = 4,
  kRejected = 5,
  kRolledBack = 6,
  kPublishing = 7,  // an operator's request: action `round` with the version
  kStudyBegins = 16,
  kStudyEnds = 17,
  kChallengerEnds = 18,
};

// The ledger as of a checkpoint, for rollback(). Written by checkpoint() itself, where the state has seen the whole
// log.
inline constexpr std::string_view kLedgerBlob = "ledger";

// What happened right after event `seq` and before event `seq` + 1.
struct OrderEntry {
  OrderKind kind = OrderKind::kRoundCut;
  std::uint64_t seq = 0;
  std::uint64_t round = 0;
  std::uint64_t model_version = 0;
  friend bool operator==(const OrderEntry&, const OrderEntry&) = default;
};

struct IndexedOrderEntry {
  std::uint64_t index = 0;
  OrderEntry entry;
};

// Spans are read during the call only. `records` holds positions.size() records of `stride` bytes; all may be empty
// (an append of order entries alone).
struct AppendBatch {
  std::uint64_t first_seq = 0;  // last_seq() + 1
  std::string_view records;
  std::size_t stride = 0;
  std::span<const Position> positions;
  std::span<const std::uint64_t> value_hashes;
  std::span<const SkippedRecord> skipped;
  std::span<const OffsetReset> resets;  // take effect before the records
  std::span<const OrderEntry> order;
};

struct SeqRange {  // both ends belong to it
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  friend bool operator==(const SeqRange&, const SeqRange&) = default;
};

// What a study of hyperparameters keeps beside the checkpoints, under the study's number.
struct StudyPart {
  std::string_view name;
  std::string_view bytes;
};

struct CheckpointBlob {
  std::string_view name;
  std::string_view bytes;
};

// A page of a table too large to be written whole each time. `space` names the table.
struct CheckpointPage {
  std::uint32_t space = 0;
  std::uint64_t index = 0;
  std::string_view bytes;
};

struct CheckpointWrite {
  std::uint64_t seq = 0;          // the last event that the state has seen
  std::uint64_t order_index = 0;  // the first order entry that the state has not seen
  std::uint64_t round = 0;
  std::uint64_t model_version = 0;
  std::int64_t wall_ms = 0;
  std::span<const CheckpointBlob> blobs;
  std::span<const CheckpointPage> pages;  // changed since the checkpoint before
  // Calls its argument for further pages, one after the other, so that they need not all be copied at once.
  std::function<void(const std::function<void(const CheckpointPage&)>&)> visit_pages = {};
  std::span<const SeqRange> garbage;  // events that this state and the log after it do not need
  std::uint64_t order_keep_from = 0;  // order entries below it are not needed
  // Above 0: the state has done the erasures up to this one. `erased` (ascending) goes with the checkpoint's own write,
  // and so do all older checkpoints.
  std::uint64_t erasures_through = 0;
  std::span<const std::uint64_t> erased;
};

struct CheckpointInfo {
  std::uint64_t id = 0;
  std::uint64_t seq = 0;
  std::uint64_t order_index = 0;
  std::uint64_t round = 0;
  std::uint64_t model_version = 0;
  std::int64_t wall_ms = 0;
  std::uint64_t bytes = 0;
};

// How far long work has come, `total` 0 when it is not known; false asks it to end, with kCancelled.
using WorkStep = std::function<bool(std::uint64_t done, std::uint64_t total)>;

struct BackupInfo {
  std::uint64_t id = 0;
  std::int64_t wall_ms = 0;
  std::uint64_t bytes = 0;  // of all its files, also those that it shares with other backups
  std::uint64_t files = 0;
  std::uint64_t last_seq = 0;
  std::uint64_t checkpoint = 0;  // the newest one in it; 0: none
};

struct Compaction {
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes_after = 0;
};

// A table file of the database.
struct TableFile {
  std::string name;
  std::string family;
  std::uint64_t bytes = 0;
};

struct Checkpoint {
  CheckpointInfo info;
  std::map<std::string, std::string, std::less<>> blobs;
};

class Store {
 public:
  // Creates the store where there is none. Refuses a folder that another process has open, one of a newer format, one
  // that is not Freshet's, and, when `identity` is given, one whose event spec differs.
  static Result<std::unique_ptr<Store>> open(StoreOptions options, const std::optional<StoreIdentity>& identity,
                                             Log& log, MetricsRegistry& metrics);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Gives a store without one its identity, durably; compares otherwise. For specs inferred from the first events.
  Status bind(const StoreIdentity& identity);
  std::optional<StoreIdentity> identity() const;

  // One atomic write, logged but synced only with SyncPolicy::kEveryAppend. A skipped tombstone with a key hash becomes
  // an erasure.
  Status append(const AppendBatch& batch);

  // Calls visitor(index into seqs, record) once for each of `seqs`, in an order of its own choosing; `seqs` come in any
  // order and may repeat. The record lives until the visitor returns; the visitor must not use the store.
  // kDataLoss names a seq that is not there.
  Status read(std::span<const std::uint64_t> seqs,
              const std::function<void(std::size_t, std::string_view)>& visitor) const;

  // Calls visitor(seq, record) for every stored event with first <= seq <= last; stops at a failed Status and returns
  // it.
  Status scan(std::uint64_t first, std::uint64_t last,
              const std::function<Status(std::uint64_t, std::string_view)>& visitor) const;

  Result<std::vector<IndexedOrderEntry>> order_since(std::uint64_t index) const;

  // Durable when it returns ok; the value is the checkpoint's id.
  Result<std::uint64_t> checkpoint(const CheckpointWrite& write);

  // The newest checkpoint that is whole, nothing when there never was one. A damaged one is dropped for the one before
  // it (said in the log, counted in freshet_checkpoint_fallbacks_total). kDataLoss when none of them is whole.
  Result<std::optional<Checkpoint>> latest_checkpoint();
  std::vector<CheckpointInfo> checkpoints() const;  // oldest first

  // A kept checkpoint, or of its blobs the one named `only`. kNotFound when it is not kept (any more), kDataLoss when
  // it is damaged. From the writer's thread, or on a store that is open for reading.
  Result<Checkpoint> read_checkpoint(std::uint64_t id, std::string_view only = {}) const;

  // Calls visitor(index, bytes) for each page of `space` as of checkpoint `id`, by ascending index.
  Status read_pages(std::uint64_t id, std::uint32_t space,
                    const std::function<Status(std::uint64_t, std::string_view)>& visitor) const;

  // Puts these parts of a study in the place of those of the same names and deletes `gone`, in one write; a single part
  // may be of any size. From the writer's thread.
  Status put_study(std::uint64_t study, std::span<const StudyPart> parts, std::span<const std::string> gone, bool sync);
  // Nothing where it was never put whole; kDataLoss where it is damaged.
  Result<std::optional<std::string>> read_study(std::uint64_t study, std::string_view name) const;
  Result<std::vector<std::string>> study_parts(std::uint64_t study) const;
  Result<std::vector<std::uint64_t>> studies() const;  // those with any part, ascending
  Status drop_studies(std::uint64_t first, std::uint64_t last,
                      bool sync);  // all parts of them; from the writer's thread

  // Asks for the events of these keys that are stored by now to be erased; durable when it returns ok.
  Status request_erasures(std::span<const std::uint64_t> key_hashes);
  std::vector<Erasure> erasures() const;  // those that wait, by id
  // The events that fall under `erasures`, ascending, by the index of keys. From the writer's thread.
  Result<std::vector<std::uint64_t>> find(std::span<const Erasure> erasures) const;
  // Rewrites the files that erased events and dropped checkpoints stood in, so that their bytes leave the disk. Takes
  // as long as reading and writing those files; from any thread.
  Status purge(std::span<const std::uint64_t> seqs);

  // Makes the store what it was when checkpoint `id` was written, positions included, in one write; newer events, order
  // and checkpoints are gone. kNotFound when it is not kept, kFailedPrecondition when it has no ledger.
  Status rollback(std::uint64_t id);
  // Puts these in the place of the positions and counts of all partitions; durable.
  Status adopt_ledger(std::span<const PartitionLedger> ledgers);

  Status sync();   // everything appended so far survives a power cut
  Status flush();  // memory to table files, so that the next open has no log to replay

  // A backup in `folder` beside the ones already there, as of now; files that those have already are not copied again.
  // Then all but the newest `keep` go (0: none does). Beside the writer; one at a time.
  Result<BackupInfo> backup(const std::string& folder, std::uint32_t keep, const WorkStep& step) const;

  // Rewrites the tables so that what was deleted no longer takes room. Beside the writer.
  Result<Compaction> compact(const WorkStep& step) const;

  std::vector<TableFile> table_files() const;
  // Reads every block of a table file and compares checksums; kNotFound when a compaction has replaced it meanwhile.
  Status verify_table(const TableFile& file) const;
  std::vector<std::uint32_t> page_spaces() const;  // the tables that have pages, ascending

  std::vector<PartitionLedger> ledger() const;                    // by partition
  std::map<std::int32_t, std::int64_t> synced_positions() const;  // partition -> next offset, as of the last sync
  std::uint64_t last_seq() const;
  std::uint64_t next_order_index() const;
  std::uint64_t stored_events_estimate() const;
  std::uint64_t bytes_on_disk() const;
  std::uint32_t format() const;  // as stored: an older one only while open for reading
  const std::string& path() const;

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace freshet
