#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <atomic>
#include <fstream>
#include <numeric>

#include "tests/storage/store_fixture.h"

namespace freshet {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

std::string big_blob(char letter) {
  std::string bytes((std::size_t{5} << 19) + 17, letter);  // two pieces and a half
  bytes += "marker-of-";
  bytes += letter;
  return bytes;
}

Result<std::uint64_t> save(Store& store, std::string_view weights, std::vector<CheckpointPage> pages = {},
                           std::vector<SeqRange> garbage = {}, std::uint64_t order_keep_from = 0) {
  const std::vector<CheckpointBlob> blobs = {{"weights", weights}, {"empty", ""}};
  CheckpointWrite write;
  write.seq = store.last_seq();
  write.order_index = store.next_order_index();
  write.blobs = blobs;
  write.pages = pages;
  write.garbage = garbage;
  write.order_keep_from = order_keep_from;
  return store.checkpoint(write);
}

std::map<std::uint64_t, std::string> pages_of(const Store& store, std::uint64_t id, std::uint32_t space) {
  std::map<std::uint64_t, std::string> pages;
  EXPECT_OK(store.read_pages(id, space, [&](std::uint64_t index, std::string_view bytes) {
    pages[index] = std::string(bytes);
    return Status::ok();
  }));
  return pages;
}

// Flips a bit in every table file where `text` stands; the number of places.
int damage(const std::string& folder, const std::string& text) {
  int places = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() != ".sst") continue;
    std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    for (auto at = bytes.find(text); at != std::string::npos; at = bytes.find(text, at + 1)) {
      stream.clear();
      stream.seekp(static_cast<std::streamoff>(at));
      stream.put(static_cast<char>(bytes[at] ^ 1));
      ++places;
    }
  }
  return places;
}

TEST(StoreCheckpoint, NewStoreHasNone) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  auto latest = opened.store->latest_checkpoint();
  ASSERT_OK(latest.status());
  EXPECT_FALSE(latest->has_value());
}

TEST(StoreCheckpoint, LatestIsReadBackAfterReopening) {
  const Folder folder;
  const std::string weights = big_blob('w');
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    ASSERT_OK(opened.store->append(Batch(1).events(0, 0, 10).cut(1).view()));
    ASSERT_OK(save(*opened.store, "older").status());
    ASSERT_OK(save(*opened.store, weights).status());
  }
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  auto latest = opened.store->latest_checkpoint();
  ASSERT_OK(latest.status());
  ASSERT_TRUE(latest->has_value());
  EXPECT_EQ((*latest)->info.id, 2U);
  EXPECT_EQ((*latest)->info.seq, 10U);
  EXPECT_EQ((*latest)->info.order_index, 1U);
  EXPECT_EQ((*latest)->blobs.at("weights"), weights);
  EXPECT_EQ((*latest)->blobs.at("empty"), "");
  EXPECT_EQ(opened.store->synced_positions(), (std::map<std::int32_t, std::int64_t>{{0, 10}}));
}

TEST(StoreCheckpoint, KeepsTheConfiguredNumber) {
  const Folder folder;
  Opened opened;
  StoreOptions options = options_for(folder.store());
  options.checkpoints_kept = 3;
  ASSERT_OK(open_into(opened, options));
  for (int i = 0; i < 7; ++i) ASSERT_OK(save(*opened.store, std::to_string(i)).status());
  std::vector<std::uint64_t> ids;
  for (const auto& info : opened.store->checkpoints()) ids.push_back(info.id);
  EXPECT_EQ(ids, (std::vector<std::uint64_t>{5, 6, 7}));
}

TEST(StoreCheckpoint, PagesAreThoseOfTheCheckpointAskedFor) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  ASSERT_OK(save(*opened.store, "1", {{1, 0, "a1"}, {1, 1, "b1"}, {2, 0, "other table"}}).status());
  ASSERT_OK(save(*opened.store, "2", {{1, 0, "a2"}}).status());
  using Pages = std::map<std::uint64_t, std::string>;
  EXPECT_EQ(pages_of(*opened.store, 1, 1), (Pages{{0, "a1"}, {1, "b1"}}));
  EXPECT_EQ(pages_of(*opened.store, 2, 1), (Pages{{0, "a2"}, {1, "b1"}}));
  ASSERT_OK(save(*opened.store, "3", {{1, 1, "b3"}, {1, 300, "c3"}}).status());
  ASSERT_OK(save(*opened.store, "4", {{1, 0, "a4"}}).status());
  EXPECT_EQ(pages_of(*opened.store, 3, 1), (Pages{{0, "a2"}, {1, "b3"}, {300, "c3"}}));
  EXPECT_EQ(pages_of(*opened.store, 4, 1), (Pages{{0, "a4"}, {1, "b3"}, {300, "c3"}}));
  EXPECT_EQ(pages_of(*opened.store, 4, 2), (Pages{{0, "other table"}}));
  EXPECT_EQ(pages_of(*opened.store, 1, 1), (Pages{})) << "versions that no kept checkpoint needs are deleted";
}

TEST(StoreCheckpoint, GarbageGoesOnlyWhenNoOlderCheckpointNeedsIt) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  const auto append = [&](std::size_t count) {
    const std::uint64_t seq = opened.store->last_seq() + 1;
    ASSERT_OK(opened.store->append(Batch(seq).events(0, static_cast<std::int64_t>(seq), count).view()));
  };
  append(100);
  ASSERT_OK(save(*opened.store, "1").status());
  append(100);
  ASSERT_OK(save(*opened.store, "2", {}, {{1, 50}, {60, 60}}).status());
  append(100);
  EXPECT_EQ(stored_seqs(*opened.store).size(), 300U) << "checkpoint 1 may still be gone back to";
  ASSERT_OK(save(*opened.store, "3", {}, {{150, 160}}).status());  // checkpoint 1 goes: 2 is the oldest
  append(10);                                                      // deletes 20 of the 51
  EXPECT_EQ(stored_seqs(*opened.store).size(), 290U);
  opened.store.reset();  // what was left to delete is found again
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  append(100);
  const auto seqs = stored_seqs(*opened.store);
  EXPECT_EQ(seqs.size(), 410U - 51U);
  EXPECT_EQ(seqs.front(), 51U);
  const std::vector<std::uint64_t> gone = {60};
  EXPECT_EQ(opened.store->read(gone, [](std::size_t, std::string_view) {}).code(), Code::kDataLoss);
  const std::vector<std::uint64_t> there = {150, 61};
  EXPECT_OK(opened.store->read(there, [](std::size_t, std::string_view) {}));
}

TEST(StoreCheckpoint, LongRangesOfGarbageGoAtOnce) {
  const Folder folder;
  Opened opened;
  StoreOptions options = options_for(folder.store());
  options.checkpoints_kept = 1;
  ASSERT_OK(open_into(opened, options));
  ASSERT_OK(opened.store->append(Batch(1).events(0, 0, 10000).view()));
  ASSERT_OK(save(*opened.store, "1", {}, {{1, 9000}}).status());
  ASSERT_OK(opened.store->append(Batch(10001).events(0, 10000, 1).view()));
  EXPECT_EQ(stored_seqs(*opened.store).size(), 1001U);
  const std::vector<std::uint64_t> gone = {9000};
  EXPECT_EQ(opened.store->read(gone, [](std::size_t, std::string_view) {}).code(), Code::kDataLoss);
}

TEST(StoreCheckpoint, OrderIsTruncatedWithTheOldestCheckpoint) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  for (std::uint64_t round = 1; round <= 6; ++round) {
    ASSERT_OK(opened.store->append(Batch(round).events(0, static_cast<std::int64_t>(round), 1).cut(round).view()));
  }
  ASSERT_OK(save(*opened.store, "1").status());
  ASSERT_OK(save(*opened.store, "2", {}, {}, 4).status());
  EXPECT_EQ(opened.store->order_since(0)->size(), 6U);
  ASSERT_OK(save(*opened.store, "3", {}, {}, 6).status());
  const auto order = opened.store->order_since(0);
  ASSERT_OK(order.status());
  ASSERT_EQ(order->size(), 2U);
  EXPECT_EQ(order->front().index, 4U);
  EXPECT_EQ(opened.store->next_order_index(), 6U);
}

TEST(StoreCheckpoint, DamagedOneFallsBackAndIsForgottenForGood) {
  const Folder folder;
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    ASSERT_OK(opened.store->append(Batch(1).events(0, 0, 10).cut(1).view()));
    ASSERT_OK(save(*opened.store, big_blob('g'), {{1, 0, "a1"}, {1, 1, "b1"}}).status());
    ASSERT_OK(opened.store->append(Batch(11).events(0, 10, 10).cut(2).view()));
    ASSERT_OK(save(*opened.store, big_blob('d'), {{1, 0, "a2"}}, {{1, 3}}).status());
    ASSERT_OK(opened.store->append(Batch(21).events(0, 20, 10).view()));
    ASSERT_OK(opened.store->flush());
  }
  ASSERT_EQ(damage(folder.store(), "marker-of-d"), 1);
  std::string bad_marker = "marker-of-d";
  bad_marker[0] = static_cast<char>(bad_marker[0] ^ 1);
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    auto latest = opened.store->latest_checkpoint();
    ASSERT_OK(latest.status());
    ASSERT_TRUE(latest->has_value());
    EXPECT_EQ((*latest)->info.id, 1U);
    EXPECT_EQ((*latest)->info.seq, 10U);
    EXPECT_EQ((*latest)->blobs.at("weights"), big_blob('g'));
    EXPECT_EQ(counter(opened, "freshet_checkpoint_fallbacks_total"), 1);
    EXPECT_TRUE(opened.log.contains("checkpoint_damaged"));
    EXPECT_TRUE(opened.log.contains("checkpoint_fallback"));
    // The log after the good checkpoint is there to be redone, and its pages are those of its time.
    EXPECT_EQ(stored_seqs(*opened.store).size(), 30U);
    EXPECT_EQ(opened.store->order_since(1)->size(), 1U);
    using Pages = std::map<std::uint64_t, std::string>;
    EXPECT_EQ(pages_of(*opened.store, 1, 1), (Pages{{0, "a1"}, {1, "b1"}}));
    const auto next = save(*opened.store, big_blob('n'), {{1, 1, "b3"}});
    ASSERT_OK(next.status());
    EXPECT_GT(*next, 2U) << "an id is never used again";
    EXPECT_EQ(pages_of(*opened.store, *next, 1), (Pages{{0, "a1"}, {1, "b3"}}));
    ASSERT_OK(opened.store->flush());
  }
  EXPECT_EQ(damage(folder.store(), bad_marker), 0) << "the damaged block must not wait for a compaction";
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  auto latest = opened.store->latest_checkpoint();
  ASSERT_OK(latest.status());
  EXPECT_EQ((*latest)->blobs.at("weights"), big_blob('n'));
  EXPECT_EQ(counter(opened, "freshet_checkpoint_fallbacks_total"), 0);
  // And once more, back to the family of the first name.
  for (int i = 0; i < 4; ++i) ASSERT_OK(save(*opened.store, std::string("more") + std::to_string(i)).status());
}

TEST(StoreCheckpoint, AllDamagedIsDataLossThatSaysWhatToDo) {
  const Folder folder;
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    ASSERT_OK(save(*opened.store, big_blob('x')).status());
    ASSERT_OK(save(*opened.store, big_blob('y')).status());
    ASSERT_OK(opened.store->flush());
  }
  ASSERT_EQ(damage(folder.store(), "marker-of-x"), 1);
  ASSERT_EQ(damage(folder.store(), "marker-of-y"), 1);
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  const auto latest = opened.store->latest_checkpoint();
  EXPECT_EQ(latest.code(), Code::kDataLoss);
  EXPECT_NE(latest.status().message().find("backup"), std::string::npos) << latest.status().message();
  EXPECT_EQ(counter(opened, "freshet_checkpoint_fallbacks_total"), 2);
}

TEST(StoreCheckpoint, RefusesGarbageThatItHasNotSeen) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  ASSERT_OK(opened.store->append(Batch(1).events(0, 0, 10).view()));
  EXPECT_EQ(save(*opened.store, "1", {}, {{5, 11}}).code(), Code::kInvalidArgument);
  EXPECT_EQ(save(*opened.store, "1", {}, {{0, 1}}).code(), Code::kInvalidArgument);
  EXPECT_TRUE(opened.store->checkpoints().empty());
}

// Pages of 4 KiB, so many that they do not go in one write.
constexpr std::uint64_t kManyPages = 200;

Result<std::uint64_t> save_many(Store& store, char letter, const std::function<void(std::uint64_t)>& after_page) {
  CheckpointWrite write;
  write.seq = store.last_seq();
  write.order_index = store.next_order_index();
  const std::string bytes(4096, letter);
  write.visit_pages = [&](const std::function<void(const CheckpointPage&)>& put) {
    for (std::uint64_t page = 0; page < kManyPages; ++page) {
      put({7, page, bytes});
      if (after_page) after_page(page);
    }
  };
  return store.checkpoint(write);
}

std::string letters_of(const std::map<std::uint64_t, std::string>& pages) {
  std::string letters;
  for (const auto& [index, bytes] : pages) letters += bytes.front();
  return letters;
}

TEST(StoreCheckpoint, PagesThatTakeSeveralWritesAreAllThere) {
  const Folder folder;
  for (const char letter : {'a', 'b'}) {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    ASSERT_OK(save_many(*opened.store, letter, nullptr).status());
  }
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  ASSERT_TRUE(opened.store->latest_checkpoint()->has_value());
  EXPECT_EQ(letters_of(pages_of(*opened.store, 1, 7)), std::string(kManyPages, 'a'));
  EXPECT_EQ(letters_of(pages_of(*opened.store, 2, 7)), std::string(kManyPages, 'b'));
}

// A disk that takes nothing more once it has stopped: the files stay as a kill at that moment would leave them.
class StoppableDisk final : public rocksdb::FileSystemWrapper {
 public:
  StoppableDisk() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "StoppableDisk"; }
  void stop() { stopped_ = true; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    if (stopped_) return gone();
    auto status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (status.ok()) *file = std::make_unique<File>(std::move(*file), stopped_);
    return status;
  }
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    return stopped_ ? gone() : FileSystemWrapper::DeleteFile(name, options, debug);
  }
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    return stopped_ ? gone() : FileSystemWrapper::RenameFile(from, to, options, debug);
  }

 private:
  class File final : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSWritableFile>&& file, const std::atomic<bool>& stopped)
        : FSWritableFileOwnerWrapper(std::move(file)), stopped_(stopped) {}
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
      return stopped_ ? gone() : FSWritableFileOwnerWrapper::Append(data, options, debug);
    }
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             const rocksdb::DataVerificationInfo&, rocksdb::IODebugContext* debug) override {
      return Append(data, options, debug);
    }

   private:
    const std::atomic<bool>& stopped_;
  };
  static rocksdb::IOStatus gone() { return rocksdb::IOStatus::IOError("the test's disk has stopped"); }

  std::atomic<bool> stopped_{false};
};

TEST(StoreCheckpoint, ACrashBetweenItsWritesLeavesNoPageOfIt) {
  const Folder crashed;
  {
    const auto disk = std::make_shared<StoppableDisk>();
    const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(disk);
    StoreOptions options = options_for(crashed.store());
    options.env = env.get();
    Opened opened;
    ASSERT_OK(open_into(opened, options));
    ASSERT_OK(save_many(*opened.store, 'a', nullptr).status());
    const auto cut_short = [&](std::uint64_t page) {
      if (page + 1 == kManyPages) disk->stop();
    };
    EXPECT_FALSE(save_many(*opened.store, 'b', cut_short).is_ok());
  }
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(crashed.store())));
  Store& store = *opened.store;
  const auto latest = store.latest_checkpoint();
  ASSERT_OK(latest.status());
  ASSERT_TRUE(latest->has_value());
  EXPECT_EQ((*latest)->info.id, 1U);
  EXPECT_EQ(letters_of(pages_of(store, 1, 7)), std::string(kManyPages, 'a'));
  // The next checkpoint takes the number of the one that was cut short, and has no page of it.
  const std::string bytes(4096, 'c');
  const auto next = save(store, "weights", {{7, 3, bytes}});
  ASSERT_OK(next.status());
  EXPECT_EQ(*next, 2U);
  EXPECT_EQ(letters_of(pages_of(store, 2, 7)), "aaac" + std::string(kManyPages - 4, 'a'));
}

}  // namespace
}  // namespace freshet
