// Kill, full disk, second process, foreign and newer folders.
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <random>

#include "core/bytes.h"
#include "core/rng.h"
#include "tests/storage/crash_child.h"
#include "tests/storage/store_fixture.h"

namespace freshet {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

class CrashChild {
 public:
  CrashChild(const std::string& path, std::uint64_t seed) {
    int ends[2];
    if (pipe(ends) != 0) return;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    std::string program = "/proc/self/exe";
    std::string flag = kCrashChildFlag;
    std::string folder = path;
    std::string number = std::to_string(seed);
    char* const arguments[] = {program.data(), flag.data(), folder.data(), number.data(), nullptr};
    if (posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    read_end_ = ends[0];
  }
  ~CrashChild() {
    if (pid_ > 0) finish();
    if (read_end_ >= 0) close(read_end_);
  }
  CrashChild(const CrashChild&) = delete;
  CrashChild& operator=(const CrashChild&) = delete;

  // Waits for `count` appends that returned; false when the child ended before.
  bool await(std::uint64_t count) {
    char byte = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (::read(read_end_, &byte, 1) != 1) return false;
    }
    return true;
  }

  // SIGKILL; the appends that returned beyond those awaited.
  std::uint64_t finish() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
    std::uint64_t more = 0;
    char byte = 0;
    while (::read(read_end_, &byte, 1) == 1) ++more;
    return more;
  }

 private:
  pid_t pid_ = -1;
  int read_end_ = -1;
};

TEST(StoreFault, KilledAtAnyMomentEventsPositionsAndOrderAgree) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Rng rng(seed);
  const Folder folder;
  std::uint64_t appends = 0;
  for (int kill_number = 0; kill_number < 8; ++kill_number) {
    const std::uint64_t before = appends;
    {
      CrashChild child(folder.store(), seed + static_cast<std::uint64_t>(kill_number));
      const std::uint64_t wait_for = 1 + rng.below(60);
      ASSERT_TRUE(child.await(wait_for)) << "the child stopped by itself";
      appends += wait_for + child.finish();
    }
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    const Store& store = *opened.store;
    // Nothing that returned is lost; at most the append under way is there beyond.
    auto order = store.order_since(0);
    ASSERT_OK(order.status());
    ASSERT_GE(order->size(), appends);
    ASSERT_LE(order->size(), appends + 1);
    // The child writes a checkpoint at every third entry: once a later append returned, the checkpoint had returned
    // too.
    const std::uint64_t checkpointed = appends == 0 ? 0 : (appends - 1) / 3 * 3;
    appends = order->size();
    EXPECT_EQ(order->back().entry.seq, store.last_seq());
    // The ledger is that of the stored events.
    std::map<std::int32_t, std::pair<std::uint64_t, std::uint64_t>> learnt;  // partition -> count, hash
    std::uint64_t expected = 0;
    ASSERT_OK(store.scan(0, UINT64_MAX, [&](std::uint64_t seq, std::string_view bytes) {
      const TestRecord record = parse(bytes);
      EXPECT_EQ(seq, ++expected);
      EXPECT_EQ(bytes, record_of(seq, {record.partition, record.offset}));
      auto& [count, hash] = learnt[record.partition];
      ++count;
      hash += ledger_mix(record.offset, record.value_hash);
      return Status::ok();
    }));
    EXPECT_EQ(expected, store.last_seq());
    for (const PartitionLedger& ledger : store.ledger()) {
      EXPECT_EQ(ledger.learnt, learnt[ledger.partition].first);
      EXPECT_EQ(ledger.hash, learnt[ledger.partition].second);
      EXPECT_EQ(ledger.missing, 0U);
      EXPECT_EQ(ledger.learnt + ledger.skipped_total(), static_cast<std::uint64_t>(ledger.next_offset));
    }
    auto checkpoint = opened.store->latest_checkpoint();
    ASSERT_OK(checkpoint.status());
    if (checkpointed > before) {
      ASSERT_TRUE(checkpoint->has_value());
      EXPECT_GE((*checkpoint)->info.order_index, checkpointed);
    }
    if (checkpoint->has_value()) {
      EXPECT_EQ((*checkpoint)->blobs.at("weights"), crash_blob((*checkpoint)->info.seq));
    }
  }
}

// A disk that can be told to be full.
struct Disk {
  std::atomic<bool> full{false};
  std::atomic<int> failing_syncs{0};       // of write-ahead logs
  std::atomic<int> failing_table_sync{0};  // 1: the next one fails, 2: the one after it; 0: none
};

class FillingFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FillingFile(std::unique_ptr<rocksdb::FSWritableFile>&& file, Disk& disk, const std::string& name)
      : FSWritableFileOwnerWrapper(std::move(file)),
        disk_(disk),
        is_log_(name.ends_with(".log")),
        is_table_(name.ends_with(".sst")) {}
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    const bool log_fails = is_log_ && disk_.failing_syncs > 0 && disk_.failing_syncs-- > 0;
    const bool table_fails = is_table_ && disk_.failing_table_sync > 0 && --disk_.failing_table_sync == 0;
    if (log_fails || table_fails) return rocksdb::IOStatus::IOError("the test's disk does not sync");
    return FSWritableFileOwnerWrapper::Sync(options, debug);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    if (disk_.full) return rocksdb::IOStatus::NoSpace("no room in the test");
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo& info, rocksdb::IODebugContext* debug) override {
    if (disk_.full) return rocksdb::IOStatus::NoSpace("no room in the test");
    return FSWritableFileOwnerWrapper::Append(data, options, info, debug);
  }

 private:
  Disk& disk_;
  bool is_log_;
  bool is_table_;
};

class FillingFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit FillingFileSystem(Disk& disk) : FileSystemWrapper(rocksdb::FileSystem::Default()), disk_(disk) {}
  const char* Name() const override { return "FillingFileSystem"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    if (disk_.full) return rocksdb::IOStatus::NoSpace("no room in the test");
    auto status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (status.ok()) *file = std::make_unique<FillingFile>(std::move(*file), disk_, name);
    return status;
  }
  rocksdb::IOStatus GetFreeSpace(const std::string& path, const rocksdb::IOOptions& options, std::uint64_t* bytes,
                                 rocksdb::IODebugContext* debug) override {
    if (!disk_.full) return FileSystemWrapper::GetFreeSpace(path, options, bytes, debug);
    *bytes = 0;
    return rocksdb::IOStatus::OK();
  }

 private:
  Disk& disk_;
};

TEST(StoreFault, FullDiskRefusesWholeAppendsAndResumesWhenThereIsRoom) {
  const Folder folder;
  Disk disk;
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(std::make_shared<FillingFileSystem>(disk));
  Opened opened;
  StoreOptions options = options_for(folder.store());
  options.env = env.get();
  ASSERT_OK(open_into(opened, options));
  ASSERT_OK(opened.store->append(Batch(1).events(0, 0, 1000).cut(1).view()));
  disk.full = true;
  const Batch next = Batch(1001).events(0, 1000, 1000).cut(2);
  for (int attempt = 0; attempt < 3; ++attempt) {
    const Status status = opened.store->append(next.view());
    EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.to_string();
    EXPECT_NE(status.message().find(folder.store()), std::string::npos) << status.message();
    EXPECT_EQ(opened.store->last_seq(), 1000U);
  }
  CheckpointWrite write;
  write.seq = 1000;
  EXPECT_EQ(opened.store->checkpoint(write).code(), Code::kResourceExhausted);
  EXPECT_EQ(counter(opened, "freshet_store_write_failures_total"), 4);
  EXPECT_TRUE(opened.log.contains("store_stalled"));
  // Reading goes on.
  const std::vector<std::uint64_t> seqs = {1, 1000};
  EXPECT_OK(opened.store->read(seqs, [](std::size_t, std::string_view) {}));

  disk.full = false;
  ASSERT_OK(opened.store->append(next.view()));
  EXPECT_TRUE(opened.log.contains("store_resumed"));
  write.seq = 2000;
  ASSERT_OK(opened.store->checkpoint(write).status());
  ASSERT_OK(opened.store->append(Batch(2001).events(0, 2000, 1).view()));
  opened.store.reset();
  options.env = nullptr;
  ASSERT_OK(open_into(opened, options));
  EXPECT_EQ(opened.store->last_seq(), 2001U);
  EXPECT_EQ(stored_seqs(*opened.store).size(), 2001U);
  EXPECT_EQ(opened.store->ledger().at(0).learnt, 2001U);
  EXPECT_EQ(opened.store->order_since(0)->size(), 2U);
}

// RocksDB makes a store's families one after the other; a crash may come in between.
TEST(StoreFault, StoreWhoseCreationWasCutShortIsFinished) {
  const std::vector<std::vector<std::string>> made = {{}, {"meta"}, {"meta", "events", "order"}};
  for (const auto& names : made) {
    const Folder folder;
    {
      rocksdb::Options options;
      options.create_if_missing = true;
      rocksdb::DB* opened = nullptr;
      ASSERT_TRUE(rocksdb::DB::Open(options, folder.store(), &opened).ok());
      const std::unique_ptr<rocksdb::DB> database(opened);
      for (const std::string& name : names) {
        rocksdb::ColumnFamilyHandle* handle = nullptr;
        ASSERT_TRUE(database->CreateColumnFamily({}, name, &handle).ok());
        ASSERT_TRUE(database->DestroyColumnFamilyHandle(handle).ok());
      }
    }
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    ASSERT_OK(opened.store->append(Batch(1).events(0, 0, 10).cut(1).view()));
    EXPECT_EQ(stored_seqs(*opened.store).size(), 10U);
  }
}

TEST(StoreFault, FullDiskMetAtTheFirstWriteToANewLogIsSurvived) {
  const Folder folder;
  Disk disk;
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(std::make_shared<FillingFileSystem>(disk));
  Opened opened;
  StoreOptions options = options_for(folder.store());
  options.env = env.get();
  ASSERT_OK(open_into(opened, options));
  ASSERT_OK(opened.store->append(Batch(1).events(0, 0, 1000).view()));
  ASSERT_OK(opened.store->flush());  // the log that follows is empty, and so are the memory tables
  disk.full = true;
  EXPECT_EQ(opened.store->append(Batch(1001).events(0, 1000, 10).view()).code(), Code::kResourceExhausted);
  disk.full = false;
  ASSERT_OK(opened.store->append(Batch(1001).events(0, 1000, 10).view()));
  ASSERT_OK(opened.store->append(Batch(1011).events(0, 1010, 10).view()));
  EXPECT_EQ(stored_seqs(*opened.store).size(), 1020U);
}

TEST(StoreFault, FullDiskWhileTablesAreWrittenIsSurvived) {
  const Folder folder;
  Disk disk;
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(std::make_shared<FillingFileSystem>(disk));
  Opened opened;
  StoreOptions options = options_for(folder.store());
  options.env = env.get();
  ASSERT_OK(open_into(opened, options));
  ASSERT_OK(opened.store->append(Batch(1).events(0, 0, 5000).view()));
  disk.full = true;
  EXPECT_EQ(opened.store->flush().code(), Code::kResourceExhausted);
  EXPECT_FALSE(opened.store->append(Batch(5001).events(0, 5000, 10).view()).is_ok());
  disk.full = false;
  ASSERT_OK(opened.store->append(Batch(5001).events(0, 5000, 10).view()));
  ASSERT_OK(opened.store->flush());
  EXPECT_EQ(stored_seqs(*opened.store).size(), 5010U);
}

TEST(StoreFault, AppendWhoseSyncFailedIsThereOnceAfterItsRepetition) {
  const Folder folder;
  Disk disk;
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(std::make_shared<FillingFileSystem>(disk));
  Opened opened;
  StoreOptions options = options_for(folder.store());
  options.env = env.get();
  options.sync = SyncPolicy::kEveryAppend;
  ASSERT_OK(open_into(opened, options));
  std::uint64_t seq = 1;
  for (int round = 0; round < 5; ++round) {
    const Batch batch = Batch(seq).events(0, static_cast<std::int64_t>(seq), 10).cut(seq);
    disk.failing_syncs = 1 + round % 2;
    EXPECT_EQ(opened.store->append(batch.view()).code(), Code::kUnavailable);
    for (int attempt = 0; attempt < 5; ++attempt) {
      if (opened.store->append(batch.view()).is_ok()) break;
    }
    seq += 10;
    ASSERT_EQ(opened.store->last_seq(), seq - 1);
  }
  EXPECT_EQ(opened.store->ledger().at(0).learnt, 50U);
  EXPECT_EQ(opened.store->order_since(0)->size(), 5U);
  opened.store.reset();
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  EXPECT_EQ(stored_seqs(*opened.store).size(), 50U);
  EXPECT_EQ(opened.store->ledger().at(0).learnt, 50U);
  EXPECT_EQ(opened.store->order_since(0)->size(), 5U);
}

// One that had nothing to flush, in a flush that fails, is what RocksDB asserts never to see.
TEST(StoreFault, AFlushHasSomethingOfEveryFamily) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  ASSERT_OK(opened.store->flush());
  ASSERT_OK(opened.store->append(Batch(1).events(0, 0, 10).view()));
  const auto tables = [&] {
    std::map<std::string, int> by_family;
    for (const TableFile& file : opened.store->table_files()) ++by_family[file.family];
    return by_family;
  };
  const auto before = tables();
  ASSERT_OK(opened.store->flush());
  auto after = tables();
  for (const char* family : {"meta", "events", "order", "positions", "memory", "checkpoints", "keys"}) {
    const auto had = before.find(family);
    EXPECT_EQ(after[family], (had == before.end() ? 0 : had->second) + 1) << family;
  }
  EXPECT_EQ(stored_seqs(*opened.store).size(), 10U);
}

// A table is opened for the tombstones of deleted ranges, and all of them are dropped before it is synced.
TEST(StoreFault, CompactionThatLeavesNothingAndCannotSyncItsTableIsSurvived) {
  const Folder folder;
  Disk disk;
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(std::make_shared<FillingFileSystem>(disk));
  Opened opened;
  StoreOptions options = options_for(folder.store());
  options.env = env.get();
  options.checkpoints_kept = 1;
  ASSERT_OK(open_into(opened, options));
  ASSERT_OK(opened.store->latest_checkpoint().status());
  CheckpointWrite write;
  for (std::uint64_t round = 1; round <= 3; ++round) {
    const std::uint64_t seq = opened.store->last_seq() + 1;
    ASSERT_OK(opened.store->append(Batch(seq).events(0, static_cast<std::int64_t>(seq), 10).cut(round).view()));
    ASSERT_OK(opened.store->flush());
    write.seq = opened.store->last_seq();
    write.order_index = write.order_keep_from = opened.store->next_order_index();
    ASSERT_OK(opened.store->checkpoint(write).status());
  }
  ASSERT_TRUE(opened.store->order_since(0)->empty());
  ASSERT_OK(opened.store->flush());
  for (int table = 1; table <= 5; ++table) {  // one of them is that of the order of rounds
    disk.failing_table_sync = table;
    static_cast<void>(opened.store->compact({}));
    disk.failing_table_sync = 0;
    const std::uint64_t seq = opened.store->last_seq() + 1;
    const Batch batch = Batch(seq).events(0, static_cast<std::int64_t>(seq), 10);
    static_cast<void>(opened.store->append(batch.view()));
    if (opened.store->last_seq() == seq - 1) {
      ASSERT_OK(opened.store->append(batch.view()));
    }
  }
  EXPECT_EQ(stored_seqs(*opened.store).size(), 80U);
  ASSERT_OK(opened.store->compact({}).status());
}

TEST(StoreFault, LogThatAFlushInTheBackgroundCannotSyncIsNotAcknowledgedBefore) {
  const Folder folder;
  Disk disk;
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(std::make_shared<FillingFileSystem>(disk));
  Opened opened;
  StoreOptions options = options_for(folder.store());
  options.env = env.get();
  ASSERT_OK(open_into(opened, options));
  for (int round = 0; round < 3; ++round) {
    const std::uint64_t seq = opened.store->last_seq() + 1;
    const Batch batch = Batch(seq).events(0, static_cast<std::int64_t>(seq), 100);
    const Status appended = opened.store->append(batch.view());  // after a round: into the log that could not begin
    EXPECT_EQ(appended.is_ok(), opened.store->last_seq() == seq + 99) << appended.to_string();
    if (!appended.is_ok()) {
      ASSERT_OK(opened.store->append(batch.view()));
    }
    disk.failing_syncs = 1;
    static_cast<void>(opened.store->purge({}));  // flushes, as tables that are full do beside the writer
    EXPECT_EQ(disk.failing_syncs, 0);
    static_cast<void>(opened.store->sync());
    ASSERT_OK(opened.store->sync());
    EXPECT_EQ(opened.store->synced_positions().at(0), static_cast<std::int64_t>(seq) + 100);
  }
  EXPECT_EQ(stored_seqs(*opened.store).size(), 300U);
}

TEST(StoreFault, SecondProcessIsRefusedInPlainWords) {
  const Folder folder;
  CrashChild child(folder.store(), 1);
  ASSERT_TRUE(child.await(2));
  Opened opened;
  const Status status = open_into(opened, options_for(folder.store()));
  EXPECT_EQ(status.code(), Code::kFailedPrecondition) << status.to_string();
  EXPECT_NE(status.message().find("another process"), std::string::npos) << status.message();
  child.finish();
  ASSERT_OK(open_into(opened, options_for(folder.store())));
}

TEST(StoreFault, NewerFormatIsRefusedAndLeftAlone) {
  const Folder folder;
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
  }
  const auto set_format = [&](std::uint32_t format) {
    std::vector<std::string> names;
    ASSERT_TRUE(rocksdb::DB::ListColumnFamilies({}, folder.store(), &names).ok());
    std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
    for (const auto& name : names) descriptors.emplace_back(name, rocksdb::ColumnFamilyOptions());
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open({}, folder.store(), descriptors, &handles, &db).ok());
    ByteWriter value;
    value.put(format);
    for (auto* handle : handles) {
      if (handle->GetName() == "meta") {
        EXPECT_TRUE(db->Put({}, handle, "format", value.buffer()).ok());
      }
    }
    for (auto* handle : handles) EXPECT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
    delete db;
  };
  set_format(kStoreFormat + 1);
  Opened opened;
  const Status status = open_into(opened, options_for(folder.store()));
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_NE(status.message().find("newer Freshet"), std::string::npos) << status.message();
  set_format(kStoreFormat);
  ASSERT_OK(open_into(opened, options_for(folder.store())));
}

TEST(StoreFault, ForeignDatabaseIsRefused) {
  const Folder folder;
  rocksdb::Options foreign;
  foreign.create_if_missing = true;
  rocksdb::DB* db = nullptr;
  std::filesystem::create_directories(folder.store());
  ASSERT_TRUE(rocksdb::DB::Open(foreign, folder.store(), &db).ok());
  ASSERT_TRUE(db->Put({}, "somebody's", "data").ok());  // an empty one could be ours, cut short when it was made
  delete db;
  Opened opened;
  const Status status = open_into(opened, options_for(folder.store()));
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_NE(status.message().find("not Freshet's"), std::string::npos) << status.message();
}

TEST(StoreFault, MissingStoreIsNotMadeByReading) {
  const Folder folder;
  Opened opened;
  StoreOptions options = options_for(folder.store());
  options.read_only = true;
  EXPECT_EQ(open_into(opened, options).code(), Code::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(folder.store()));
}

TEST(StoreFault, TruncatedLogTailCostsOnlyWhatFollows) {
  const Folder folder;
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    for (std::uint64_t seq = 1; seq <= 100; seq += 10) {
      ASSERT_OK(opened.store->append(Batch(seq).events(0, static_cast<std::int64_t>(seq), 10).cut(seq).view()));
    }
  }
  // The newest write-ahead log loses its last bytes, as after a power cut.
  std::filesystem::path log;
  for (const auto& file : std::filesystem::directory_iterator(folder.store())) {
    if (file.path().extension() == ".log" && file.path() > log) log = file.path();
  }
  ASSERT_FALSE(log.empty());
  const auto size = std::filesystem::file_size(log);
  ASSERT_GT(size, 300U);
  std::filesystem::resize_file(log, size - 300);
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  EXPECT_EQ(opened.store->last_seq(), 90U);
  EXPECT_EQ(stored_seqs(*opened.store).size(), 90U);
  EXPECT_EQ(opened.store->ledger().at(0).next_offset, 91);
  EXPECT_EQ(opened.store->order_since(0)->size(), 9U);
}

}  // namespace
}  // namespace freshet
