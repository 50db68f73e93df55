#include "storage/ledger.h"

#include <gtest/gtest.h>

namespace freshet {
namespace {

PartitionLedger only(const Ledger& ledger, std::int32_t partition) { return ledger.partitions().at(partition); }

TEST(Ledger, CountsLearntSkippedAndMissingOffsetsOnce) {
  Ledger ledger;
  const std::vector<Position> positions = {{3, 10}, {3, 12}, {3, 20}};
  const std::vector<std::uint64_t> hashes = {1, 2, 3};
  const std::vector<SkippedRecord> skipped = {{{3, 11}, SkipReason::kMalformed}, {{3, 13}, SkipReason::kTombstone}};
  ASSERT_TRUE(ledger.stage(positions, hashes, skipped).is_ok());
  ledger.commit();
  const PartitionLedger entry = only(ledger, 3);
  EXPECT_EQ(entry.first_offset, 10);
  EXPECT_EQ(entry.last_offset, 20);
  EXPECT_EQ(entry.next_offset, 21);
  EXPECT_EQ(entry.learnt, 3U);
  EXPECT_EQ(entry.skipped_total(), 2U);
  EXPECT_EQ(entry.skipped[static_cast<std::size_t>(SkipReason::kMalformed)], 1U);
  EXPECT_EQ(entry.gaps, 1U);
  EXPECT_EQ(entry.missing, 6U);  // 14 .. 19
  EXPECT_EQ(entry.learnt + entry.skipped_total() + entry.missing,
            static_cast<std::uint64_t>(entry.next_offset - entry.first_offset));
}

TEST(Ledger, HashDoesNotDependOnBatching) {
  Ledger together;
  Ledger apart;
  const std::vector<Position> positions = {{0, 0}, {1, 5}, {0, 1}, {1, 6}};
  const std::vector<std::uint64_t> hashes = {11, 12, 13, 14};
  ASSERT_TRUE(together.stage(positions, hashes, {}).is_ok());
  together.commit();
  for (const std::size_t i : {1, 3, 0, 2}) {
    ASSERT_TRUE(apart.stage({&positions[i], 1}, {&hashes[i], 1}, {}).is_ok());
    apart.commit();
  }
  EXPECT_EQ(together.partitions(), apart.partitions());
  EXPECT_EQ(only(together, 0).hash, ledger_mix(0, 11) + ledger_mix(1, 13));
}

TEST(Ledger, HashTellsSwappedValuesApart) {
  EXPECT_NE(ledger_mix(0, 11) + ledger_mix(1, 13), ledger_mix(0, 13) + ledger_mix(1, 11));
}

TEST(Ledger, RefusesAnOffsetTwiceAndChangesNothing) {
  Ledger ledger;
  const std::vector<Position> first = {{0, 4}, {0, 5}};
  const std::vector<std::uint64_t> hashes = {1, 2};
  ASSERT_TRUE(ledger.stage(first, hashes, {}).is_ok());
  ledger.commit();
  const auto before = ledger.partitions();
  const std::vector<Position> again = {{0, 6}, {0, 5}};
  EXPECT_EQ(ledger.stage(again, hashes, {}).code(), Code::kInvalidArgument);
  const std::vector<Position> twice = {{0, 6}, {0, 6}};
  EXPECT_EQ(ledger.stage(twice, hashes, {}).code(), Code::kInvalidArgument);
  const std::vector<Position> one = {{0, 6}};
  const std::vector<SkippedRecord> same = {{{0, 6}, SkipReason::kEmpty}};
  EXPECT_EQ(ledger.stage(one, {hashes.data(), 1}, same).code(), Code::kInvalidArgument);
  EXPECT_EQ(ledger.partitions(), before);
}

TEST(Ledger, CountsDuplicatesWithoutMovingOffsets) {
  Ledger ledger;
  const std::vector<Position> first = {{0, 4}};
  const std::vector<std::uint64_t> hash = {1};
  ASSERT_TRUE(ledger.stage(first, hash, {}).is_ok());
  ledger.commit();
  const std::vector<SkippedRecord> again = {{{0, 4}, SkipReason::kDuplicate}};
  ASSERT_TRUE(ledger.stage({}, {}, again).is_ok());
  ledger.commit();
  EXPECT_EQ(only(ledger, 0).duplicates(), 1U);
  EXPECT_EQ(only(ledger, 0).skipped_total(), 0U);
  EXPECT_EQ(only(ledger, 0).next_offset, 5);
}

TEST(Ledger, ResetCountsWhatIsPassedOverAndBeginsAnewBelow) {
  Ledger ledger;
  const std::vector<Position> first = {{0, 4}, {0, 5}};
  const std::vector<std::uint64_t> hashes = {1, 2};
  ASSERT_TRUE(ledger.stage(first, hashes, {}).is_ok());
  ledger.commit();
  const std::vector<OffsetReset> further = {{0, 10}};
  for (int repetition = 0; repetition < 2; ++repetition) {  // as after a write that had to be repeated
    ASSERT_TRUE(ledger.stage({}, {}, {}, further).is_ok());
    ledger.commit();
    EXPECT_EQ(only(ledger, 0).missing, 4U);
    EXPECT_EQ(only(ledger, 0).gaps, 1U);
    EXPECT_EQ(only(ledger, 0).next_offset, 10);
  }
  const std::vector<OffsetReset> anew = {{0, 0}};
  const std::vector<Position> again = {{0, 0}, {0, 4}};
  ASSERT_TRUE(ledger.stage(again, hashes, {}, anew).is_ok());
  ledger.commit();
  EXPECT_EQ(only(ledger, 0).restarts, 1U);
  EXPECT_EQ(only(ledger, 0).learnt, 4U);
  EXPECT_EQ(only(ledger, 0).missing, 7U);
  EXPECT_EQ(only(ledger, 0).first_offset, 0);
  EXPECT_EQ(only(ledger, 0).next_offset, 5);
  const std::vector<OffsetReset> negative = {{0, -1}};
  EXPECT_EQ(ledger.stage({}, {}, {}, negative).code(), Code::kInvalidArgument);
}

TEST(Ledger, FormsWithoutRestartsOrWithoutWhatWasLeftOutAreStillRead) {
  PartitionLedger ledger;
  ledger.partition = 2;
  ledger.learnt = 3;
  const std::string bytes = encode_ledger(ledger);
  for (const std::size_t fewer : {1U, 2U}) {
    const auto decoded =
        decode_ledger(2, std::string_view(bytes).substr(0, bytes.size() - fewer * sizeof(std::uint64_t)));
    ASSERT_TRUE(decoded.is_ok());
    EXPECT_EQ(*decoded, ledger);
  }
}

TEST(Ledger, OfAModelMadeAnewAccountsForEveryOffset) {
  PartitionLedger before;
  before.partition = 2;
  before.first_offset = 10;
  before.next_offset = 20;
  before.learnt = 7;
  before.missing = 1;
  before.skipped[0] = 2;
  before.hash = 5;
  PartitionLedger anew;
  anew.learnt = 4;
  anew.missing = 5;
  anew.hash = 3;
  const PartitionLedger ledger = relearnt(before, anew);
  EXPECT_EQ(ledger.learnt, 4U);
  EXPECT_EQ(ledger.hash, 3U);
  EXPECT_EQ(ledger.left_out, 3U);
  EXPECT_EQ(ledger.learnt + ledger.skipped_total() + ledger.missing + ledger.left_out, 10U);
  EXPECT_EQ(relearnt(ledger, {}).left_out, 7U);
  EXPECT_EQ(*decode_ledger(2, encode_ledger(ledger)), ledger);
}

TEST(Ledger, EncodedFormIsReadBackAndChecked) {
  Ledger ledger;
  const std::vector<Position> positions = {{7, 1}, {7, 9}};
  const std::vector<std::uint64_t> hashes = {1, 2};
  ASSERT_TRUE(ledger.stage(positions, hashes, {}).is_ok());
  ledger.commit();
  const std::string bytes = encode_ledger(only(ledger, 7));
  const auto decoded = decode_ledger(7, bytes);
  ASSERT_TRUE(decoded.is_ok());
  EXPECT_EQ(*decoded, only(ledger, 7));
  EXPECT_EQ(decode_ledger(7, std::string_view(bytes).substr(1)).code(), Code::kDataLoss);
}

}  // namespace
}  // namespace freshet
