// The format of a store as a whole: forward it is migrated, backward it is refused.
#include <rocksdb/db.h>

#include "core/bytes.h"
#include "tests/storage/store_fixture.h"

namespace freshet {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

void set_format(const std::string& path, std::uint32_t format) {
  std::vector<std::string> names;
  ASSERT_TRUE(rocksdb::DB::ListColumnFamilies({}, path, &names).ok());
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const auto& name : names) descriptors.emplace_back(name, rocksdb::ColumnFamilyOptions());
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open({}, path, descriptors, &handles, &opened).ok());
  const std::unique_ptr<rocksdb::DB> db(opened);
  ByteWriter value;
  value.put(format);
  for (auto* handle : handles) {
    if (handle->GetName() == "meta") {
      ASSERT_TRUE(db->Put({}, handle, "format", value.buffer()).ok());
    }
    ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
  }
}

std::uint32_t format_of(const std::string& path) {
  Opened opened;
  StoreOptions options = options_for(path);
  options.read_only = true;
  EXPECT_OK(open_into(opened, options));
  return opened.store ? opened.store->format() : 0;
}

class StoreFormat : public ::testing::Test {
 protected:
  StoreFormat() {
    Opened opened;
    EXPECT_OK(open_into(opened, options_for(folder_.store())));
    EXPECT_OK(opened.store->append(Batch(1).events(0, 0, 10).view()));
    EXPECT_EQ(opened.store->format(), kStoreFormat);
  }
  Folder folder_;
};

TEST_F(StoreFormat, AnOlderStoreIsMigratedWhenItIsOpenedForWriting) {
  set_format(folder_.store(), 1);
  EXPECT_EQ(format_of(folder_.store()), 1U) << "a reader changes nothing";
  {
    Opened opened;
    StoreOptions options = options_for(folder_.store());
    options.migrate = false;
    ASSERT_OK(open_into(opened, options));
  }
  EXPECT_EQ(format_of(folder_.store()), 1U) << "a backup keeps the format";
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder_.store())));
    EXPECT_EQ(opened.store->last_seq(), 10U);
    EXPECT_TRUE(opened.log.contains("store_migrated"));
  }
  EXPECT_EQ(format_of(folder_.store()), kStoreFormat);
}

TEST_F(StoreFormat, ANewerStoreIsRefusedInWordsThatSayWhatToDo) {
  set_format(folder_.store(), kStoreFormat + 1);
  for (const bool read_only : {false, true}) {
    Opened opened;
    StoreOptions options = options_for(folder_.store());
    options.read_only = read_only;
    const Status status = open_into(opened, options);
    EXPECT_EQ(status.code(), Code::kFailedPrecondition);
    EXPECT_NE(status.message().find("written by a newer Freshet"), std::string::npos) << status.message();
    EXPECT_NE(status.message().find("freshet state restore"), std::string::npos) << status.message();
  }
}

TEST_F(StoreFormat, KeepingAllEventsDeletesNeitherEventsNorOrder) {
  for (const bool keep : {true, false}) {
    const Folder folder;
    Opened opened;
    StoreOptions options = options_for(folder.store());
    options.keep_all_events = keep;
    ASSERT_OK(open_into(opened, options));
    Store& store = *opened.store;
    for (std::uint64_t i = 0; i < 5; ++i) {
      ASSERT_OK(store.append(Batch(i * 10 + 1).events(0, static_cast<std::int64_t>(i * 10), 10).cut(i + 1).view()));
      const std::vector<SeqRange> garbage = {{i * 10 + 1, i * 10 + 5}};
      CheckpointWrite write;
      write.seq = store.last_seq();
      write.order_index = store.next_order_index();
      write.garbage = garbage;
      write.order_keep_from = store.next_order_index();
      ASSERT_TRUE(store.checkpoint(write).is_ok());
    }
    ASSERT_OK(store.append(Batch(51).events(0, 50, 10).view()));
    const auto order = store.order_since(0);
    ASSERT_TRUE(order.is_ok());
    EXPECT_EQ(stored_seqs(store).size() == 60, keep);
    EXPECT_EQ(order->size() == 5, keep);
    opened.store.reset();
    ASSERT_OK(open_into(opened, options));
    ASSERT_OK(opened.store->append(Batch(61).events(0, 60, 10).view()));
    EXPECT_EQ(stored_seqs(*opened.store).size() == 70, keep) << "after it was opened again";
  }
}

}  // namespace
}  // namespace freshet
