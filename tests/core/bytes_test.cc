#include "core/bytes.h"

#include <gtest/gtest.h>

#include <array>

namespace freshet {
namespace {

TEST(BytesTest, WhatIsWrittenIsReadBack) {
  ByteWriter out;
  out.put<std::uint8_t>(7);
  out.put<std::int64_t>(-5);
  out.put(2.5);
  out.put_text("grüß");
  out.put_text("");
  const std::array<float, 3> values = {1.0F, -2.0F, 0.5F};
  out.put_span(std::span<const float>(values));
  ByteReader in(out.buffer());
  EXPECT_EQ(in.get<std::uint8_t>(), 7);
  EXPECT_EQ(in.get<std::int64_t>(), -5);
  EXPECT_EQ(in.get<double>(), 2.5);
  EXPECT_EQ(in.get_text(), "grüß");
  EXPECT_EQ(in.get_text(), "");
  EXPECT_EQ(in.get_vector<float>(), std::vector<float>(values.begin(), values.end()));
  EXPECT_TRUE(in.at_end());
}

TEST(BytesTest, NumbersAreLittleEndian) {
  ByteWriter out;
  out.put<std::uint32_t>(0x01020304);
  EXPECT_EQ(out.buffer(), std::string("\x04\x03\x02\x01", 4));
}

TEST(BytesTest, EveryTruncationIsNoticedAndStaysSo) {
  ByteWriter out;
  out.put<std::uint32_t>(1);
  out.put_text("hello");
  const std::array<std::uint64_t, 2> values = {8, 9};
  out.put_span(std::span<const std::uint64_t>(values));
  const std::string whole = out.take();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ByteReader in(std::string_view(whole).substr(0, size));
    in.get<std::uint32_t>();
    in.get_text();
    in.get_vector<std::uint64_t>();
    EXPECT_FALSE(in.ok()) << size;
    EXPECT_EQ(in.get<std::uint64_t>(), 0U);
    EXPECT_FALSE(in.at_end());
  }
}

TEST(BytesTest, AnAbsurdLengthAllocatesNothing) {
  ByteWriter out;
  out.put<std::uint64_t>(~std::uint64_t{0});
  out.put<std::uint64_t>(1);
  ByteReader text(out.buffer());
  EXPECT_EQ(text.get_text(), "");
  EXPECT_FALSE(text.ok());
  ByteReader vector(out.buffer());
  EXPECT_TRUE(vector.get_vector<double>().empty());
  EXPECT_FALSE(vector.ok());
}

}  // namespace
}  // namespace freshet
