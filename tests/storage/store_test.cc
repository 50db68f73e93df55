#include "storage/store.h"

#include <atomic>
#include <thread>

#include "core/feature_spec.h"
#include "core/rng.h"
#include "storage/inspect.h"
#include "tests/storage/store_fixture.h"

namespace freshet {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

TEST(Store, GivesBackWhatWasAppended) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  ASSERT_OK(opened.store->append(Batch(1).events(0, 100, 50).cut(1).view()));
  ASSERT_OK(opened.store->append(Batch(51).events(1, 7, 50).view()));
  const std::vector<std::uint64_t> seqs = {100, 1, 51, 1, 50};  // any order, repeats
  std::vector<std::uint64_t> seen(seqs.size(), 0);
  ASSERT_OK(opened.store->read(seqs, [&](std::size_t i, std::string_view record) { seen[i] = parse(record).seq; }));
  EXPECT_EQ(seen, seqs);
  EXPECT_EQ(opened.store->last_seq(), 100U);
}

TEST(Store, ReadsTheSameFromDiskAndFromMemory) {
  const Folder folder;
  Opened opened;
  StoreOptions options = options_for(folder.store());
  options.record_cache_bytes = 20 * kStride;  // holds a few: the rest comes from tables
  ASSERT_OK(open_into(opened, options));
  for (std::uint64_t seq = 1; seq < 3000; seq += 100) {
    ASSERT_OK(opened.store->append(Batch(seq).events(0, static_cast<std::int64_t>(seq), 100).view()));
  }
  ASSERT_OK(opened.store->flush());
  Rng rng(5);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::uint64_t> seqs(2500);
    for (auto& seq : seqs) seq = 1 + rng.below(3000);
    std::size_t visits = 0;
    ASSERT_OK(opened.store->read(seqs, [&](std::size_t i, std::string_view record) {
      ++visits;
      EXPECT_EQ(record, record_of(seqs[i], {0, static_cast<std::int64_t>(seqs[i])}));
    }));
    EXPECT_EQ(visits, seqs.size());
  }
}

TEST(Store, MissingEventIsDataLossThatNamesIt) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  ASSERT_OK(opened.store->append(Batch(1).events(0, 0, 3).view()));
  const std::vector<std::uint64_t> seqs = {2, 44};
  const Status status = opened.store->read(seqs, [](std::size_t, std::string_view) {});
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_NE(status.message().find("event 44"), std::string::npos) << status.message();
}

TEST(Store, ReopenedHasEverything) {
  const Folder folder;
  std::vector<PartitionLedger> ledger;
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    ASSERT_OK(opened.store->append(
        Batch(1).events(0, 5, 10).events(2, 0, 10).skip({0, 15}, SkipReason::kBadLabel).cut(1).view()));
    ASSERT_OK(opened.store->append(Batch(21).events(0, 16, 10).cut(2).view()));
    Batch alone(31);
    alone.order.push_back({OrderKind::kGoLive, 30, 1, 9});
    ASSERT_OK(opened.store->append(alone.view()));
    ledger = opened.store->ledger();
  }
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  EXPECT_EQ(opened.store->last_seq(), 30U);
  EXPECT_EQ(opened.store->next_order_index(), 3U);
  EXPECT_EQ(opened.store->ledger(), ledger);
  EXPECT_EQ(stored_seqs(*opened.store).size(), 30U);
  auto order = opened.store->order_since(1);
  ASSERT_OK(order.status());
  ASSERT_EQ(order->size(), 2U);
  EXPECT_EQ((*order)[0].entry, (OrderEntry{OrderKind::kRoundCut, 30, 2, 0}));
  EXPECT_EQ((*order)[1].entry, (OrderEntry{OrderKind::kGoLive, 30, 1, 9}));
  EXPECT_EQ((*order)[1].index, 2U);
  ASSERT_OK(opened.store->append(Batch(31).events(0, 26, 1).view()));
}

TEST(Store, RefusesWhatDoesNotFollowAndStaysAsItWas) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  ASSERT_OK(opened.store->append(Batch(1).events(0, 0, 5).view()));
  const auto before = opened.store->ledger();
  EXPECT_EQ(opened.store->append(Batch(7).events(0, 5, 1).view()).code(), Code::kInvalidArgument);  // a hole
  EXPECT_EQ(opened.store->append(Batch(6).events(0, 4, 1).view()).code(), Code::kInvalidArgument);  // learnt before
  Batch torn(6);
  torn.events(0, 5, 2);
  torn.records.pop_back();
  EXPECT_EQ(opened.store->append(torn.view()).code(), Code::kInvalidArgument);
  EXPECT_EQ(opened.store->ledger(), before);
  EXPECT_EQ(opened.store->last_seq(), 5U);
  ASSERT_OK(opened.store->append(Batch(6).events(0, 5, 1).view()));
}

TEST(Store, SyncedPositionsFollowSyncsOnly) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  ASSERT_OK(opened.store->append(Batch(1).events(0, 10, 5).view()));
  EXPECT_TRUE(opened.store->synced_positions().empty());
  ASSERT_OK(opened.store->sync());
  EXPECT_EQ(opened.store->synced_positions(), (std::map<std::int32_t, std::int64_t>{{0, 15}}));
  ASSERT_OK(opened.store->append(Batch(6).events(1, 0, 1).view()));
  EXPECT_EQ(opened.store->synced_positions().size(), 1U);
}

TEST(Store, ReadsBesideAppends) {
  const Folder folder;
  Opened opened;
  StoreOptions options = options_for(folder.store());
  options.record_cache_bytes = 1000 * kStride;
  ASSERT_OK(open_into(opened, options));
  ASSERT_OK(opened.store->append(Batch(1).events(0, 1, 100).view()));
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> visited{0};
  std::thread reader([&] {
    Rng rng(3);
    std::vector<std::uint64_t> seqs(200);
    while (!done.load() || visited.load() == 0) {
      const std::uint64_t last = opened.store->last_seq();
      for (auto& seq : seqs) seq = 1 + rng.below(last);
      EXPECT_OK(opened.store->read(seqs, [&](std::size_t i, std::string_view record) {
        ++visited;
        EXPECT_EQ(record, record_of(seqs[i], {0, static_cast<std::int64_t>(seqs[i])}));
      }));
      EXPECT_FALSE(opened.store->ledger().empty());
    }
  });
  for (std::uint64_t seq = 101; seq < 20000; seq += 100) {
    EXPECT_OK(opened.store->append(Batch(seq).events(0, static_cast<std::int64_t>(seq), 100).view()));
  }
  done = true;
  reader.join();
  EXPECT_GT(visited.load(), 0U);
}

EventSpec flights_spec() {
  EventSpec spec;
  spec.features.resize(2);
  spec.features[0].name = "distance";
  spec.features[1].name = "carrier";
  spec.features[1].kind = FeatureKind::kCategory;
  spec.label = {.field = "late", .classes = 2, .class_names = {}};
  return spec;
}

StoreIdentity identity_of(const EventSpec& spec) {
  const std::string text = serialize_event_spec(spec);
  return {hash_text(text), text, "notes"};
}

TEST(StoreIdentity, MismatchSaysWhichFeatureDiffers) {
  const Folder folder;
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store()), identity_of(flights_spec())));
  }
  {
    Opened again;
    ASSERT_OK(open_into(again, options_for(folder.store()), identity_of(flights_spec())));
    ASSERT_TRUE(again.store->identity().has_value());
    EXPECT_EQ(again.store->identity()->notes, "notes");
  }
  EventSpec other = flights_spec();
  other.features[1].name = "airline";
  other.label.field = "delay";
  Opened opened;
  const Status status = open_into(opened, options_for(folder.store()), identity_of(other));
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  for (const char* word : {"carrier", "airline", "delay", "memory.path"}) {
    EXPECT_NE(status.message().find(word), std::string::npos) << status.message();
  }
  EXPECT_EQ(status.message().find("distance"), std::string::npos) << status.message();
}

TEST(StoreIdentity, IsBoundLaterWhenFeaturesAreInferred) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  EXPECT_FALSE(opened.store->identity().has_value());
  ASSERT_OK(opened.store->bind(identity_of(flights_spec())));
  opened.store.reset();
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  ASSERT_TRUE(opened.store->identity().has_value());
  EXPECT_EQ(opened.store->identity()->event_spec, serialize_event_spec(flights_spec()));
}

TEST(StoreInspect, ReportsPartitionsOrderCheckpointsAndMemory) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store()), identity_of(flights_spec())));
  ASSERT_OK(opened.store->append(Batch(1).events(0, 5, 10).skip({0, 20}, SkipReason::kMalformed).cut(1).view()));
  auto memory =
      ReplayMemory::create({.capacity_events = 4, .capacity_bytes = 1000, .record_bytes = 100, .sampling = "recency"});
  ASSERT_OK(memory.status());
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 10; ++seq) (*memory)->insert({.seq = seq}, released);
  const std::string header = (*memory)->header();
  const CheckpointBlob blob{kReplayBlob, header};
  CheckpointWrite write;
  write.seq = 10;
  write.wall_ms = 1234;
  write.blobs = {&blob, 1};
  ASSERT_OK(opened.store->checkpoint(write).status());
  // Beside the store that is open for writing.
  Opened reader;
  StoreOptions read_only = options_for(folder.store());
  read_only.read_only = true;
  ASSERT_OK(open_into(reader, read_only));
  EXPECT_EQ(reader.store->append(Batch(11).events(0, 21, 1).view()).code(), Code::kFailedPrecondition);
  auto report = inspect_store(*reader.store);
  ASSERT_OK(report.status());
  const std::string json = to_json(*report);
  for (const char* part :
       {R"("partition":0,"first_offset":5,"last_offset":20,"next_offset":21,"learnt":10,"skipped":1)",
        R"("skipped_by_reason":{"malformed":1})", R"("gaps":1,"missing":5,"restarts":0,"left_out":0,"hash":")",
        R"("last_seq":10)", R"("round_cuts":1)", R"("memory":{"policy":"reservoir","events":4,"capacity_events":4)",
        R"("seen":10,"bytes":400,"capacity_bytes":1000,"sampling":"recency","metadata_bytes":40})",
        R"("time_ms":1234)"}) {
    EXPECT_NE(json.find(part), std::string::npos) << part << "\n" << json;
  }
  EXPECT_GT(report->bytes_on_disk, 0U);
}

}  // namespace
}  // namespace freshet
