#include "stream/polled_batch.h"

#include <gtest/gtest.h>

namespace freshet {
namespace {

EventSpec spec() {
  EventSpec spec;
  spec.features = {{.name = "n", .kind = FeatureKind::kNumber},
                   {.name = "c", .kind = FeatureKind::kCategory},
                   {.name = "v", .kind = FeatureKind::kVector, .size = 2}};
  spec.label = {.field = "label", .classes = 2};
  return spec;
}

void add(PolledBatch& batch, std::int64_t offset) {
  const std::size_t row = batch.events.begin_row();
  batch.events.positions[row] = {0, offset};
  batch.events.numbers(0)[row] = static_cast<float>(offset);
  batch.events.categories(0)[row] = static_cast<std::uint64_t>(offset) + 1;
  batch.events.vectors(row)[1] = static_cast<float>(offset) * 2;
  batch.events.labels[row] = 1;
  batch.events.commit_row();
}

TEST(PolledBatch, PartsKeepTheOrderOfEventsAndSkippedRecords) {
  const Schema schema(spec());
  for (std::size_t part = 1; part <= 6; ++part) {
    PolledBatch batch(schema, 8);
    EventBatch out(schema, 16);
    batch.skip({{0, 0}, SkipReason::kEmpty}, 1);
    add(batch, 1);
    add(batch, 2);
    batch.skip({{0, 3}, SkipReason::kEmpty}, 2);
    add(batch, 4);
    add(batch, 5);
    add(batch, 6);
    batch.skip({{0, 7}, SkipReason::kTombstone}, 0);
    std::int64_t next = 0;
    std::size_t rows = 0;
    for (bool done = false; !done;) {
      done = batch.take(out, part);
      ASSERT_LE(out.size(), part);
      std::int64_t last = next - 1;
      for (std::size_t row = 0; row < out.size(); ++row, ++rows) {
        const std::int64_t offset = out.positions[row].offset;
        EXPECT_GT(offset, last);
        EXPECT_EQ(out.numbers(0)[row], static_cast<float>(offset));
        EXPECT_EQ(out.categories(0)[row], static_cast<std::uint64_t>(offset) + 1);
        EXPECT_EQ(out.vectors(row)[1], static_cast<float>(offset) * 2);
        last = offset;
      }
      for (const auto& record : out.skipped) {
        last = std::max(last, record.position.offset);
        std::uint32_t before = 0;
        for (std::size_t row = 0; row < out.size(); ++row) {
          before += out.positions[row].offset < record.position.offset ? 1U : 0U;
        }
        EXPECT_EQ(record.rows_before, before) << "offset " << record.position.offset << ", part " << part;
      }
      // Everything up to `last` was handed out, so a commit of the position after it loses nothing.
      next += static_cast<std::int64_t>(out.size() + out.skipped.size());
      EXPECT_EQ(next, last + 1) << "part " << part;
      if (!out.skipped.empty() && out.skipped.front().reason != SkipReason::kTombstone) {
        EXPECT_GT(out.dead_letter_ticket, 0U);
      }
    }
    EXPECT_EQ(next, 8);
    EXPECT_EQ(rows, 5U);
  }
}

TEST(PolledBatch, AWholeBatchOfEqualCapacityIsNotCopied) {
  const Schema schema(spec());
  PolledBatch batch(schema, 8);
  EventBatch out(schema, 8);
  add(batch, 1);
  const float* const column = batch.events.numbers(0);
  EXPECT_TRUE(batch.take(out, 8));
  EXPECT_EQ(out.numbers(0), column);
  EXPECT_EQ(out.size(), 1U);
  EXPECT_TRUE(batch.events.empty());
}

}  // namespace
}  // namespace freshet
