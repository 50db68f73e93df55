#include "daemon/adapters/spdlog_log.h"

#include <gtest/gtest.h>

#include <sstream>
#include <thread>
#include <vector>

namespace freshet {
namespace {

constexpr std::int64_t kSomeMs = 1'357'034'400'007;  // 2013-01-01T10:00:00.007Z

std::string log_one(setting::LogFormat format, const std::function<void(Log&)>& act) {
  const ManualClock clock(kSomeMs);
  std::ostringstream out;
  LogConfig config;
  config.format = format;
  SpdlogLog log(config, clock, out);
  act(log);
  return out.str();
}

TEST(SpdlogLog, WritesTextForPeople) {
  EXPECT_EQ(log_one(setting::LogFormat::kText,
                    [](Log& log) {
                      log.info("round_trained", "trained round 12",
                               {{"steps", 32}, {"loss", 0.25}, {"ok", true}, {"by", "a b"}, {"as", "x"}});
                    }),
            "2013-01-01T10:00:00.007Z  info     round_trained  trained round 12  steps=32 loss=0.25 ok=true by=\"a b\" "
            "as=x\n");
}

TEST(SpdlogLog, WritesJsonForMachines) {
  EXPECT_EQ(
      log_one(setting::LogFormat::kJson,
              [](Log& log) {
                log.warning("slow", "took {} long", {{"ms", 1.5}, {"level", "field"}, {"count", std::uint64_t{7}}});
              }),
      "{\"ts\": \"2013-01-01T10:00:00.007Z\", \"level\": \"warning\", \"event\": \"slow\", \"message\": \"took {} "
      "long\", "
      "\"ms\": 1.5, \"level_\": \"field\", \"count\": 7}\n");
}

TEST(SpdlogLog, NoTextForgesALine) {
  for (const auto format : {setting::LogFormat::kText, setting::LogFormat::kJson}) {
    const std::string said = log_one(format, [](Log& log) {
      log.error("bad\nevent", "two\nlines \x1b[31m\r",
                {{"value", "x\n2013-01-01T10:00:00.007Z  info  forged"}, {"empty", ""}, {"raw", "\x1b[2J"}});
    });
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
    EXPECT_EQ(said.find('\x1b'), std::string::npos);
    EXPECT_EQ(said.find('\r'), std::string::npos);
  }
}

TEST(SpdlogLog, TheLevelChangesAtRunTime) {
  const ManualClock clock(kSomeMs);
  std::ostringstream out;
  SpdlogLog log(LogConfig{}, clock, out);
  log.debug("a", "unseen");
  EXPECT_TRUE(out.str().empty());
  log.set_level(LogLevel::kDebug);
  EXPECT_EQ(log.level(), LogLevel::kDebug);
  log.debug("b", "seen");
  log.set_level(LogLevel::kError);
  log.warning("c", "unseen");
  EXPECT_NE(out.str().find("seen"), std::string::npos);
  EXPECT_EQ(out.str().find("unseen"), std::string::npos);
}

TEST(SpdlogLog, ThreadsDoNotMixTheirLines) {
  const ManualClock clock(kSomeMs);
  std::ostringstream out;
  SpdlogLog log(LogConfig{}, clock, out);
  constexpr int kThreads = 4;
  constexpr int kLines = 200;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&log, t] {
      for (int i = 0; i < kLines; ++i) log.info("line", "of a thread", {{"thread", t}, {"end", "."}});
    });
  }
  for (auto& thread : threads) thread.join();
  std::istringstream lines(out.str());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_EQ(line.substr(line.size() - 6), " end=.") << line;
  EXPECT_EQ(count, kThreads * kLines);
}

}  // namespace
}  // namespace freshet
