#include "stream/file_source.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace freshet {
namespace {

using namespace std::chrono_literals;

class FileSourceTest : public ::testing::Test {
 protected:
  FileSourceTest() : schema(spec()), batch(schema, 100) {
    std::string pattern = ::testing::TempDir() + "freshet-file-source-XXXXXX";
    folder = mkdtemp(pattern.data());
  }
  ~FileSourceTest() override { std::filesystem::remove_all(folder); }

  static EventSpec spec() {
    EventSpec spec;
    spec.features = {{.name = "x", .kind = FeatureKind::kNumber}};
    spec.label = {.field = "label", .classes = 2};
    return spec;
  }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder / name, std::ios::binary) << bytes;
    return folder / name;
  }
  static std::string event(std::int64_t x) { return "{\"x\": " + std::to_string(x) + ", \"label\": 1}"; }
  static std::string events(std::int64_t count) {
    std::string text;
    for (std::int64_t i = 0; i < count; ++i) text += event(i) + "\n";
    return text;
  }
  std::unique_ptr<FileSource> open(const std::string& path, std::size_t record_bytes_max = 1 << 20) {
    auto source = FileSource::open({path, {.record_bytes_max = record_bytes_max}}, schema, sink, metrics, clock);
    EXPECT_TRUE(source.is_ok()) << source.status().to_string();
    return std::move(source).value();
  }
  // Reads to the end; the offsets of events and of skipped records.
  void drain(FileSource& source, std::size_t events_max = 64) {
    for (;;) {
      const auto state = source.next(batch, events_max, 0ms);
      ASSERT_TRUE(state.is_ok()) << state.status().to_string();
      for (std::size_t row = 0; row < batch.size(); ++row) {
        offsets.push_back(batch.positions[row].offset);
        values.push_back(batch.numbers(0)[row]);
      }
      skipped.insert(skipped.end(), batch.skipped.begin(), batch.skipped.end());
      if (*state == SourceState::kEnd) return;
    }
  }
  void expect_whole(std::int64_t count) {
    ASSERT_EQ(offsets.size(), static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) {
      ASSERT_EQ(offsets[static_cast<std::size_t>(i)], i);
      ASSERT_EQ(values[static_cast<std::size_t>(i)], static_cast<float>(i));
    }
    EXPECT_TRUE(skipped.empty());
  }

  std::filesystem::path folder;
  Schema schema;
  EventBatch batch;
  LocalMetrics metrics;
  MemoryLog log;
  ManualClock clock;
  LogDeadLetters sink{metrics, log, clock};
  std::vector<std::int64_t> offsets;
  std::vector<float> values;
  std::vector<SkippedRecord> skipped;
};

std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

TEST_F(FileSourceTest, ReadsPlainGzipAndZstdByContent) {
  const std::string text = events(30000);
  for (const auto& bytes : {text, gzip(text), zstd(text), gzip(text.substr(0, 1000)) + gzip(text.substr(1000)),
                            zstd(text.substr(0, 1000)) + zstd(text.substr(1000))}) {
    offsets.clear();
    values.clear();
    const auto source = open(write("events.jsonl", bytes));
    ASSERT_TRUE(source->start({}).is_ok());
    drain(*source);
    expect_whole(30000);
    EXPECT_EQ(source->progress().bytes_read, bytes.size());
    EXPECT_EQ(source->progress().bytes_total, bytes.size());
  }
}

TEST_F(FileSourceTest, TheLastLineNeedsNoEndAndMayBeBlank) {
  for (const std::string_view end : {"", "\n", "\n\n", "\r\n", "\n  "}) {
    offsets.clear();
    values.clear();
    const auto source = open(write("e", event(0) + "\n" + event(1) + std::string(end)));
    ASSERT_TRUE(source->start({}).is_ok());
    drain(*source);
    expect_whole(2);
  }
}

TEST_F(FileSourceTest, NeverGivesMoreThanAskedFor) {
  const auto source = open(write("e", events(250)));
  ASSERT_TRUE(source->start({}).is_ok());
  std::vector<std::size_t> sizes;
  for (const std::size_t asked : {1, 7, 100, 1000, 1000}) {
    ASSERT_TRUE(source->next(batch, asked, 0ms).is_ok());
    sizes.push_back(batch.size());
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{1, 7, 100, 100, 42}));
  EXPECT_EQ(*source->next(batch, 10, 0ms), SourceState::kEnd);
}

TEST_F(FileSourceTest, GoesOnWhereTheStoreStopped) {
  const std::string text = events(20000);
  for (const std::int64_t start : {0, 1, 12345, 19999, 20000}) {
    for (const auto& bytes : {text, gzip(text)}) {
      offsets.clear();
      const auto source = open(write("e", bytes));
      ASSERT_TRUE(source->start({{0, start}}).is_ok());
      drain(*source);
      ASSERT_EQ(offsets.size(), static_cast<std::size_t>(20000 - start));
      if (!offsets.empty()) {
        EXPECT_EQ(offsets.front(), start);
        EXPECT_EQ(offsets.back(), 19999);
      }
    }
  }
}

TEST_F(FileSourceTest, RefusesAPositionThatTheFileDoesNotHave) {
  const std::string path = write("e", events(10));
  EXPECT_EQ(open(path)->start({{0, 11}}).code(), Code::kFailedPrecondition);
  EXPECT_EQ(open(path)->start({{3, 1}}).code(), Code::kFailedPrecondition);
}

TEST_F(FileSourceTest, SkipsBadLinesAndKeepsTheirNeighbours) {
  const std::string path =
      write("e", event(0) + "\n{bad\n" + event(2) + "\n\n" + event(4) + "\n{\"x\":1}\n" + event(6) + "\n");
  const auto source = open(path);
  ASSERT_TRUE(source->start({}).is_ok());
  drain(*source, 2);
  EXPECT_EQ(offsets, (std::vector<std::int64_t>{0, 2, 4, 6}));
  ASSERT_EQ(skipped.size(), 3U);
  EXPECT_EQ(skipped[0].position.offset, 1);
  EXPECT_EQ(skipped[0].reason, SkipReason::kMalformed);
  EXPECT_EQ(skipped[1].position.offset, 3);
  EXPECT_EQ(skipped[1].reason, SkipReason::kEmpty);
  EXPECT_EQ(skipped[2].position.offset, 5);
  EXPECT_EQ(skipped[2].reason, SkipReason::kMissingLabel);
  const auto count = [&](const char* name, const char* reason) {
    const char* help = name == std::string_view("freshet_records_skipped_total")
                           ? "Records that did not become events, by reason."
                           : "Records that could not be learnt from and were set aside, by reason.";
    return metrics.counter(name, help, {{"reason", reason}}).value();
  };
  EXPECT_EQ(count("freshet_records_skipped_total", "malformed"), 1);
  EXPECT_EQ(count("freshet_dead_letters_total", "missing_label"), 1);
  EXPECT_TRUE(log.contains("dead_letter"));
}

TEST_F(FileSourceTest, ALineBeyondTheLimitIsSkippedInBoundedMemory) {
  const std::string huge = "{\"x\": \"" + std::string(10 << 20, 'a') + "\"}";
  for (const std::string_view end : {"\n", ""}) {
    offsets.clear();
    skipped.clear();
    const auto source =
        open(write("e", event(0) + "\n" + huge + "\n" + event(2) + "\n" + huge + std::string(end)), 1000);
    ASSERT_TRUE(source->start({}).is_ok());
    drain(*source);
    EXPECT_EQ(offsets, (std::vector<std::int64_t>{0, 2}));
    ASSERT_EQ(skipped.size(), 2U);
    EXPECT_EQ(skipped[0].reason, SkipReason::kTooLarge);
    EXPECT_EQ(skipped[0].position.offset, 1);
    EXPECT_EQ(skipped[1].position.offset, 3);
  }
}

TEST_F(FileSourceTest, LinesOfEverySizeSurviveTheBlockBorders) {
  std::string text;
  std::int64_t count = 0;
  for (std::size_t pad = 0; pad < 3000; ++pad, ++count) {
    text += "{\"x\": " + std::to_string(count) + ", \"label\": 1, \"pad\": \"" + std::string(pad, 'p') + "\"}\n";
  }
  const auto source = open(write("e", text), 4096);
  ASSERT_TRUE(source->start({}).is_ok());
  drain(*source);
  expect_whole(count);
}

TEST_F(FileSourceTest, SaysWhenCompressedDataIsCutShortOrBroken) {
  const std::string text = events(20000);
  for (const auto& bytes : {gzip(text), zstd(text)}) {
    for (const bool cut : {true, false}) {
      std::string damaged = cut ? bytes.substr(0, bytes.size() / 2) : bytes;
      if (!cut) damaged[damaged.size() / 2] = static_cast<char>(~damaged[damaged.size() / 2]);
      const auto source = open(write("e", damaged));
      ASSERT_TRUE(source->start({}).is_ok());
      Result<SourceState> state = SourceState::kEvents;
      while (state.is_ok() && *state == SourceState::kEvents) {
        state = source->next(batch, 100, 0ms);
        if (!state.is_ok()) break;
      }
      // A flipped byte may also end as a bad line; what must not happen is a silent, complete success of a cut file.
      if (cut) {
        EXPECT_EQ(state.code(), Code::kDataLoss);
      }
    }
  }
}

TEST_F(FileSourceTest, DeadLettersGoToAFileWithTheirReason) {
  const std::string out = folder / "dead.jsonl";
  auto letters = FileDeadLetters::open(out, metrics);
  ASSERT_TRUE(letters.is_ok());
  const std::string path = write("e", "{bad \"quoted\"\n{\"a\":\"\xFF\"}\n" + event(2));
  auto source = FileSource::open({path, {}}, schema, **letters, metrics, clock);
  ASSERT_TRUE(source.is_ok());
  ASSERT_TRUE((*source)->start({}).is_ok());
  ASSERT_TRUE((*source)->next(batch, 10, 0ms).is_ok());
  EXPECT_EQ(batch.dead_letter_ticket, 2U);
  ASSERT_TRUE((*source)->acknowledge_dead_letters(batch.dead_letter_ticket, 1s).is_ok());
  std::ifstream in(out);
  std::string first;
  std::string second;
  std::getline(in, first);
  std::getline(in, second);
  EXPECT_NE(first.find(R"("offset":0,"reason":"malformed")"), std::string::npos) << first;
  EXPECT_NE(first.find(R"("value":"{bad \"quoted\"")"), std::string::npos) << first;
  EXPECT_NE(second.find(R"("reason":"invalid_utf8")"), std::string::npos) << second;
  EXPECT_NE(second.find(R"("value_base64":"eyJhIjoi/yJ9")"), std::string::npos) << second;
}

TEST_F(FileSourceTest, AMissingFileSaysSo) {
  const auto source = FileSource::open({folder / "none", {}}, schema, sink, metrics, clock);
  EXPECT_EQ(source.code(), Code::kNotFound);
  EXPECT_EQ(FileSource::open({folder, {}}, schema, sink, metrics, clock).code(), Code::kInvalidArgument);
}

TEST_F(FileSourceTest, IdentityComesFromThePositionWhereThereIsNoKey) {
  const auto source = open(write("e", event(5) + "\n" + event(5) + "\n"));
  ASSERT_TRUE(source->start({}).is_ok());
  ASSERT_TRUE(source->next(batch, 10, 0ms).is_ok());
  ASSERT_EQ(batch.size(), 2U);
  EXPECT_NE(batch.key_hashes[0], batch.key_hashes[1]);
  EXPECT_EQ(batch.value_hashes[0], batch.value_hashes[1]);
}

}  // namespace
}  // namespace freshet
