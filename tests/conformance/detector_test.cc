// What every drift detector must do, whichever it is.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "learners/drift/detectors.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 7;

// Errors that become more frequent every 2,000 events and then fewer: each detector has something to say.
std::vector<double> errors() {
  std::mt19937_64 random(kSeed);
  std::vector<double> values;
  for (int t = 0; t < 20'000; ++t) {
    const double rates[] = {0.05, 0.6, 0.95, 0.1};
    const double rate = rates[t / 2000 % 4];
    values.push_back(static_cast<double>(random() >> 11) * 0x1.0p-53 < rate ? 1 : 0);
  }
  return values;
}

std::unique_ptr<DriftDetector> made(const DetectorKind& kind) {
  auto detector = make_detector(DetectorSettings(kind));
  EXPECT_TRUE(detector.is_ok()) << kind.name;
  return std::move(detector).value();
}

std::string state_of(const DriftDetector& detector) {
  ByteWriter out;
  detector.save(out);
  return out.take();
}

std::vector<DriftState> said(DriftDetector& detector, std::span<const double> values) {
  std::vector<DriftState> states;
  for (const double value : values) {
    const auto state = detector.update(value);
    EXPECT_TRUE(state.is_ok()) << state.status().message();
    states.push_back(state.is_ok() ? *state : DriftState::kNone);
  }
  return states;
}

class Detectors : public ::testing::TestWithParam<const DetectorKind*> {
 protected:
  const DetectorKind& kind() const { return *GetParam(); }
};

TEST_P(Detectors, RaiseAnAlarmWhereErrorsBecomeFrequent) {
  // By default page_hinkley waits for a cumulated distance of 50, and 0.55 more errors an event give 1,000.
  const auto states = said(*made(kind()), errors());
  const auto alarm = std::find(states.begin() + 2000, states.begin() + 4000, DriftState::kDrift);
  EXPECT_NE(alarm, states.begin() + 4000);
}

TEST_P(Detectors, SayTheSameOfTheSameNumbers) {
  const auto first = made(kind());
  const auto second = made(kind());
  const auto values = errors();
  EXPECT_EQ(said(*first, values), said(*second, values));
  EXPECT_EQ(state_of(*first), state_of(*second));
}

TEST_P(Detectors, GoOnExactlyAfterLoading) {
  const auto values = errors();
  const auto whole = made(kind());
  auto parts = made(kind());
  const std::span<const double> all(values);
  for (std::size_t begin = 0; begin < values.size(); begin += 777) {
    const auto piece = all.subspan(begin, std::min<std::size_t>(777, values.size() - begin));
    EXPECT_EQ(said(*whole, piece), said(*parts, piece)) << begin;
    EXPECT_EQ(whole->statistic(), parts->statistic());
    const std::string stored = state_of(*parts);
    parts = made(kind());
    ByteReader in(stored);
    ASSERT_TRUE(parts->load(in).is_ok());
    EXPECT_TRUE(in.at_end());
    EXPECT_EQ(state_of(*parts), stored);
  }
}

TEST_P(Detectors, AreAsNewAfterAReset) {
  const auto values = errors();
  const auto used = made(kind());
  said(*used, std::span(values).first(5000));
  used->reset();
  const auto fresh = made(kind());
  EXPECT_EQ(state_of(*used), state_of(*fresh));
  EXPECT_EQ(used->statistic(), fresh->statistic());
  EXPECT_EQ(said(*used, values), said(*fresh, values));
}

TEST_P(Detectors, RefuseWhatIsNoNumberAndStayAsTheyWere) {
  const auto detector = made(kind());
  said(*detector, std::span<const double>(errors()).first(100));
  const std::string before = state_of(*detector);
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const auto state = detector->update(bad);
    ASSERT_FALSE(state.is_ok());
    EXPECT_EQ(state.code(), Code::kInvalidArgument);
    EXPECT_NE(state.status().message().find(std::string(kind().name)), std::string::npos) << state.status().message();
    EXPECT_EQ(state_of(*detector), before);
  }
}

TEST_P(Detectors, RaiseNoAlarmOnAConstant) {
  for (const double constant : {0.0, 1.0, 0.25}) {
    const auto detector = made(kind());
    for (int t = 0; t < 50'000; ++t) {
      const auto state = detector->update(constant);
      ASSERT_TRUE(state.is_ok());
      ASSERT_NE(*state, DriftState::kDrift) << constant << " at " << t;
    }
  }
}

TEST_P(Detectors, RefuseDamagedOrForeignStates) {
  const auto detector = made(kind());
  said(*detector, std::span<const double>(errors()).first(3000));
  const std::string stored = state_of(*detector);
  for (std::size_t size = 0; size < stored.size(); ++size) {
    ByteReader in(std::string_view(stored).substr(0, size));
    EXPECT_EQ(detector->load(in).code(), Code::kDataLoss) << size;
    EXPECT_EQ(state_of(*detector), state_of(*made(kind())));
  }
  for (const DetectorKind* other : detector_kinds()) {
    if (other == &kind()) continue;
    ByteReader in(stored);
    EXPECT_EQ(made(*other)->load(in).code(), Code::kDataLoss) << other->name;
  }
  DetectorSettings settings(kind());
  const DetectorOption& option = kind().options[0];
  ASSERT_TRUE(settings.set(option.name, detector_option_text(option, option.highest)).is_ok());
  auto other = make_detector(settings);
  ASSERT_TRUE(other.is_ok());
  ByteReader in(stored);
  EXPECT_NE((*other)->load(in).message().find("settings"), std::string::npos);
}

TEST_P(Detectors, DeclareOptionsThatHoldTheirOwnDefaults) {
  EXPECT_FALSE(kind().title.empty());
  EXPECT_FALSE(kind().source.empty());
  for (const DetectorOption& option : kind().options) {
    DetectorSettings settings(kind());
    EXPECT_FALSE(option.help.empty()) << option.name;
    EXPECT_TRUE(settings.set(option.name, detector_option_text(option, option.standard)).is_ok()) << option.name;
    EXPECT_EQ(settings.real(option.name), option.standard);
    for (const char* wrong : {"", "much", "1e99", "-3", "nan"}) {
      const Status status = settings.set(option.name, wrong);
      EXPECT_EQ(status.code(), Code::kInvalidArgument) << option.name << "=" << wrong;
      EXPECT_NE(status.message().find(std::string(option.name)), std::string::npos) << status.message();
    }
  }
  DetectorSettings settings(kind());
  EXPECT_NE(settings.set("no_such", "1").message().find(std::string(kind().options[0].name)), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(All, Detectors, ::testing::ValuesIn(detector_kinds().begin(), detector_kinds().end()),
                         [](const auto& kind) { return std::string(kind.param->name); });

}  // namespace
}  // namespace freshet
