// Operations on a stored state that are interrupted at each of their writes, by a kill and by a power cut: afterwards
// the store is as before or as after, never between, and doing it again comes out as if nothing had happened.
#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <set>

#include "tests/sim/disk.h"
#include "tests/storage/store_fixture.h"

namespace freshet::sim {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

constexpr std::uint64_t kOperationsMax = 200;

StoreOptions options_on(Disk& disk, const Folder& folder) {
  StoreOptions options = options_for(folder.store());
  options.env = disk.env();
  options.checkpoints_kept = 4;
  options.file_opening_threads = 1;
  return options;
}

Status write_checkpoint(Store& store, const std::string& state, std::uint64_t erasures_through = 0,
                        std::span<const std::uint64_t> erased = {}) {
  const CheckpointBlob blob{"state", state};
  const CheckpointPage page{1, 0, state};
  CheckpointWrite write;
  write.seq = store.last_seq();
  write.order_index = store.next_order_index();
  write.blobs = {&blob, 1};
  write.pages = {&page, 1};
  write.erasures_through = erasures_through;
  write.erased = erased;
  return store.checkpoint(write).status();
}

// Three rounds with a checkpoint after each, and an erasure that waits.
void fill(Store& store) {
  for (std::uint64_t round = 1; round <= 3; ++round) {
    const std::uint64_t seq = store.last_seq() + 1;
    ASSERT_OK(store.append(
        Batch(seq).events(static_cast<std::int32_t>(round % 2), static_cast<std::int64_t>(seq), 40).cut(round).view()));
    ASSERT_OK(write_checkpoint(store, "state " + std::to_string(round)));
  }
  const std::vector<std::uint64_t> asked = {77};
  ASSERT_OK(store.request_erasures(asked));
}

// All that a store says of itself.
std::string content(Store& store) {
  std::string text = "last event " + std::to_string(store.last_seq()) + ", stored:";
  for (const std::uint64_t seq : stored_seqs(store)) text += " " + std::to_string(seq);
  text += "\norder:";
  const auto order = store.order_since(0);
  EXPECT_OK(order.status());
  for (const auto& [index, entry] : *order) text += " " + std::to_string(index) + "@" + std::to_string(entry.seq);
  text += "\nledger:";
  for (const PartitionLedger& ledger : store.ledger()) text += " " + encode_ledger(ledger);
  text += "\nerasures:";
  for (const Erasure& one : store.erasures())
    text += " " + std::to_string(one.id) + "<" + std::to_string(one.through_seq);
  const auto newest = store.latest_checkpoint();
  EXPECT_OK(newest.status());
  for (const CheckpointInfo& info : store.checkpoints()) {
    text += "\ncheckpoint " + std::to_string(info.id) + ": ";
    const auto read = store.read_checkpoint(info.id, "state");
    EXPECT_OK(read.status());
    if (read.is_ok()) text += read->blobs.at("state");
    EXPECT_OK(store.read_pages(info.id, 1, [&](std::uint64_t, std::string_view bytes) {
      text += " with page " + std::string(bytes);
      return Status::ok();
    }));
  }
  return text;
}

void interrupt_everywhere(CrashKind kind, const std::function<Status(Store&)>& operation) {
  std::string before;
  std::string after;
  {
    const Folder folder;
    Disk disk(1);
    Opened opened;
    ASSERT_OK(open_into(opened, options_on(disk, folder)));
    ASSERT_NO_FATAL_FAILURE(fill(*opened.store));
    before = content(*opened.store);
    ASSERT_OK(operation(*opened.store));
    after = content(*opened.store);
    opened.store.reset();
  }
  ASSERT_NE(before, after);
  std::set<bool> seen_done;
  std::uint64_t at = 1;
  for (; at < kOperationsMax; ++at) {
    SCOPED_TRACE("at write operation " + std::to_string(at));
    const Folder folder;
    Disk disk(at);
    Opened opened;
    ASSERT_OK(open_into(opened, options_on(disk, folder)));
    ASSERT_NO_FATAL_FAILURE(fill(*opened.store));
    ASSERT_OK(opened.store->sync());
    disk.drain();
    disk.plan_crash(kind, at);
    const Status said = operation(*opened.store);
    disk.drain();
    const bool interrupted = disk.frozen();
    EXPECT_TRUE(said.is_ok() || interrupted) << said.to_string();
    opened.store.reset();
    if (!interrupted) break;
    disk.restart();
    ASSERT_OK(open_into(opened, options_on(disk, folder)));
    const std::string found = content(*opened.store);
    const bool done = found == after;
    EXPECT_TRUE(done || found == before) << found << "\nbefore:\n" << before << "\nafter:\n" << after;
    EXPECT_TRUE(done || !said.is_ok()) << "it said that it was done";
    seen_done.insert(done);
    ASSERT_OK(operation(*opened.store)) << "again";
    EXPECT_EQ(content(*opened.store), after);
    opened.store.reset();
    disk.drain();
    ASSERT_OK(open_into(opened, options_on(disk, folder)));
    EXPECT_EQ(content(*opened.store), after) << "after another restart";
    opened.store.reset();
  }
  EXPECT_LT(at, kOperationsMax) << "it never came to its end";
  EXPECT_TRUE(seen_done.contains(false)) << "no interruption came before the write";
}

// A new log begins while the end of the old one is not on the disk yet.
TEST(PowerCut, LeavesNoHoleBetweenTwoLogs) {
  std::size_t lost_some = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    const Folder folder;
    Disk disk(seed);
    StoreOptions options = options_on(disk, folder);
    options.write_buffer_bytes = 64 << 10;  // four appends
    Opened opened;
    ASSERT_OK(open_into(opened, options));
    disk.drain();
    disk.plan_crash(CrashKind::kPowerCut, 4 + seed % 24);
    Status status = Status::ok();
    std::uint64_t tried = 0;
    while (status.is_ok() && tried < 20000) {
      const std::uint64_t seq = opened.store->last_seq() + 1;
      status = opened.store->append(Batch(seq).events(0, static_cast<std::int64_t>(seq), 200).view());
      tried = seq + 199;
    }
    ASSERT_FALSE(status.is_ok());
    opened.store.reset();
    disk.restart();
    ASSERT_OK(open_into(opened, options));
    std::vector<std::uint64_t> expected(opened.store->last_seq());
    std::iota(expected.begin(), expected.end(), 1U);
    EXPECT_EQ(stored_seqs(*opened.store), expected);
    lost_some += expected.size() < tried ? 1 : 0;
    opened.store.reset();
  }
  EXPECT_GT(lost_some, 20U);
}

class Interrupted : public ::testing::TestWithParam<CrashKind> {};

TEST_P(Interrupted, RollbackIsDoneOrNotAndCanBeRepeated) {
  interrupt_everywhere(GetParam(), [](Store& store) { return store.rollback(1); });
}

// Memory and log forget with the one checkpoint that counts the erasure as done.
TEST_P(Interrupted, ErasureIsDoneOrNotAndCanBeRepeated) {
  interrupt_everywhere(GetParam(), [](Store& store) {
    const std::vector<std::uint64_t> erased = {5, 50, 51};
    if (store.erasures().empty()) return store.purge(erased);  // what was cut short then is the removal of bytes alone
    TRY(write_checkpoint(store, "clean", 1, erased));
    return store.purge(erased);
  });
}

INSTANTIATE_TEST_SUITE_P(By, Interrupted, ::testing::Values(CrashKind::kKill, CrashKind::kPowerCut),
                         [](const auto& by) {
                           return std::string(by.param == CrashKind::kKill ? "Kill" : "PowerCut");
                         });

}  // namespace
}  // namespace freshet::sim
