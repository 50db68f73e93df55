#include "learners/models/parameters.h"

#include <set>

#include <gtest/gtest.h>

#include "core/rng.h"

namespace freshet {
namespace {

TEST(RowTable, GivesEachTouchedRowOnePlace) {
  RowTable table(1024, 3);
  Rng rng(5);
  for (int step = 0; step < 20; ++step) {
    table.clear_gradients();
    EXPECT_TRUE(table.touched().empty());
    std::set<std::uint32_t> expected;
    // Several passes of growing size: the table's index grows on the way.
    std::vector<float> sums(1024);
    for (const std::size_t lookups : {3UL, 50UL, 400UL}) {
      table.reserve_gradients(lookups);
      for (std::size_t i = 0; i < lookups; ++i) {
        const auto row = static_cast<std::uint32_t>(rng.below(1024));
        table.gradient_of(row)[1] += 1.0F;
        sums[row] += 1.0F;
        expected.insert(row);
      }
    }
    const auto touched = table.touched();
    EXPECT_EQ(std::set<std::uint32_t>(touched.begin(), touched.end()), expected);
    EXPECT_EQ(touched.size(), expected.size());
    for (std::size_t slot = 0; slot < touched.size(); ++slot) {
      ASSERT_EQ(table.gradient(slot)[1], sums[touched[slot]]);
      ASSERT_EQ(table.gradient(slot)[0], 0.0F);
    }
  }
}

TEST(RowTable, TellsWhichRowsChangedSinceItWasLastAsked) {
  RowTable table(64, 2);
  const auto touch = [&](std::initializer_list<std::uint32_t> rows) {
    table.clear_gradients();
    table.reserve_gradients(rows.size());
    for (const auto row : rows) table.gradient_of(row);
    table.mark_changed();
  };
  const auto list = [](std::span<const std::uint32_t> rows) {
    return std::vector<std::uint32_t>(rows.begin(), rows.end());
  };
  touch({5, 9});
  touch({9, 1});
  EXPECT_EQ(list(table.changed()), (std::vector<std::uint32_t>{5, 9, 1}));
  table.forget_changed();
  EXPECT_TRUE(table.changed().empty());
  touch({1, 2});
  EXPECT_EQ(list(table.changed()), (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(list(table.used()), (std::vector<std::uint32_t>{5, 9, 1, 2}));
}

TEST(Parameters, LoadOnlyWhatFits) {
  Parameters saved;
  saved.dense.reset(32);
  saved.dense_gradients.reset(32);
  saved.table = RowTable(16, 3);
  saved.table.reserve_gradients(1);
  saved.table.gradient_of(7);
  saved.table.mark_changed();
  saved.table.row(7)[2] = 4.0F;
  saved.dense.data()[3] = 2.0F;
  ByteWriter out;
  saved.save(out);

  Parameters same;
  same.dense.reset(32);
  same.table = RowTable(16, 3);
  ByteReader in(out.buffer());
  ASSERT_TRUE(same.load(in).is_ok());
  EXPECT_TRUE(in.at_end());
  EXPECT_EQ(same.table.row(7)[2], 4.0F);
  EXPECT_EQ(same.dense.data()[3], 2.0F);
  EXPECT_EQ(same.table.used().size(), 1U);

  Parameters other;
  other.dense.reset(32);
  other.table = RowTable(16, 4);
  ByteReader again(out.buffer());
  EXPECT_EQ(other.load(again).code(), Code::kFailedPrecondition);
  for (std::size_t cut = 0; cut < out.buffer().size(); ++cut) {
    Parameters target;
    target.dense.reset(32);
    target.table = RowTable(16, 3);
    ByteReader shortened(std::string_view(out.buffer()).substr(0, cut));
    EXPECT_FALSE(target.load(shortened).is_ok()) << "cut to " << cut;
  }
}

}  // namespace
}  // namespace freshet
