// Damage on the disk, and disks that take nothing: what the store still has, and what it says.
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <random>

#include "core/rng.h"
#include "tests/storage/store_fixture.h"

namespace freshet {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)
namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

fs::path newest_log(const std::string& folder) {
  fs::path log;
  for (const auto& file : fs::directory_iterator(folder)) {
    if (file.path().extension() == ".log" && file.path() > log) log = file.path();
  }
  return log;
}

// Flips a bit in every table file where `text` stands; the number of places.
int damage(const std::string& folder, const std::string& text) {
  int places = 0;
  for (const auto& file : fs::directory_iterator(folder)) {
    if (file.path().extension() != ".sst") continue;
    std::string bytes = read_file(file.path());
    const int before = places;
    for (auto at = bytes.find(text); at != std::string::npos; at = bytes.find(text, at + 1)) {
      bytes[at] = static_cast<char>(bytes[at] ^ 1);
      ++places;
    }
    if (places != before) write_file(file.path(), bytes);
  }
  return places;
}

// Appends ten events and a cut, `times` over.
void append_tens(Store& store, int times) {
  for (int i = 0; i < times; ++i) {
    const std::uint64_t seq = store.last_seq() + 1;
    ASSERT_OK(store.append(Batch(seq).events(0, static_cast<std::int64_t>(seq) - 1, 10).cut(seq / 10 + 1).view()));
  }
}

// Events, ledger and order end at the same append.
void expect_whole(const Store& store) {
  const std::uint64_t last = store.last_seq();
  EXPECT_EQ(last % 10, 0U);
  EXPECT_EQ(stored_seqs(store).size(), last);
  EXPECT_EQ(store.order_since(0)->size(), last / 10);
  if (last == 0) return;
  EXPECT_EQ(store.ledger().at(0).learnt, last);
  EXPECT_EQ(store.ledger().at(0).next_offset, static_cast<std::int64_t>(last));
}

enum class Tail { kCut, kFlipped, kZeroed, kGarbage };

std::string damaged_tail(std::string bytes, Tail how, Rng& rng) {
  const std::size_t at = rng.below(bytes.size());
  switch (how) {
    case Tail::kCut:
      bytes.resize(at);
      break;
    case Tail::kFlipped:  // a sector that was written wrong
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng.below(8)));
      break;
    case Tail::kZeroed:  // a length that reached the disk before the bytes did
      std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.end(), '\0');
      break;
    case Tail::kGarbage:
      for (std::size_t i = at; i < bytes.size(); ++i) bytes[i] = static_cast<char>(rng.below(256));
      break;
  }
  return bytes;
}

TEST(StoreDamage, LogTailTornAnywhereCostsOnlyWhatFollows) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Rng rng(seed);
  for (int trial = 0; trial < 16; ++trial) {
    const auto how = static_cast<Tail>(trial % 4);
    SCOPED_TRACE("trial " + std::to_string(trial));
    const Folder folder;
    std::uint64_t flushed = 0;
    {
      Opened opened;
      ASSERT_OK(open_into(opened, options_for(folder.store())));
      ASSERT_NO_FATAL_FAILURE(append_tens(*opened.store, 1 + static_cast<int>(rng.below(10))));
      if (rng.below(2) == 0) {
        ASSERT_OK(opened.store->flush());
        flushed = opened.store->last_seq();
      }
      ASSERT_NO_FATAL_FAILURE(append_tens(*opened.store, 1 + static_cast<int>(rng.below(10))));
    }
    const fs::path log = newest_log(folder.store());
    ASSERT_FALSE(log.empty());
    const std::string bytes = read_file(log);
    ASSERT_FALSE(bytes.empty());
    write_file(log, damaged_tail(bytes, how, rng));
    for (int life = 0; life < 2; ++life) {  // and it goes on from there, for good
      Opened opened;
      ASSERT_OK(open_into(opened, options_for(folder.store())));
      EXPECT_GE(opened.store->last_seq(), flushed);
      expect_whole(*opened.store);
      ASSERT_NO_FATAL_FAILURE(append_tens(*opened.store, 3));
      expect_whole(*opened.store);
    }
  }
}

// Record 7 of the test's events holds this many of its own letter, and no other table has it.
std::string letters_of(std::uint64_t seq) { return std::string(32, static_cast<char>('a' + seq % 26)); }

TEST(StoreDamage, FlippedByteInAnEventIsNamedWithItsFileAndTheWayOut) {
  const Folder folder;
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    ASSERT_NO_FATAL_FAILURE(append_tens(*opened.store, 1));
    ASSERT_OK(opened.store->flush());
  }
  ASSERT_EQ(damage(folder.store(), letters_of(7)), 1);
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  const std::vector<std::uint64_t> seqs = {7};
  const Status read = opened.store->read(seqs, [](std::size_t, std::string_view) {});
  const Status scanned =
      opened.store->scan(0, UINT64_MAX, [](std::uint64_t, std::string_view) { return Status::ok(); });
  for (const Status& status : {read, scanned}) {
    EXPECT_EQ(status.code(), Code::kDataLoss) << status.to_string();
    for (const char* words : {"family events", ".sst", "backup", "move it away"}) {
      EXPECT_NE(status.message().find(words), std::string::npos) << words << ": " << status.message();
    }
  }
}

TEST(StoreDamage, OlderCheckpointThatIsDamagedIsDroppedBeforeACompactionMeetsIt) {
  const Folder folder;
  const auto save = [](Store& store, const std::string& weights) {
    const CheckpointBlob blob{"weights", weights};
    CheckpointWrite write;
    write.seq = store.last_seq();
    write.order_index = store.next_order_index();
    write.blobs = {&blob, 1};
    return store.checkpoint(write).status();
  };
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    ASSERT_NO_FATAL_FAILURE(append_tens(*opened.store, 1));
    ASSERT_OK(save(*opened.store, std::string(100'000, 'o') + "the-older-one"));
    ASSERT_OK(save(*opened.store, std::string(100'000, 'n') + "the-newer-one"));
    ASSERT_OK(opened.store->flush());
  }
  ASSERT_EQ(damage(folder.store(), "the-older-one"), 1);
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    const auto latest = opened.store->latest_checkpoint();
    ASSERT_OK(latest.status());
    ASSERT_TRUE(latest->has_value());
    EXPECT_EQ((*latest)->info.id, 2U);
    EXPECT_EQ(counter(opened, "freshet_checkpoint_fallbacks_total"), 0);
    EXPECT_TRUE(opened.log.contains("checkpoint_damaged"));
    ASSERT_EQ(opened.store->checkpoints().size(), 1U);
    ASSERT_OK(save(*opened.store, "next"));
    ASSERT_OK(opened.store->flush());
  }
  std::string flipped = "the-older-one";
  flipped[0] = static_cast<char>(flipped[0] ^ 1);
  EXPECT_EQ(damage(folder.store(), flipped), 0) << "the damaged block is still in a table";
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  EXPECT_EQ((*opened.store->latest_checkpoint())->info.id, 3U);
}

// A page of table 5 is named by its letter and the checkpoint that writes it.
std::string page_text(char letter, int checkpoint) {
  return std::string(9'000, letter) + "-page-" + letter + std::to_string(checkpoint);
}

Status save_pages(Store& store, const std::string& weights, const std::string& letters, int checkpoint) {
  std::vector<std::string> texts;
  for (const char letter : letters) texts.push_back(page_text(letter, checkpoint));
  std::vector<CheckpointPage> pages;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    pages.push_back({5, static_cast<std::uint64_t>(letters[i] - 'a'), texts[i]});
  }
  const CheckpointBlob blob{"weights", weights};
  CheckpointWrite write;
  write.seq = store.last_seq();
  write.order_index = store.next_order_index();
  write.blobs = {&blob, 1};
  write.pages = pages;
  return store.checkpoint(write).status();
}

std::string pages_seen(const Store& store, std::uint64_t id) {
  std::string names;
  const Status status = store.read_pages(id, 5, [&](std::uint64_t, std::string_view bytes) {
    names += bytes.substr(bytes.size() - 2);
    names += ' ';
    return Status::ok();
  });
  return status.is_ok() ? names : status.to_string();
}

class DamagedPages : public ::testing::Test {
 protected:
  // Three checkpoints, of which two stay: the first writes pages a to d, the second b and c, the third c and d.
  void SetUp() override {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    int checkpoint = 0;
    for (const char* letters : {"abcd", "bc", "cd"}) {
      ASSERT_NO_FATAL_FAILURE(append_tens(*opened.store, 1));
      ASSERT_OK(save_pages(*opened.store, "weights", letters, ++checkpoint));
    }
    ASSERT_OK(opened.store->flush());
  }
  void expect_no_damaged_block(const std::string& text) {
    std::string flipped = text;
    flipped[0] = static_cast<char>(flipped[0] ^ 1);
    EXPECT_EQ(damage(folder.store(), flipped), 0) << "the damaged block is still in a table";
  }
  Folder folder;
};

TEST_F(DamagedPages, OfTheNewestCheckpointCostItAlone) {
  ASSERT_EQ(damage(folder.store(), "-page-d3"), 1);
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    const auto latest = opened.store->latest_checkpoint();
    ASSERT_OK(latest.status());
    ASSERT_TRUE(latest->has_value());
    EXPECT_EQ((*latest)->info.id, 2U);
    EXPECT_EQ(counter(opened, "freshet_checkpoint_fallbacks_total"), 1);
    EXPECT_TRUE(opened.log.contains("checkpoint_damaged"));
    EXPECT_TRUE(opened.log.contains("checkpoint_fallback"));
    EXPECT_EQ(pages_seen(*opened.store, 2), "a1 b2 c2 d1 ");
    ASSERT_OK(save_pages(*opened.store, "weights", "a", 4));
    ASSERT_OK(opened.store->compact(nullptr).status());
    EXPECT_EQ(pages_seen(*opened.store, 4), "a4 b2 c2 d1 ");
  }
  expect_no_damaged_block("-page-d3");
  // And again: what stands in is damaged in its turn.
  ASSERT_EQ(damage(folder.store(), "-page-a4"), 1);
  for (int life = 0; life < 2; ++life) {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    const auto latest = opened.store->latest_checkpoint();
    ASSERT_OK(latest.status());
    EXPECT_EQ((*latest)->info.id, 2U);
    EXPECT_EQ(counter(opened, "freshet_checkpoint_fallbacks_total"), life == 0 ? 1 : 0);
    EXPECT_EQ(pages_seen(*opened.store, 2), "a1 b2 c2 d1 ");
    Opened reading;
    StoreOptions read_only = options_for(folder.store());
    read_only.read_only = true;
    ASSERT_OK(open_into(reading, read_only));
    EXPECT_EQ(pages_seen(*reading.store, 2), "a1 b2 c2 d1 ");
  }
}

TEST_F(DamagedPages, OfAnOlderCheckpointAreDroppedWithItWhileTheNewestIsWhole) {
  ASSERT_EQ(damage(folder.store(), "-page-c2"), 1);
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    const auto latest = opened.store->latest_checkpoint();
    ASSERT_OK(latest.status());
    EXPECT_EQ((*latest)->info.id, 3U);
    EXPECT_EQ(counter(opened, "freshet_checkpoint_fallbacks_total"), 0);
    ASSERT_EQ(opened.store->checkpoints().size(), 1U);
    EXPECT_EQ(pages_seen(*opened.store, 3), "a1 b2 c3 d3 ");
    ASSERT_OK(opened.store->compact(nullptr).status());
  }
  expect_no_damaged_block("-page-c2");
}

TEST_F(DamagedPages, ThatAllCheckpointsShareAreSaidWithTheWayOut) {
  ASSERT_EQ(damage(folder.store(), "-page-a1"), 1);
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  const auto latest = opened.store->latest_checkpoint();
  EXPECT_EQ(latest.code(), Code::kDataLoss);
  for (const char* words : {"no checkpoint", "checkpoint 3: page 0 of table 5", "checkpoint 2: page 0", "backup"}) {
    EXPECT_NE(latest.status().message().find(words), std::string::npos) << latest.status().message();
  }
  EXPECT_EQ(opened.store->checkpoints().size(), 2U) << "nothing is thrown away";
}

// A disk that the kernel has made read-only after an error: what is open stays open, and takes nothing.
class ReadOnlyFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  ReadOnlyFile(std::unique_ptr<rocksdb::FSWritableFile>&& file, const std::atomic<bool>& read_only)
      : FSWritableFileOwnerWrapper(std::move(file)), read_only_(read_only) {}
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    if (read_only_) return rocksdb::IOStatus::IOError("Read-only file system");
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo& info, rocksdb::IODebugContext* debug) override {
    if (read_only_) return rocksdb::IOStatus::IOError("Read-only file system");
    return FSWritableFileOwnerWrapper::Append(data, options, info, debug);
  }

 private:
  const std::atomic<bool>& read_only_;
};

class ReadOnlyFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  ReadOnlyFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "ReadOnlyFileSystem"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    if (read_only) return rocksdb::IOStatus::IOError(name, "Read-only file system");
    auto status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (status.ok()) *file = std::make_unique<ReadOnlyFile>(std::move(*file), read_only);
    return status;
  }
  rocksdb::IOStatus LockFile(const std::string& name, const rocksdb::IOOptions& options, rocksdb::FileLock** lock,
                             rocksdb::IODebugContext* debug) override {
    // What the real one says when open(2) fails with EROFS.
    if (read_only) return rocksdb::IOStatus::IOError("While open a file for lock: " + name, "Read-only file system");
    return FileSystemWrapper::LockFile(name, options, lock, debug);
  }

  std::atomic<bool> read_only{false};
};

TEST(StoreDamage, VolumeThatBecameReadOnlyIsWaitedOutAndNothingIsHalfWritten) {
  const Folder folder;
  const auto disk = std::make_shared<ReadOnlyFileSystem>();
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(disk);
  Opened opened;
  StoreOptions options = options_for(folder.store());
  options.env = env.get();
  ASSERT_OK(open_into(opened, options));
  ASSERT_NO_FATAL_FAILURE(append_tens(*opened.store, 10));
  disk->read_only = true;
  const Batch next = Batch(101).events(0, 100, 10).cut(11);
  for (int attempt = 0; attempt < 3; ++attempt) {
    const Status status = opened.store->append(next.view());
    EXPECT_EQ(status.code(), Code::kUnavailable) << status.to_string();
    EXPECT_NE(status.message().find("writable"), std::string::npos) << status.message();
  }
  CheckpointWrite write;
  write.seq = 100;
  EXPECT_EQ(opened.store->checkpoint(write).code(), Code::kUnavailable);
  EXPECT_EQ(opened.store->last_seq(), 100U);
  disk->read_only = false;
  ASSERT_OK(opened.store->append(next.view()));
  expect_whole(*opened.store);
  opened.store.reset();
  options.env = nullptr;
  ASSERT_OK(open_into(opened, options));
  EXPECT_EQ(opened.store->last_seq(), 110U);
  expect_whole(*opened.store);
}

TEST(StoreDamage, CreationThatWasCutShortIsFinishedByTheNextStart) {
  for (const std::vector<std::string>& made : {std::vector<std::string>{}, {"meta"}, {"meta", "events", "order"}}) {
    const Folder folder;
    fs::create_directories(folder.store());
    rocksdb::Options create;
    create.create_if_missing = true;
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(create, folder.store(), &db).ok());
    for (const std::string& name : made) {
      rocksdb::ColumnFamilyHandle* family = nullptr;
      ASSERT_TRUE(db->CreateColumnFamily({}, name, &family).ok());
      ASSERT_TRUE(db->DestroyColumnFamilyHandle(family).ok());
    }
    delete db;
    Opened opened;
    StoreOptions reading = options_for(folder.store());
    reading.read_only = true;
    EXPECT_EQ(open_into(opened, reading).code(), Code::kNotFound);
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    ASSERT_NO_FATAL_FAILURE(append_tens(*opened.store, 2));
    expect_whole(*opened.store);
  }
}

TEST(StoreDamage, ReadOnlyVolumeIsNotMistakenForASecondDaemon) {
  const Folder folder;
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
  }
  const auto disk = std::make_shared<ReadOnlyFileSystem>();
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(disk);
  disk->read_only = true;
  Opened opened;
  StoreOptions options = options_for(folder.store());
  options.env = env.get();
  const Status status = open_into(opened, options);
  EXPECT_EQ(status.code(), Code::kUnavailable) << status.to_string();
  EXPECT_EQ(status.message().find("another process"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("writable"), std::string::npos) << status.message();
}

TEST(StoreDamage, ResetsOfPositionsAreStoredWithWhatFollowsThem) {
  const Folder folder;
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    ASSERT_OK(opened.store->append(Batch(1).events(0, 0, 10).view()));
    Batch further = Batch(11).events(0, 15, 5);
    further.resets = {{0, 15}, {1, 40}};
    ASSERT_OK(opened.store->append(further.view()));
    Batch anew = Batch(16);
    anew.resets = {{0, 3}};
    ASSERT_OK(opened.store->append(anew.view()));
    ASSERT_OK(opened.store->append(Batch(16).events(0, 3, 4).view()));
  }
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  const PartitionLedger first = opened.store->ledger().at(0);
  EXPECT_EQ(first.learnt, 19U);
  EXPECT_EQ(first.gaps, 1U);
  EXPECT_EQ(first.missing, 5U);
  EXPECT_EQ(first.restarts, 1U);
  EXPECT_EQ(first.next_offset, 7);
  const PartitionLedger second = opened.store->ledger().at(1);
  EXPECT_EQ(second.next_offset, 40) << "where `start: latest` begins is kept before any event comes";
  EXPECT_EQ(second.learnt, 0U);
  EXPECT_EQ(second.missing, 0U);
}

}  // namespace
}  // namespace freshet
