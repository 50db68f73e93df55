#include "storage/replay_metadata.h"

#include <cmath>
#include <filesystem>
#include <map>

#include "tests/storage/replay_fixture.h"
#include "tests/storage/store_fixture.h"

namespace freshet {
namespace {

using freshet::testing::Folder;

TEST(ReplayMetadata, CountsReplaysAndKeepsTheLastFiniteLoss) {
  ReplayMetadata metadata(MetadataOptions{});
  metadata.append(0.5F);
  EXPECT_EQ(metadata.loss(0), 0.5F);
  EXPECT_EQ(metadata.times_replayed(0), 0U);
  EXPECT_EQ(metadata.last_seen(0), 0U);
  metadata.note_replayed(0, 0.25F, 12);
  EXPECT_EQ(metadata.loss(0), 0.25F);
  EXPECT_EQ(metadata.last_seen(0), 12U);
  metadata.note_replayed(0, kUnknownLoss, 13);
  metadata.note_replayed(0, std::numeric_limits<float>::infinity(), std::uint64_t{1} << 40);
  EXPECT_EQ(metadata.loss(0), 0.25F);
  EXPECT_EQ(metadata.times_replayed(0), 3U);
  EXPECT_EQ(metadata.last_seen(0), 0xFFFFFFFFU);
  for (int i = 0; i < 70'000; ++i) metadata.note_replayed(0, 1.0F, 1);
  EXPECT_EQ(metadata.times_replayed(0), 65535U);
  metadata.replace(0, 2.0F);
  EXPECT_EQ(metadata.loss(0), 2.0F);
  EXPECT_EQ(metadata.times_replayed(0), 0U);
  EXPECT_EQ(metadata.last_seen(0), 0U);
}

ReplayOptions with_columns() {
  ReplayOptions options{.policy = "sliding_window", .capacity_events = 2000};
  options.metadata.columns = {{"logits", 3}, {"hidden.1", 100}};
  return options;
}

void set_columns(ReplayMemory& memory, std::uint64_t slot) {
  const auto seq = static_cast<float>(memory.slots().seq(slot));
  memory.set_values(0, slot, std::vector<float>{seq, seq + 1, seq + 2});
  memory.set_values(1, slot, std::vector<float>(100, -seq));
}

void expect_columns(const ReplayMemory& memory) {
  for (std::uint64_t slot = 0; slot < memory.size(); ++slot) {
    const auto seq = static_cast<float>(memory.slots().seq(slot));
    ASSERT_EQ(memory.metadata().loss(slot), seq / 2);
    ASSERT_EQ(memory.metadata().values(0, slot)[1], seq + 1);
    ASSERT_EQ(memory.metadata().values(1, slot)[99], -seq);
    ASSERT_EQ(memory.metadata().values(1, slot).size(), 100U);
  }
}

TEST(ReplayMetadata, MovesWithItsEventAndComesBackFromACheckpoint) {
  StoppableMemory memory(with_columns());
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 1500; ++seq) {
    memory->insert({.seq = seq, .loss = static_cast<float>(seq) / 2}, released);
    set_columns(*memory, memory->size() - 1);
  }
  std::vector<std::uint64_t> gone;
  for (std::uint64_t seq = 3; seq < 1500; seq += 7) gone.push_back(seq);
  memory->erase(gone, released);
  ASSERT_EQ(released.size(), gone.size());
  expect_columns(*memory);
  memory.checkpoint();
  memory->erase(std::vector<std::uint64_t>{1, 2, 4}, released);  // after the checkpoint: undone
  memory.restart();
  EXPECT_EQ(memory->size(), 1500 - gone.size());
  expect_columns(*memory);
}

TEST(ReplayMetadata, ALossComesTooLateForAnEventThatWasReplaced) {
  const auto memory = make_memory({.policy = "sliding_window", .capacity_events = 2});
  std::vector<std::uint64_t> released;
  memory->insert({.seq = 1, .loss = 1.0F}, released);
  memory->insert({.seq = 2, .loss = 2.0F}, released);
  Rng rng(1);
  ReplaySample sample;
  memory->sample(2, rng, sample);
  memory->insert({.seq = 3, .loss = 3.0F}, released);
  memory->note_replayed(sample, std::vector<float>{9.0F, 9.0F}, 1);
  for (std::uint64_t slot = 0; slot < 2; ++slot) {
    const bool replaced = memory->slots().seq(slot) == 3;
    EXPECT_EQ(memory->metadata().loss(slot), replaced ? 3.0F : 9.0F);
    EXPECT_EQ(memory->metadata().times_replayed(slot), replaced ? 0 : 1);
  }
  memory->erase(std::vector<std::uint64_t>{2, 3}, released);
  memory->note_replayed(sample, std::vector<float>{9.0F, 9.0F}, 1);  // the slots are no more
}

TEST(ReplayMetadata, AnotherSetOfColumnsIsRefused) {
  StoppableMemory memory(with_columns());
  memory.checkpoint();
  ReplayOptions other = with_columns();
  other.metadata.columns.pop_back();
  EXPECT_EQ(load_memory(*make_memory(other), memory.header(), memory.pages()).code(), Code::kFailedPrecondition);
  other.metadata.columns = {{"empty", 0}};
  EXPECT_EQ(ReplayMemory::create(other).code(), Code::kInvalidArgument);
}

TEST(ReplayMetadata, NoticesMissingAndTornPages) {
  StoppableMemory memory(with_columns());
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 1500; ++seq) memory->insert({.seq = seq}, released);
  memory.checkpoint();
  for (const auto& [key, bytes] : memory.pages()) {
    Pages pages = memory.pages();
    pages.erase(key);
    EXPECT_EQ(load_memory(*make_memory(with_columns()), memory.header(), pages).code(), Code::kDataLoss);
    pages[key] = bytes.substr(1);
    EXPECT_EQ(load_memory(*make_memory(with_columns()), memory.header(), pages).code(), Code::kDataLoss);
  }
}

TEST(ReplayMetadata, AReplayTouchesOnePage) {
  StoppableMemory memory(with_columns());
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 2000; ++seq) memory->insert({.seq = seq}, released);
  memory.checkpoint();
  memory->note_replayed({{601}, {600}}, std::vector<float>{1.0F}, 3);
  std::vector<std::pair<std::uint32_t, std::uint64_t>> touched;
  memory->dirty_pages(
      [&](std::uint32_t space, std::uint64_t page, std::string_view) { touched.emplace_back(space, page); });
  EXPECT_EQ(touched, (std::vector<std::pair<std::uint32_t, std::uint64_t>>{{kReplayMetadataSpace, 1}}));
}

TEST(ReplayMetadata, AColumnIsNotANumberUntilItIsSet) {
  StoppableMemory memory(with_columns());
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 2000; ++seq) memory->insert({.seq = seq}, released);
  set_columns(*memory, 5);
  memory.checkpoint();
  memory.restart();
  for (std::uint64_t slot = 0; slot < memory->size(); ++slot) {
    ASSERT_EQ(std::isnan(memory->metadata().values(0, slot)[0]), slot != 5);
    ASSERT_EQ(std::isnan(memory->metadata().values(1, slot)[0]), slot != 5);
  }
  const std::uint64_t seq = memory->slots().seq(5);
  for (std::uint64_t next = 2001; memory->slots().seq(5) == seq; ++next) memory->insert({.seq = next}, released);
  EXPECT_TRUE(std::isnan(memory->metadata().values(0, 5)[0])) << "another event stands there";
}

// Against a look at every slot, while events come, are replaced, age, are erased, and the memory is stopped.
TEST(ReplayMemory, FindsTheEventsItFollowsWhereverTheyStand) {
  const struct {
    const char* policy;
    std::int64_t ttl_ms;
  } choices[] = {{"reservoir", 0}, {"sliding_window", 0}, {"class_balanced", 0}, {"time_stratified", 400'000}};
  for (const auto& choice : choices) {
    SCOPED_TRACE(choice.policy);
    StoppableMemory memory(ReplayOptions{.policy = choice.policy, .capacity_events = 300, .ttl_ms = choice.ttl_ms});
    std::vector<std::uint64_t> released;
    Rng rng(7);
    std::uint64_t first = 1;
    std::size_t found = 0;
    memory->follow_from(first);
    for (std::uint64_t seq = 1; seq <= 4000; ++seq) {
      const auto group = static_cast<std::uint16_t>(rng.below(3));
      memory->insert({.seq = seq, .time_ms = static_cast<std::int64_t>(seq) * 1000, .group = group}, released);
      if (seq % 50 != 0) continue;
      const std::uint64_t erased[] = {seq - 40, seq - 7, seq - 1};
      memory->erase(erased, released);
      if (choice.ttl_ms > 0) memory->expire(static_cast<std::int64_t>(seq) * 1000 - choice.ttl_ms, released);
      std::map<std::uint64_t, std::uint64_t> places;
      for (std::uint64_t slot = 0; slot < memory->size(); ++slot) places[memory->slots().seq(slot)] = slot;
      for (std::uint64_t any = 1; any <= seq + 3; ++any) {
        const auto place = places.find(any);
        const auto slot = memory->slot_of(any);
        ASSERT_EQ(slot.has_value(), any >= first && place != places.end()) << any << " of " << seq;
        if (!slot.has_value()) continue;
        ASSERT_EQ(*slot, place->second);
        ++found;
      }
      if (seq % 200 == 0) {
        memory.checkpoint();
        memory.restart();
        EXPECT_FALSE(memory->slot_of(seq - 2).has_value()) << "nothing is followed after a load";
      }
      first = seq - 120 + std::min<std::uint64_t>(rng.below(119), 119);
      if (seq <= 120) first = 1;
      memory->follow_from(first);
    }
    EXPECT_GT(found, 500U);
  }
}

TEST(MappedBytes, GoesToAFileWhenItIsLargeAndLeavesNothingBehind) {
  const Folder folder;
  std::filesystem::create_directories(folder.store());
  {
    MappedBytes bytes(folder.store(), 10'000);
    for (std::uint64_t size = 1; size < 200'000'000; size = size * 3 + 7) {
      const std::uint64_t before = bytes.size();
      bytes.resize(size);
      for (std::uint64_t i = before; i < size; i += 997) bytes.data()[i] = static_cast<std::byte>(i % 251);
      bytes.data()[size - 1] = std::byte{7};
      EXPECT_EQ(bytes.mapped(), size > 10'000) << size;
      EXPECT_TRUE(std::filesystem::is_empty(folder.store()));
    }
    bytes.resize(100);
    EXPECT_TRUE(bytes.mapped());
    EXPECT_EQ(bytes.data()[0], std::byte{7});  // of size 1
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.store()));
}

TEST(MappedBytes, StaysInMemoryWhereNoFileCanBe) {
  MappedBytes bytes("/nowhere/at/all", 100);
  bytes.resize(50);
  bytes.data()[49] = std::byte{3};
  bytes.resize(100'000);
  EXPECT_FALSE(bytes.mapped());
  EXPECT_EQ(bytes.data()[49], std::byte{3});
}

TEST(ReplayMetadata, IsTheSameInAFileAsInMemory) {
  const Folder folder;
  std::filesystem::create_directories(folder.store());
  ReplayOptions mapped = with_columns();
  mapped.metadata.folder = folder.store();
  mapped.metadata.plain_bytes_max = 4096;
  StoppableMemory memory(mapped);
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 5000; ++seq) {
    memory->insert({.seq = seq, .loss = static_cast<float>(seq) / 2}, released);
  }
  EXPECT_TRUE(memory->metadata().mapped());
  for (std::uint64_t slot = 0; slot < memory->size(); ++slot) set_columns(*memory, slot);
  expect_columns(*memory);
  memory.checkpoint();
  memory.restart();
  EXPECT_TRUE(memory->metadata().mapped());
  expect_columns(*memory);
}

}  // namespace
}  // namespace freshet
