#include "serving/content_coding.h"

#include <gtest/gtest.h>

#include "core/rng.h"

namespace freshet {
namespace {

using namespace std::string_literals;

// "hello hello hello hello", packed by Python's gzip and zlib modules.
const std::string kText = "hello hello hello hello";
const std::string kGzip =
    "\037\213\010\000\000\000\000\000\002\003\313\110\315\311\311\127\310\100\047\001\343\121\075\215\027\000\000\000"s;
const std::string kDeflate = "\170\234\313\110\315\311\311\127\310\100\047\001\150\003\010\261"s;

TEST(ContentCoding, InflatesWhatOthersPacked) {
  ContentCoder coder;
  std::string out = "what was there before";
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(coder.inflate(ContentCoding::kGzip, kGzip, 1000, out));
    EXPECT_EQ(out, kText);
    ASSERT_TRUE(coder.inflate(ContentCoding::kDeflate, kDeflate, 1000, out));
    EXPECT_EQ(out, kText);
  }
  ASSERT_TRUE(coder.inflate(ContentCoding::kGzip, kGzip + kGzip, 1000, out)) << "members may follow each other";
  EXPECT_EQ(out, kText + kText);
}

TEST(ContentCoding, RefusesWhatIsBroken) {
  ContentCoder coder;
  std::string out;
  const auto message = [&](ContentCoding coding, const std::string& body) {
    const Status status = coder.inflate(coding, body, 1000, out);
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    return status.message();
  };
  for (std::size_t size = 0; size < kGzip.size(); ++size) {
    EXPECT_EQ(message(ContentCoding::kGzip, kGzip.substr(0, size)), "the request body's gzip data is cut short")
        << size;
  }
  EXPECT_EQ(message(ContentCoding::kDeflate, kDeflate.substr(0, 10)), "the request body's deflate data is cut short");
  EXPECT_EQ(message(ContentCoding::kGzip, "no gzip at all"),
            "the request body is no gzip data, as its Content-Encoding says");
  EXPECT_EQ(message(ContentCoding::kGzip, kDeflate), "the request body is no gzip data, as its Content-Encoding says");
  EXPECT_EQ(message(ContentCoding::kDeflate, kGzip),
            "the request body is no deflate data, as its Content-Encoding says");
  EXPECT_EQ(message(ContentCoding::kDeflate, kDeflate + "x"),
            "the request body goes on after the end of its deflate data");
  message(ContentCoding::kGzip, kGzip + "x");
  std::string damaged = kGzip;
  damaged[damaged.size() - 8] ^= 1;  // the checksum
  message(ContentCoding::kGzip, damaged);
  ASSERT_TRUE(coder.inflate(ContentCoding::kGzip, kGzip, 1000, out));
  EXPECT_EQ(out, kText);
}

TEST(ContentCoding, BoundsWhatABodyInflatesTo) {
  ContentCoder coder;
  std::string packed;
  std::string out;
  std::string zeros;
  zeros.resize(50'000'000);
  ASSERT_TRUE(coder.deflate(ContentCoding::kGzip, zeros, packed));
  ASSERT_LT(packed.size(), 500'000U);
  const Status bomb = coder.inflate(ContentCoding::kGzip, packed, 1'000'000, out);
  EXPECT_EQ(bomb.code(), Code::kResourceExhausted);
  EXPECT_EQ(bomb.message(), "the request body inflates to more than 1000000 bytes, the most that is taken");
  EXPECT_LE(out.capacity(), 2'000'000U);
  EXPECT_TRUE(coder.inflate(ContentCoding::kGzip, kGzip, kText.size(), out)) << "exactly at the bound";
  EXPECT_EQ(out, kText);
  EXPECT_EQ(coder.inflate(ContentCoding::kGzip, kGzip, kText.size() - 1, out).code(), Code::kResourceExhausted);
  EXPECT_EQ(coder.inflate(ContentCoding::kGzip, kGzip, 0, out).code(), Code::kResourceExhausted);
}

TEST(ContentCoding, PacksOnlyWhatGetsSmaller) {
  ContentCoder coder;
  std::string packed;
  std::string out;
  Rng rng(3);
  std::string noise(10'000, '\0');
  for (char& c : noise) c = static_cast<char>(rng.below(256));
  for (const ContentCoding coding : {ContentCoding::kGzip, ContentCoding::kDeflate}) {
    EXPECT_FALSE(coder.deflate(coding, noise, packed));
    EXPECT_FALSE(coder.deflate(coding, "", packed));
    for (const std::size_t size : {100U, 70'000U, 3'000'000U}) {
      std::string text;
      while (text.size() < size) text += "0.25," + std::to_string(rng.below(100));
      ASSERT_TRUE(coder.deflate(coding, text, packed));
      EXPECT_LT(packed.size(), text.size());
      ASSERT_TRUE(coder.inflate(coding, packed, text.size(), out));
      EXPECT_EQ(out, text);
    }
  }
}

TEST(ContentCoding, ChoosesWhatTheClientPrefers) {
  EXPECT_EQ(choose_coding(""), ContentCoding::kIdentity);
  EXPECT_EQ(choose_coding("identity"), ContentCoding::kIdentity);
  EXPECT_EQ(choose_coding("br, zstd, *"), ContentCoding::kIdentity);
  EXPECT_EQ(choose_coding("gzip"), ContentCoding::kGzip);
  EXPECT_EQ(choose_coding("deflate"), ContentCoding::kDeflate);
  EXPECT_EQ(choose_coding("deflate, gzip"), ContentCoding::kGzip);
  EXPECT_EQ(choose_coding("gzip, deflate, br"), ContentCoding::kGzip);
  EXPECT_EQ(choose_coding(" GZip ;q=0.5 , deflate;q=0.8"), ContentCoding::kDeflate);
  EXPECT_EQ(choose_coding("gzip;q=0, deflate;q=0.0"), ContentCoding::kIdentity);
  EXPECT_EQ(choose_coding("x-gzip;level=1;q=0.3"), ContentCoding::kGzip);
  EXPECT_EQ(choose_coding(",,;;=,gzip;q=x,"), ContentCoding::kIdentity);
  EXPECT_EQ(choose_coding(",,;;=,gzip;q,"), ContentCoding::kGzip);
}

}  // namespace
}  // namespace freshet
