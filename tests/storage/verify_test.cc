#include "storage/verify.h"

#include <fmt/format.h>
#include <rocksdb/db.h>

#include <array>
#include <deque>
#include <fstream>

#include "core/bytes.h"
#include "storage/manifest.h"
#include "storage/replay_memory.h"
#include "storage/state_hash.h"
#include "storage/store_keys.h"
#include "tests/storage/store_fixture.h"

namespace freshet {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

// Changes a store behind Freshet's back.
void tamper(const std::string& path, const std::string& family, std::string_view key, const std::string* value) {
  std::vector<std::string> names;
  ASSERT_TRUE(rocksdb::DB::ListColumnFamilies({}, path, &names).ok());
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const auto& name : names) descriptors.emplace_back(name, rocksdb::ColumnFamilyOptions());
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open({}, path, descriptors, &handles, &opened).ok());
  const std::unique_ptr<rocksdb::DB> db(opened);
  for (auto* handle : handles) {
    if (handle->GetName() == family) {
      const rocksdb::Slice slice(key.data(), key.size());
      const auto status = value == nullptr ? db->Delete({}, handle, slice) : db->Put({}, handle, slice, *value);
      EXPECT_TRUE(status.ok()) << status.ToString();
    }
    EXPECT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
  }
}

VerifyHooks hooks() {
  VerifyHooks made;
  made.origin_of = [](std::string_view bytes) -> Result<RecordOrigin> {
    if (bytes.size() != sizeof(TestRecord)) return data_loss("no record");
    const TestRecord record = parse(bytes);
    return RecordOrigin{{record.partition, record.offset}, 0, 0, record.value_hash};
  };
  return made;
}

class Verify : public ::testing::Test {
 protected:
  // 300 events in two partitions, three cuts, two checkpoints with a memory of events 1 .. 100, two columns of
  // metadata.
  void SetUp() override {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder_.store())));
    Store& store = *opened.store;
    ReplayOptions memory_options{"reservoir", 101, 0, 1};
    memory_options.metadata.columns = {{"logits", 2}, {"wide", 1000}};
    const auto memory = ReplayMemory::create(memory_options);
    ASSERT_TRUE(memory.is_ok());
    std::vector<std::uint64_t> released;
    for (std::uint64_t seq = 1; seq <= 101; ++seq) (*memory)->insert({seq, 0, 0, 0.5F}, released);
    (*memory)->erase(std::array<std::uint64_t, 1>{101}, released);
    for (std::uint64_t i = 0; i < 3; ++i) {
      const std::uint64_t seq = i * 100 + 1;
      ASSERT_OK(store.append(Batch(seq)
                                 .events(0, static_cast<std::int64_t>(i * 50), 50)
                                 .events(1, static_cast<std::int64_t>(i * 60), 50)
                                 .skip({1, static_cast<std::int64_t>(i * 60 + 50)}, SkipReason::kBadLabel)
                                 .cut(i + 1)
                                 .view()));
      if (i == 0) continue;
      StateHash hash;
      hash.set("weights", hash_text("weights"));
      const std::string header = (*memory)->header();
      hash.set(kReplayBlob, hash_text(header));
      PageHashes pages;
      std::vector<CheckpointPage> written;
      std::deque<std::string> page_bytes;
      (*memory)->dirty_pages([&](std::uint32_t space, std::uint64_t index, std::string_view bytes) {
        page_bytes.emplace_back(bytes);
        written.push_back({space, index, page_bytes.back()});
        pages.set(space, index, bytes);
      });
      for (const auto& [space, count] : (*memory)->page_counts()) pages.resize(space, count);
      pages.add_to(hash);
      const std::string encoded = encode_state_hash(hash);
      const std::vector<CheckpointBlob> blobs = {
          {"weights", "weights"}, {kReplayBlob, header}, {kStateHashBlob, encoded}};
      if (i == 2) written.clear();  // nothing has changed since
      CheckpointWrite write;
      write.seq = store.last_seq();
      write.order_index = store.next_order_index();
      write.blobs = blobs;
      write.pages = written;
      ASSERT_TRUE(store.checkpoint(write).is_ok());
    }
    ASSERT_OK(store.flush());
  }

  VerifyReport verify() {
    Opened opened;
    StoreOptions options = options_for(folder_.store());
    options.read_only = true;
    const Status status = open_into(opened, options);
    EXPECT_OK(status);
    if (!status.is_ok()) return {};
    auto report = verify_store(*opened.store, hooks(), {});
    EXPECT_TRUE(report.is_ok()) << report.status().to_string();
    return report.is_ok() ? std::move(report).value() : VerifyReport();
  }
  // The first problem of a check, or "".
  std::string problem(const std::string& name) {
    const VerifyReport report = verify();
    EXPECT_FALSE(report.sound());
    for (const VerifyCheck& check : report.checks) {
      if (check.name == name && !check.listed.empty()) return check.listed.front();
    }
    return {};
  }

  Folder folder_;
};

TEST_F(Verify, FindsNothingWrongInAWholeStore) {
  const VerifyReport report = verify();
  EXPECT_TRUE(report.sound()) << to_json(report);
  ASSERT_EQ(report.checks.size(), 5U);
  EXPECT_GT(report.checks[0].checked, 0U);
  EXPECT_EQ(report.checks[1].checked, 300U);
  EXPECT_EQ(report.checks[2].checked, 3U);
  EXPECT_EQ(report.checks[3].checked, 2U);
  EXPECT_EQ(report.checks[4].checked, 2U);
}

TEST_F(Verify, FindsAFlippedBitInATable) {
  for (const auto& file : std::filesystem::directory_iterator(folder_.store())) {
    if (file.path().extension() != ".sst") continue;
    std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    const auto at = bytes.find("dddddddd");  // in an event's record
    if (at == std::string::npos) continue;
    stream.clear();
    stream.seekp(static_cast<std::streamoff>(at));
    stream.put('e');
  }
  EXPECT_NE(problem("table files").find("events"), std::string::npos);
}

TEST_F(Verify, FindsAMissingEventThatARedoNeeds) {
  tamper(folder_.store(), "events", seq_key(250).view(), nullptr);
  EXPECT_EQ(problem("event log"), "event 250 is missing, which a redo needs");
}

TEST_F(Verify, FindsASlotWithoutItsEvent) {
  tamper(folder_.store(), "events", seq_key(42).view(), nullptr);
  EXPECT_EQ(problem("checkpoints"), "checkpoint 1: slot 41 holds event 42, which is not in the log");
}

TEST_F(Verify, FindsARecordThatIsNone) {
  const std::string rubbish = "rubbish";
  tamper(folder_.store(), "events", seq_key(7).view(), &rubbish);
  EXPECT_EQ(problem("event log"), "event 7 has 7 bytes, others 64");
}

TEST_F(Verify, FindsAHoleInTheOrder) {
  tamper(folder_.store(), "order", seq_key(2).view(), nullptr);
  EXPECT_NE(problem("order").find("3 were written"), std::string::npos);
}

TEST_F(Verify, FindsALedgerThatDoesNotAddUp) {
  PartitionLedger wrong;
  wrong.partition = 0;
  wrong.first_offset = 0;
  wrong.last_offset = 149;
  wrong.next_offset = 150;
  wrong.learnt = 149;
  const std::string bytes = encode_ledger(wrong);
  tamper(folder_.store(), "positions", partition_key(0).view(), &bytes);
  EXPECT_EQ(problem("ledger"), "partition 0: 150 offsets came, 149 are accounted for");
}

TEST_F(Verify, FindsALedgerWhoseHashIsNotTheLogs) {
  PartitionLedger wrong;
  wrong.partition = 0;
  wrong.first_offset = 0;
  wrong.last_offset = 149;
  wrong.next_offset = 150;
  wrong.learnt = 150;
  wrong.hash = 5;
  const std::string bytes = encode_ledger(wrong);
  tamper(folder_.store(), "positions", partition_key(0).view(), &bytes);
  EXPECT_NE(problem("ledger").find("the log holds 150 events with hash"), std::string::npos);
}

// The page's own checksum fits: only the state hash tells.
TEST_F(Verify, FindsAChangedPageOfEachSpace) {
  for (const std::uint32_t space : {kReplaySpace, kReplayMetadataSpace, kReplayMetadataSpace + 1}) {
    SCOPED_TRACE(space);
    const PageKey key = page_key(space, 0, 1);
    std::string before;
    {
      Opened opened;
      ASSERT_OK(open_into(opened, options_for(folder_.store())));
      ASSERT_OK(opened.store->read_pages(1, space, [&](std::uint64_t page, std::string_view bytes) {
        if (page == 0) before = std::string(bytes);
        return Status::ok();
      }));
    }
    ASSERT_FALSE(before.empty());
    const auto value = [&](std::string bytes, std::uint64_t checksum_change) {
      ByteWriter writer;
      writer.put(page_checksum(key.view(), bytes) ^ checksum_change);
      writer.append(bytes.data(), bytes.size());
      return writer.take();
    };
    std::string flipped = before;
    flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 4);
    const std::string changed = value(flipped, 0);
    tamper(folder_.store(), "memory", key.view(), &changed);
    EXPECT_EQ(problem("checkpoints"),
              fmt::format("checkpoint 1: {} is not what its state hash was made of", page_part_name(space)));
    const std::string torn = value(before, 1);
    tamper(folder_.store(), "memory", key.view(), &torn);
    EXPECT_NE(problem("checkpoints").find(fmt::format("page 0 of table {}", space)), std::string::npos);
    const std::string whole = value(before, 0);
    tamper(folder_.store(), "memory", key.view(), &whole);
    EXPECT_TRUE(verify().sound());
  }
}

TEST_F(Verify, FindsAMissingPageOfMetadata) {
  tamper(folder_.store(), "memory", page_key(kReplayMetadataSpace + 2, 3, 1).view(), nullptr);
  EXPECT_EQ(problem("checkpoints"), fmt::format("checkpoint 1: {} is not what its state hash was made of",
                                                page_part_name(kReplayMetadataSpace + 2)));
}

TEST_F(Verify, FindsADamagedPieceOfACheckpoint) {
  const std::string rubbish = "heights";
  tamper(folder_.store(), "checkpoints", piece_key(1, kPieceKind, 0, 0).view(), &rubbish);
  EXPECT_EQ(problem("checkpoints"), "checkpoint 1, weights: the checksum of piece 0 does not match");
}

}  // namespace
}  // namespace freshet
