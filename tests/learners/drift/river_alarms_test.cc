// The detectors raise their alarms where River 0.22 does: river_alarms.py made the numbers.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "learners/drift/detectors.h"
#include "tests/learners/drift/recorded_streams.h"

namespace freshet::test {
namespace {

std::string path(const std::string& name) { return std::string(FRESHET_SOURCE_DIR) + "/tests/learners/drift/" + name; }

// FNV-1a over positions as text, as river_alarms.py takes it.
std::string hash_of(const std::vector<std::int64_t>& positions) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : fmt::format("{}", fmt::join(positions, " "))) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  }
  return fmt::format("{:016x}", hash);
}

struct Positions {
  std::vector<std::int64_t> alarms;
  std::vector<std::int64_t> warnings;
};

Positions positions_of(DriftDetector& detector, const std::vector<double>& values) {
  Positions found;
  for (std::size_t t = 0; t < values.size(); ++t) {
    const auto state = detector.update(values[t]);
    if (!state.is_ok()) {
      ADD_FAILURE() << state.status().message();
      return found;
    }
    if (*state == DriftState::kDrift) found.alarms.push_back(static_cast<std::int64_t>(t));
    if (*state == DriftState::kWarning) found.warnings.push_back(static_cast<std::int64_t>(t));
  }
  return found;
}

std::unique_ptr<DriftDetector> made(const std::string& name, const std::vector<std::string>& sets) {
  const auto kind = find_detector(name);
  EXPECT_TRUE(kind.is_ok()) << name;
  DetectorSettings settings(**kind);
  for (const std::string& set : sets) EXPECT_TRUE(settings.assign(set).is_ok()) << set;
  auto detector = make_detector(settings);
  EXPECT_TRUE(detector.is_ok());
  return std::move(detector).value();
}

// One line: alarms STREAM raw|cut DETECTOR n SETTING… n POSITION… warnings hash
void check_line(std::istringstream& words, const RecordedStream& stream) {
  std::string form;
  std::string name;
  std::size_t count = 0;
  words >> form >> name >> count;
  std::vector<std::string> sets(count);
  for (std::string& set : sets) words >> set;
  words >> count;
  std::vector<std::int64_t> alarms(count);
  for (std::int64_t& alarm : alarms) words >> alarm;
  std::size_t warnings = 0;
  std::string hash;
  words >> warnings >> hash;
  ASSERT_TRUE(words) << stream.name;
  const auto found = positions_of(*made(name, sets), form == "raw" ? stream.values() : stream.cut_values());
  const std::string where = fmt::format("{} {} on {} ({})", name, fmt::join(sets, " "), stream.name, form);
  EXPECT_EQ(found.alarms, alarms) << where;
  EXPECT_EQ(found.warnings.size(), warnings) << where;
  EXPECT_EQ(hash_of(found.warnings), hash) << where;
}

TEST(RiverAlarms, AreRaisedAtTheSamePositions) {
  std::ifstream in(path("river_alarms.txt"));
  ASSERT_TRUE(in);
  RecordedStream stream;
  std::map<std::string, int> compared;
  std::size_t streams = 0;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string what;
    words >> what;
    if (what == "stream") {
      stream = RecordedStream::read(words);
      ++streams;
      continue;
    }
    std::string name;
    words >> name;
    if (what == "check") {  // the stream itself is the one that River saw
      std::string middle;
      std::string last;
      words >> middle >> last;
      const auto values = stream.values();
      EXPECT_EQ(values[values.size() / 2], std::strtod(middle.c_str(), nullptr)) << name;
      EXPECT_EQ(values.back(), std::strtod(last.c_str(), nullptr)) << name;
    } else if (what == "alarms") {
      ASSERT_EQ(name, stream.name);
      ASSERT_NO_FATAL_FAILURE(check_line(words, stream));
      std::string form;
      ++compared[name];
    }
  }
  EXPECT_GE(streams, 30U);
  for (const auto& [name, count] : compared) EXPECT_EQ(count, 17) << name;
}

// KSWIN draws at random, so it is held to River's number of alarms a stream: within 4 standard errors.
TEST(RiverAlarms, OfKswinAreAsMany) {
  std::ifstream in(path("river_kswin_rates.txt"));
  ASSERT_TRUE(in);
  std::size_t compared = 0;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string what;
    RecordedStream stream;
    double low = 0;
    double high = 0;
    int streams = 0;
    std::int64_t at = 0;
    words >> what >> stream.noise >> low >> high >> streams >> stream.length >> at;
    if (what != "rate") continue;
    stream.knots = {{0, low, 0.5, 0, "ramp"}, {at, high, 0.5, 0, "ramp"}};
    constexpr int kTurns = 10;  // other seeds for the drawing: our own mean has a smaller error than River's
    double count[2] = {0, 0};
    for (int seed = 0; seed < streams; ++seed) {
      stream.seed = 1000 + static_cast<std::uint64_t>(seed);
      const auto values = stream.values();
      for (int turn = 0; turn < kTurns; ++turn) {
        const auto detector = made("kswin", {fmt::format("seed={}", seed * kTurns + turn)});
        for (const std::int64_t alarm : positions_of(*detector, values).alarms) count[alarm >= at] += 1;
      }
    }
    for (const double ours : count) {
      double mean = 0;
      double deviation = 0;
      words >> mean >> deviation;
      const double error = std::sqrt((deviation * deviation + 0.05) / streams);
      EXPECT_NEAR(ours / (streams * kTurns), mean, 4 * error) << line;
    }
    ++compared;
  }
  EXPECT_EQ(compared, 3U);
}

}  // namespace
}  // namespace freshet::test
