#include "storage/backup.h"

#include <fstream>
#include <numeric>

#include "tests/storage/store_fixture.h"

namespace freshet {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

std::uint64_t bytes_in(const std::string& folder) {
  std::uint64_t total = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder)) {
    if (file.is_regular_file()) total += file.file_size();
  }
  return total;
}

Status checkpoint(Store& store, const std::string& weights) {
  const std::vector<CheckpointBlob> blobs = {{"weights", weights}};
  CheckpointWrite write;
  write.seq = store.last_seq();
  write.order_index = store.next_order_index();
  write.blobs = blobs;
  const auto written = store.checkpoint(write);
  return written.is_ok() ? Status::ok() : written.status();
}

class Backup : public ::testing::Test {
 protected:
  Backup() {
    EXPECT_OK(open_into(opened_, options_for(folder_.store())));
    EXPECT_OK(opened_.store->bind({7, "spec", "notes"}));
  }
  Store& store() { return *opened_.store; }
  void append(std::size_t count) {
    const std::uint64_t seq = store().last_seq() + 1;
    EXPECT_OK(store().append(Batch(seq).events(0, static_cast<std::int64_t>(seq), count).cut(seq).view()));
  }
  std::string backups() const { return folder_.store() + "-backups"; }
  std::string restored() const { return folder_.store() + "-restored"; }

  Folder folder_;
  Opened opened_;
};

TEST_F(Backup, HoldsAllThatWasAppendedAndNothingLater) {
  append(100);
  ASSERT_OK(checkpoint(store(), "weights of the first"));
  append(50);  // in the write-ahead log alone
  const auto ledger = store().ledger();
  const auto backup = store().backup(backups(), 0, {});
  ASSERT_TRUE(backup.is_ok()) << backup.status().to_string();
  EXPECT_EQ(backup->last_seq, 150U);
  EXPECT_EQ(backup->checkpoint, 1U);
  append(25);

  const auto back = restore_backup(backups(), 0, restored());
  ASSERT_TRUE(back.is_ok()) << back.status().to_string();
  EXPECT_EQ(back->id, backup->id);
  Opened copy;
  ASSERT_OK(open_into(copy, options_for(restored())));
  EXPECT_EQ(copy.store->last_seq(), 150U);
  EXPECT_EQ(copy.store->next_order_index(), 2U);
  EXPECT_EQ(copy.store->ledger(), ledger);
  EXPECT_EQ(stored_seqs(*copy.store).size(), 150U);
  const auto latest = copy.store->latest_checkpoint();
  ASSERT_TRUE(latest.is_ok() && latest->has_value());
  EXPECT_EQ((*latest)->blobs.at("weights"), "weights of the first");
  ASSERT_OK(copy.store->append(Batch(151).events(0, 151, 10).view())) << "it must go on";
}

TEST_F(Backup, CopiesOnlyWhatIsNewAndKeepsTheNewest) {
  append(20'000);
  ASSERT_OK(store().flush());
  ASSERT_TRUE(store().backup(backups(), 2, {}).is_ok());
  const std::uint64_t first = bytes_in(backups());
  append(10);
  ASSERT_TRUE(store().backup(backups(), 2, {}).is_ok());
  EXPECT_LT(bytes_in(backups()), first + first / 4) << "the tables were copied again";
  append(10);
  ASSERT_TRUE(store().backup(backups(), 2, {}).is_ok());
  const auto listed = list_backups(backups());
  ASSERT_TRUE(listed.is_ok());
  ASSERT_EQ(listed->size(), 2U);
  EXPECT_EQ(listed->front().id, 2U);
  EXPECT_EQ(listed->back().last_seq, 20'020U);

  ASSERT_TRUE(restore_backup(backups(), 2, restored()).is_ok());
  Opened older;
  ASSERT_OK(open_into(older, options_for(restored())));
  EXPECT_EQ(older.store->last_seq(), 20'010U);
}

TEST_F(Backup, RefusesWhatWouldOverwriteOrMixUp) {
  append(10);
  EXPECT_EQ(store().backup(folder_.store() + "/inside", 0, {}).code(), Code::kInvalidArgument);
  ASSERT_TRUE(store().backup(backups(), 0, {}).is_ok());
  EXPECT_EQ(restore_backup(backups(), 9, restored()).code(), Code::kNotFound);
  EXPECT_EQ(restore_backup(folder_.store(), 0, restored()).code(), Code::kNotFound) << "no folder of backups";
  std::filesystem::create_directories(restored());
  std::ofstream(restored() + "/mine") << "keep";
  EXPECT_EQ(restore_backup(backups(), 0, restored()).code(), Code::kFailedPrecondition);
  EXPECT_TRUE(std::filesystem::exists(restored() + "/mine"));
  const Folder other;
  Opened another;
  ASSERT_OK(open_into(another, options_for(other.store()), StoreIdentity{8, "other spec", ""}));
  EXPECT_EQ(another.store->backup(backups(), 0, {}).code(), Code::kFailedPrecondition);
  const auto lock = BackupLock::take(backups());
  ASSERT_TRUE(lock.is_ok());
  EXPECT_EQ(store().backup(backups(), 0, {}).code(), Code::kFailedPrecondition) << "two at a time";
}

TEST_F(Backup, DamagedOneIsNotRestored) {
  append(20'000);
  ASSERT_OK(store().flush());
  ASSERT_TRUE(store().backup(backups(), 0, {}).is_ok());
  int damaged = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(backups())) {
    if (file.path().extension() != ".sst" || file.file_size() < 100'000) continue;
    std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(50'000);
    stream.put('\x5A');
    ++damaged;
  }
  ASSERT_GT(damaged, 0);
  const auto back = restore_backup(backups(), 0, restored());
  EXPECT_EQ(back.code(), Code::kDataLoss) << back.status().to_string();
  EXPECT_TRUE(std::filesystem::is_empty(restored())) << "half a store was left behind";
}

TEST_F(Backup, InterruptedOneLeavesTheOthersWhole) {
  append(10);
  ASSERT_TRUE(store().backup(backups(), 0, {}).is_ok());
  append(60'000);
  ASSERT_OK(store().flush());
  const auto cut_off = store().backup(backups(), 0, [](std::uint64_t, std::uint64_t) { return false; });
  EXPECT_EQ(cut_off.code(), Code::kCancelled) << cut_off.status().to_string();
  const auto listed = list_backups(backups());
  ASSERT_TRUE(listed.is_ok());
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_TRUE(restore_backup(backups(), 0, restored()).is_ok());
}

TEST_F(Backup, CompactionGivesBackTheRoomOfDeletedEvents) {
  append(40'000);
  ASSERT_OK(store().flush());
  const std::vector<SeqRange> garbage = {{1, 30'000}};
  const std::vector<CheckpointBlob> blobs = {{"weights", "w"}};
  for (int i = 0; i < 3; ++i) {  // the ranges go when the checkpoint that named them is the oldest kept
    CheckpointWrite write;
    write.seq = store().last_seq();
    write.order_index = store().next_order_index();
    write.blobs = blobs;
    if (i == 0) write.garbage = garbage;
    ASSERT_TRUE(store().checkpoint(write).is_ok());
    append(10);
  }
  const auto done = store().compact({});
  ASSERT_TRUE(done.is_ok()) << done.status().to_string();
  EXPECT_LT(done->bytes_after, done->bytes_before);
  EXPECT_EQ(stored_seqs(store()).front(), 30'001U);
  EXPECT_EQ(stored_seqs(store()).size(), 10'030U);
}

}  // namespace
}  // namespace freshet
