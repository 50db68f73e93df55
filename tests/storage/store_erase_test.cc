// Erasure and rollback in the store: what is found, what goes, and what a restart finds.
#include <algorithm>
#include <fstream>
#include <sstream>

#include "core/event_record.h"
#include "core/rng.h"
#include "storage/key_index.h"
#include "tests/storage/store_fixture.h"

namespace freshet::testing {
namespace {

// The fixture's records have 26 different keys, by seq.
std::uint64_t key_of(std::uint64_t seq) { return record_key_hash(record_of(seq, {0, 0})); }

SkippedRecord tombstone(Position position, std::uint64_t key_hash, std::uint32_t rows_before) {
  return {position, SkipReason::kTombstone, key_hash, rows_before};
}

void append_events(Store& store, std::uint64_t count) {
  while (count > 0) {
    const std::uint64_t seq = store.last_seq() + 1;
    const std::uint64_t some = std::min<std::uint64_t>(count, 1000);
    ASSERT_OK(store.append(Batch(seq).events(0, static_cast<std::int64_t>(seq), some).view()));
    count -= some;
  }
}

Status write_checkpoint(Store& store, const std::string& state, std::span<const SeqRange> garbage = {},
                        std::uint64_t erasures_through = 0, std::span<const std::uint64_t> erased = {}) {
  const CheckpointBlob blob{"state", state};
  const std::string page(64, state.empty() ? 'x' : state[0]);
  const CheckpointPage pages{1, 0, page};
  CheckpointWrite write;
  write.seq = store.last_seq();
  write.order_index = store.next_order_index();
  write.order_keep_from = write.order_index;
  write.blobs = {&blob, 1};
  write.pages = {&pages, 1};
  write.garbage = garbage;
  write.erasures_through = erasures_through;
  write.erased = erased;
  return store.checkpoint(write).status();
}

std::vector<std::uint64_t> stored_of_key(const Store& store, std::uint64_t key, std::uint64_t through) {
  std::vector<std::uint64_t> seqs;
  for (const std::uint64_t seq : stored_seqs(store)) {
    if (seq <= through && key_of(seq) == key) seqs.push_back(seq);
  }
  return seqs;
}

// Whether `bytes` stand in any file of the store's folder.
bool on_disk(const std::string& path, std::string_view bytes) {
  for (const auto& file : std::filesystem::recursive_directory_iterator(path)) {
    if (!file.is_regular_file()) continue;
    std::ostringstream content;
    content << std::ifstream(file.path(), std::ios::binary).rdbuf();
    if (content.str().find(bytes) != std::string::npos) return true;
  }
  return false;
}

TEST(KeyIndex, FindsNothingButTheWantedKeysAndAllOfThem) {
  Rng rng(5);
  std::vector<std::uint64_t> hashes(kKeyBlock);
  for (auto& hash : hashes) hash = rng.below(10) == 0 ? 0 : rng.next();
  const auto lists = key_lists(hashes);
  std::size_t entries = 0;
  for (const std::string& list : lists) entries += list.size() / 6;
  EXPECT_EQ(entries,
            static_cast<std::size_t>(std::count_if(hashes.begin(), hashes.end(), [](auto h) { return h != 0; })));
  for (std::size_t place = 0; place < 2000; ++place) {
    if (hashes[place] == 0) continue;
    std::vector<std::uint64_t> found;
    const std::uint64_t wanted = hashes[place];
    EXPECT_OK(match_keys(lists[key_bucket(wanted)], {&wanted, 1}, [&](std::uint64_t at) { found.push_back(at); }));
    EXPECT_EQ(found, std::vector<std::uint64_t>{place});
  }
  EXPECT_EQ(match_keys("1234567", {}, [](std::uint64_t) {}).code(), Code::kDataLoss);
}

TEST(StoreErase, FindsTheEventsOfAKeyInFullBlocksInTheNewestAndAfterRestarts) {
  const Folder folder;
  for (int life = 0; life < 3; ++life) {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    append_events(*opened.store, 70'001);
    for (const std::uint64_t through : {std::uint64_t{300}, std::uint64_t{65'700}, opened.store->last_seq()}) {
      const std::vector<Erasure> wanted = {{1, key_of(3), through}, {2, key_of(11), 100}};
      const auto found = opened.store->find(wanted);
      ASSERT_OK(found.status());
      auto expected = stored_of_key(*opened.store, key_of(3), through);
      const auto more = stored_of_key(*opened.store, key_of(11), 100);
      expected.insert(expected.end(), more.begin(), more.end());
      std::sort(expected.begin(), expected.end());
      EXPECT_EQ(*found, expected) << "life " << life << ", through " << through;
      EXPECT_GE(found->size(), through / 26);
    }
  }
}

TEST(StoreErase, FindsTheRestAfterMostOfALogIsGone) {
  const Folder folder;
  Opened opened;
  auto options = options_for(folder.store());
  options.checkpoints_kept = 1;
  ASSERT_OK(open_into(opened, options));
  append_events(*opened.store, 3 * kKeyBlock);
  const SeqRange garbage{10, 2 * kKeyBlock + 77};
  ASSERT_OK(write_checkpoint(*opened.store, "one", {&garbage, 1}));
  append_events(*opened.store, 4 * kKeyBlock);  // deletes the garbage, and looks at every older block
  const std::vector<Erasure> wanted = {{1, key_of(5), UINT64_MAX}};
  const auto found = opened.store->find(wanted);
  ASSERT_OK(found.status());
  EXPECT_EQ(found->front(), 5U);
  EXPECT_EQ(*found, stored_of_key(*opened.store, key_of(5), UINT64_MAX));
}

TEST(StoreErase, ATombstoneWaitsAcrossRestartsUntilACheckpointHasDoneIt) {
  const Folder folder;
  const std::uint64_t key = key_of(4);
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    append_events(*opened.store, 100);
    Batch batch(101);
    batch.events(0, 101, 10);
    batch.skipped.push_back(tombstone({0, 120}, key, 7));
    batch.skip({0, 121}, SkipReason::kTombstone);  // one without a key
    ASSERT_OK(opened.store->append(batch.view()));
    EXPECT_EQ(opened.store->ledger()[0].skipped[static_cast<std::size_t>(SkipReason::kTombstone)], 2U);
    const std::vector<std::uint64_t> asked = {key_of(9)};
    ASSERT_OK(opened.store->request_erasures(asked));
  }
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  const std::vector<Erasure> expected = {{1, key, 107}, {2, key_of(9), 110}};
  ASSERT_EQ(opened.store->erasures(), expected);
  ASSERT_OK(write_checkpoint(*opened.store, "before"));
  EXPECT_EQ(opened.store->erasures(), expected) << "a checkpoint that says nothing of them leaves them";
  const auto erased = opened.store->find({expected.data(), 1});
  ASSERT_OK(erased.status());
  EXPECT_EQ(*erased, (std::vector<std::uint64_t>{4, 30, 56, 82}));
  ASSERT_OK(write_checkpoint(*opened.store, "after", {}, 1, *erased));
  EXPECT_EQ(opened.store->erasures(), (std::vector<Erasure>{expected[1]}));
  opened.store.reset();
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  EXPECT_EQ(opened.store->erasures(), (std::vector<Erasure>{expected[1]}));
  EXPECT_TRUE(stored_of_key(*opened.store, key, 107).empty());
  EXPECT_EQ(stored_seqs(*opened.store).size(), 106U);
  ASSERT_EQ(opened.store->checkpoints().size(), 1U);
  EXPECT_EQ(opened.store->latest_checkpoint()->value().blobs.at("state"), "after");
  const std::vector<std::uint64_t> again = {1};
  ASSERT_OK(opened.store->request_erasures(again));
  EXPECT_EQ(opened.store->erasures().back().id, 3U) << "a number is never given twice";
}

TEST(StoreErase, LeavesNoByteOfTheEventAndOfOlderCheckpointsOnTheDisk) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  append_events(*opened.store, 3000);
  const std::string record = record_of(26, {0, 26});
  const std::string unique = record.substr(0, 16);  // seq and offset
  const std::string held_out(5000, 'Q');            // what an older checkpoint has of it
  ASSERT_OK(write_checkpoint(*opened.store, held_out + unique));
  ASSERT_OK(opened.store->flush());
  ASSERT_TRUE(on_disk(folder.store(), unique));
  ASSERT_TRUE(on_disk(folder.store(), held_out));
  const std::vector<Erasure> wanted = {{1, key_of(26), 3000}};
  const auto erased = opened.store->find(wanted);
  ASSERT_OK(erased.status());
  ASSERT_OK(write_checkpoint(*opened.store, "clean", {}, 1, *erased));
  ASSERT_OK(opened.store->purge(*erased));
  opened.store.reset();
  EXPECT_FALSE(on_disk(folder.store(), unique));
  EXPECT_FALSE(on_disk(folder.store(), held_out));
  EXPECT_TRUE(on_disk(folder.store(), record_of(27, {0, 27}).substr(0, 16))) << "the others stay";
}

// The checkpoints before an erasure held what it erased, so there is none to fall back to.
TEST(StoreErase, DamageOfTheOnlyCheckpointAfterwardsIsToldWithWhatHelps) {
  const Folder folder;
  const std::string state = "the-state-without-them";
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    append_events(*opened.store, 300);
    ASSERT_OK(write_checkpoint(*opened.store, "the-state-that-knew-them"));
    const std::vector<std::uint64_t> erased = {40};
    ASSERT_OK(write_checkpoint(*opened.store, state, {}, 1, erased));
    ASSERT_OK(opened.store->flush());
  }
  std::size_t damaged = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder.store())) {
    if (file.path().extension() != ".sst") continue;
    std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    const auto at = bytes.find(state);
    if (at == std::string::npos) continue;
    stream.clear();
    stream.seekp(static_cast<std::streamoff>(at));
    stream.put('T');
    ++damaged;
  }
  ASSERT_EQ(damaged, 1U);
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  const auto none = opened.store->latest_checkpoint();
  EXPECT_EQ(none.code(), Code::kDataLoss);
  for (const char* said : {"there is no older one", "freshet state erase", "restore the folder from a backup"}) {
    EXPECT_NE(none.status().message().find(said), std::string::npos) << none.status().message();
  }
}

TEST(StoreErase, GarbageOfTheDroppedCheckpointsStillGoes) {
  const Folder folder;
  Opened opened;
  auto options = options_for(folder.store());
  options.checkpoints_kept = 3;
  ASSERT_OK(open_into(opened, options));
  append_events(*opened.store, 3000);
  const SeqRange first{1, 10};
  const SeqRange second{11, 20};
  const SeqRange third{21, 25};
  ASSERT_OK(write_checkpoint(*opened.store, "a"));
  ASSERT_OK(write_checkpoint(*opened.store, "b", {&first, 1}));
  ASSERT_OK(write_checkpoint(*opened.store, "c", {&second, 1}));
  const std::vector<std::uint64_t> erased = {40};
  ASSERT_OK(write_checkpoint(*opened.store, "d", {&third, 1}, 1, erased));
  opened.store.reset();
  ASSERT_OK(open_into(opened, options));
  append_events(*opened.store, 100);
  const auto seqs = stored_seqs(*opened.store);
  EXPECT_EQ(seqs.front(), 26U);
  EXPECT_FALSE(std::binary_search(seqs.begin(), seqs.end(), 40U));
  std::size_t pages = 0;
  ASSERT_OK(opened.store->read_pages(opened.store->checkpoints()[0].id, 1, [&](std::uint64_t, std::string_view bytes) {
    ++pages;
    EXPECT_EQ(bytes, std::string(64, 'd'));
    return Status::ok();
  }));
  EXPECT_EQ(pages, 1U);
}

TEST(StoreRollback, IsTheStoreAsItWasAtTheCheckpointPositionsIncluded) {
  const Folder folder;
  Opened opened;
  auto options = options_for(folder.store());
  options.checkpoints_kept = 4;
  ASSERT_OK(open_into(opened, options));
  append_events(*opened.store, 70'000);
  ASSERT_OK(opened.store->append(Batch(70'001).events(1, 5, 3).cut(1).view()));
  ASSERT_OK(write_checkpoint(*opened.store, "early"));
  const auto ledger = opened.store->ledger();
  const auto order = opened.store->next_order_index();
  append_events(*opened.store, 80'000);
  ASSERT_OK(opened.store->append(Batch(150'004).events(2, 5, 3).cut(2).view()));
  ASSERT_OK(write_checkpoint(*opened.store, "late"));
  const std::vector<std::uint64_t> asked = {key_of(1)};
  ASSERT_OK(opened.store->request_erasures(asked));

  EXPECT_EQ(opened.store->rollback(9).code(), Code::kNotFound);
  ASSERT_OK(opened.store->rollback(1));
  for (int life = 0; life < 2; ++life) {
    SCOPED_TRACE(life);
    EXPECT_EQ(opened.store->ledger(), ledger);
    EXPECT_EQ(opened.store->last_seq(), 70'003U);
    EXPECT_EQ(opened.store->next_order_index(), order);
    EXPECT_EQ(opened.store->order_since(0)->size(), 1U);
    EXPECT_EQ(stored_seqs(*opened.store).size(), 70'003U);
    EXPECT_EQ(opened.store->checkpoints().size(), 1U);
    EXPECT_EQ(opened.store->latest_checkpoint()->value().blobs.at("state"), "early");
    EXPECT_EQ(opened.store->erasures(), (std::vector<Erasure>{{1, key_of(1), 70'003}})) << "what was asked for stays";
    ASSERT_OK(opened.store->read_pages(1, 1, [&](std::uint64_t, std::string_view bytes) {
      EXPECT_EQ(bytes, std::string(64, 'e'));
      return Status::ok();
    }));
    opened.store.reset();
    ASSERT_OK(open_into(opened, options));
  }
  // Life goes on, on the same seqs with other events, and the index of keys follows.
  ASSERT_OK(opened.store->append(Batch(70'004).events(0, 70'001, 5).view()));
  append_events(*opened.store, 90'000);
  ASSERT_OK(write_checkpoint(*opened.store, "again"));
  EXPECT_EQ(opened.store->checkpoints().back().id, 3U) << "a number is never given twice";
  const std::vector<Erasure> wanted = {{1, key_of(2), UINT64_MAX}};
  EXPECT_EQ(*opened.store->find(wanted), stored_of_key(*opened.store, key_of(2), UINT64_MAX));
}

TEST(StoreRollback, RefusesACheckpointThatDoesNotKnowThePositions) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  append_events(*opened.store, 100);
  CheckpointWrite behind;  // as a redo of the log writes it
  behind.seq = 50;
  ASSERT_OK(opened.store->checkpoint(behind).status());
  ASSERT_OK(write_checkpoint(*opened.store, "x"));
  const Status refused = opened.store->rollback(1);
  EXPECT_EQ(refused.code(), Code::kFailedPrecondition);
  EXPECT_NE(refused.message().find("positions"), std::string::npos);
  EXPECT_EQ(opened.store->checkpoints().size(), 2U);
}

}  // namespace
}  // namespace freshet::testing
