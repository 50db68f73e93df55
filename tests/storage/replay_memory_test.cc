#include "storage/replay_memory.h"

#include "core/bytes.h"
#include "storage/payload_garbage.h"
#include "tests/storage/replay_fixture.h"

namespace freshet {
namespace {

TEST(Reservoir, StaysUniformOverTheLivingWhenEventsAge) {
  constexpr std::uint64_t kSeeds = 4000;
  std::map<std::uint64_t, std::uint64_t> counts;
  std::vector<std::uint64_t> released;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto memory = make_memory({.capacity_events = 20, .ttl_ms = 100'000, .seed = seed});
    // Bursts: 3 events a second in every other 50 seconds, 1 a second between, so that the population swings.
    std::uint64_t seq = 0;
    for (std::int64_t second = 1; second <= 330; ++second) {
      const int events = second / 50 % 2 == 0 ? 3 : 1;
      for (int i = 0; i < events; ++i) memory->insert({.seq = ++seq, .time_ms = second * 1000}, released);
      memory->expire((second - 99) * 1000, released);
    }
    ASSERT_LE(memory->size(), 20U);
    for (std::uint64_t slot = 0; slot < memory->size(); ++slot) {
      ASSERT_GE(memory->slots().time_s(slot), 330U - 99U);
      ++counts[memory->slots().seq(slot)];
    }
    if (seed == 0) {  // every living event is a key, also those that are never held
      std::uint64_t at = 0;
      for (std::int64_t second = 1; second <= 330; ++second) {
        const int events = second / 50 % 2 == 0 ? 3 : 1;
        for (int i = 0; i < events; ++i) {
          ++at;
          if (second >= 330 - 99) counts.try_emplace(at, 0);
        }
      }
    }
  }
  std::vector<std::uint64_t> living;
  double total = 0;
  for (const auto& [seq, count] : counts) {
    living.push_back(count);
    total += static_cast<double>(count);
  }
  const auto events = static_cast<double>(living.size());
  expect_probabilities(living, std::vector<double>(living.size(), total / events / kSeeds), kSeeds,
                       "reservoir of 20 with a time to live of 100 s");
}

TEST(Reservoir, IsTheSameForTheSameSeed) {
  std::vector<std::uint64_t> released_a;
  std::vector<std::uint64_t> released_b;
  const auto a = make_memory({.capacity_events = 100, .seed = 9});
  const auto b = make_memory({.capacity_events = 100, .seed = 9});
  const auto c = make_memory({.capacity_events = 100, .seed = 10});
  std::vector<std::uint64_t> ignored;
  for (std::uint64_t seq = 1; seq <= 5000; ++seq) {
    a->insert({.seq = seq}, released_a);
    b->insert({.seq = seq}, released_b);
    c->insert({.seq = seq}, ignored);
  }
  EXPECT_EQ(held_seqs(*a), held_seqs(*b));
  EXPECT_EQ(released_a, released_b);
  EXPECT_NE(held_seqs(*a), held_seqs(*c));
}

TEST(SlidingWindow, HoldsTheNewest) {
  const auto memory = make_memory({.policy = "sliding_window", .capacity_events = 10});
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 37; ++seq) memory->insert({.seq = seq}, released);
  auto seqs = held_seqs(*memory);
  std::sort(seqs.begin(), seqs.end());
  EXPECT_EQ(seqs, (std::vector<std::uint64_t>{28, 29, 30, 31, 32, 33, 34, 35, 36, 37}));
  EXPECT_EQ(released.front(), 1U);
  EXPECT_EQ(released.size(), 27U);
}

TEST(ReplayMemory, OldEventsLeaveByEventTimeAlone) {
  const auto memory = make_memory({.capacity_events = 100, .ttl_ms = 10'000});
  std::vector<std::uint64_t> released;
  memory->insert({.seq = 1, .time_ms = 5'000}, released);
  memory->insert({.seq = 2, .time_ms = 9'999'000}, released);  // far ahead: nothing happens until the watermark says so
  EXPECT_EQ(memory->size(), 2U);
  memory->expire(6'000, released);
  EXPECT_EQ(released, (std::vector<std::uint64_t>{1}));
  memory->expire(3'000, released);  // time does not go back
  memory->insert({.seq = 3, .time_ms = 5'500}, released);
  EXPECT_EQ(released, (std::vector<std::uint64_t>{1, 3})) << "too old on arrival";
  EXPECT_EQ(memory->size(), 1U);
}

TEST(ReplayMemory, RefusesAStateOfAnotherShape) {
  const auto memory = make_memory({.capacity_events = 100});
  const std::string header = memory->header();
  const auto code = [&](const ReplayOptions& options, std::string_view bytes) {
    return load_memory(*make_memory(options), bytes, {}).code();
  };
  EXPECT_EQ(code({.capacity_events = 100}, header), Code::kOk);
  EXPECT_EQ(code({.capacity_events = 200}, header), Code::kFailedPrecondition);
  EXPECT_EQ(code({.policy = "sliding_window", .capacity_events = 100}, header), Code::kFailedPrecondition);
  EXPECT_EQ(code({.capacity_events = 100, .sampling = "recency"}, header), Code::kFailedPrecondition);
  EXPECT_EQ(code({.capacity_events = 100}, std::string_view(header).substr(0, header.size() - 1)), Code::kDataLoss);
  EXPECT_EQ(code({.capacity_events = 100}, ""), Code::kDataLoss);
  std::string newer = header;
  newer[0] = 99;
  EXPECT_EQ(code({.capacity_events = 100}, newer), Code::kFailedPrecondition);
  EXPECT_EQ(ReplayMemory::create({.policy = "best"}).code(), Code::kInvalidArgument);
}

TEST(ReplayMemory, WithoutRoomReleasesWhatItIsOffered) {
  StoppableMemory memory({.capacity_events = 0});
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 3; ++seq) memory->insert({.seq = seq}, released);
  EXPECT_EQ(released, (std::vector<std::uint64_t>{1, 2, 3}));
  std::vector<std::uint64_t> drawn;
  Rng rng(1);
  memory->sample(4, rng, drawn);
  EXPECT_TRUE(drawn.empty());
  memory.checkpoint();
  memory.restart();
  EXPECT_EQ(memory->seen(), 3U);
}

// A checkpoint from before there were samplers and metadata.
TEST(ReplayMemory, TakesOverAHeaderOfFormat1) {
  StoppableMemory memory({.capacity_events = 1000, .ttl_ms = 500'000, .seed = 3});
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 3000; ++seq) {
    memory->insert({.seq = seq, .time_ms = static_cast<std::int64_t>(seq) * 100}, released);
  }
  memory.checkpoint();
  const std::string now = memory.header();
  ByteWriter before;
  before.put<std::uint32_t>(1);
  before.put_text("reservoir");
  before.put<std::uint64_t>(1000);
  before.put<std::int64_t>(500'000);
  const std::size_t size_at = 4 + 8 + 9 + 8 + 8;
  before.append(now.data() + size_at, 16);  // size, seen
  const std::size_t added = 8 + 8 + (8 + 7) + 8 + 8;
  before.append(now.data() + size_at + 16 + added, now.size() - size_at - 16 - added);
  Pages pages = memory.pages();
  std::erase_if(pages, [](const auto& page) { return page.first.first != kReplaySpace; });
  const auto old = make_memory({.capacity_events = 1000, .ttl_ms = 500'000, .seed = 1});
  const Status loaded = load_memory(*old, before.buffer(), pages);
  ASSERT_TRUE(loaded.is_ok()) << loaded.to_string();
  EXPECT_EQ(held_seqs(*old), held_seqs(*memory));
  EXPECT_EQ(old->header(), now);
  EXPECT_TRUE(std::isnan(old->metadata().loss(17)));
  std::uint64_t metadata_pages = 0;
  old->dirty_pages([&](std::uint32_t space, std::uint64_t, std::string_view) {
    metadata_pages += space == kReplayMetadataSpace ? 1 : 0;
  });
  EXPECT_EQ(metadata_pages, 2U) << "the next checkpoint must write what this one lacks";
  const auto summary = ReplayMemory::summary(before.buffer());
  ASSERT_TRUE(summary.is_ok());
  EXPECT_EQ(summary->sampling, "uniform");
  EXPECT_EQ(summary->metadata_bytes, 0U);
}

TEST(ReplayMemory, NoticesMissingAndTornPages) {
  const ReplayOptions options{.capacity_events = 2000};
  StoppableMemory memory(options);
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 1500; ++seq) memory->insert({.seq = seq}, released);
  memory.checkpoint();
  ASSERT_EQ(memory.pages().size(), 6U);
  for (const std::uint64_t page : {0U, 1U, 2U}) {
    Pages pages = memory.pages();
    std::string& bytes = pages.at({kReplaySpace, page});
    bytes = bytes.substr(8);
    EXPECT_EQ(load_memory(*make_memory(options), memory.header(), pages).code(), Code::kDataLoss);
    pages.erase({kReplaySpace, page});
    EXPECT_EQ(load_memory(*make_memory(options), memory.header(), pages).code(), Code::kDataLoss);
  }
}

TEST(ReplayMemory, MarksOnlyChangedPages) {
  const auto memory = make_memory({.capacity_events = 5120});
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 5120; ++seq) memory->insert({.seq = seq}, released);
  EXPECT_EQ(memory->slots().dirty_count(), 10U);
  memory->clear_dirty();
  memory->insert({.seq = 5121}, released);
  EXPECT_LE(memory->slots().dirty_count(), 1U);
}

TEST(PayloadGarbage, CollectsRangesUpToTheCheckpoint) {
  PayloadGarbage garbage;
  const std::vector<std::uint64_t> seqs = {9, 3, 4, 5, 30, 7};
  garbage.release(seqs);
  garbage.release(6);
  EXPECT_EQ(garbage.collect(20), (std::vector<SeqRange>{{3, 7}, {9, 9}}));
  EXPECT_EQ(garbage.waiting(), 1U);
  PayloadGarbage copy;
  ASSERT_TRUE(copy.load(garbage.save()).is_ok());
  EXPECT_EQ(copy.collect(30), (std::vector<SeqRange>{{30, 30}}));
  EXPECT_TRUE(copy.collect(100).empty());
  const std::vector<SeqRange> failed = {{3, 5}};
  copy.put_back(failed);
  EXPECT_EQ(copy.collect(100), failed);
}

}  // namespace
}  // namespace freshet
