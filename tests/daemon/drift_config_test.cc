#include "daemon/config/drift_config.h"

#include <gtest/gtest.h>

#include "daemon/config/config_loader.h"
#include "daemon/config/option_table.h"

namespace freshet {
namespace {

Result<Config> load(const std::string& text) {
  LoadOptions options;
  options.text = text;
  return load_config(options);
}

TEST(DetectorConfig, IsReadInItsShortAndItsLongForm) {
  const auto config = load(
      "drift:\n  detectors: [ddm, {kind: page_hinkley, on: error, delta: 0.01}, {kind: kswin, on: 'feature:x'}]\n");
  ASSERT_TRUE(config.is_ok()) << config.status().message();
  const DetectorList& detectors = config->drift.detectors;
  ASSERT_EQ(detectors.size(), 3U);
  EXPECT_EQ(detectors[0], (DetectorConfig{"ddm", "error", {}})) << "it judges errors alone";
  EXPECT_EQ(detectors[1], (DetectorConfig{"page_hinkley", "error", {{"delta", "0.01"}}}));
  EXPECT_EQ(detectors[2].on, "feature:x");
  // What is printed reads back as the same.
  const auto again = load("drift:\n  detectors: " + format_detectors(detectors) + "\n");
  ASSERT_TRUE(again.is_ok()) << again.status().message();
  EXPECT_EQ(again->drift.detectors, detectors);
  const auto none = load("drift: {detectors: []}\n");
  ASSERT_TRUE(none.is_ok());
  EXPECT_TRUE(none->drift.detectors.empty());
}

TEST(DetectorConfig, CanBeSetOnTheCommandLine) {
  LoadOptions options;
  options.sets = {"drift.detectors=[{kind: ddm, on: error}]"};
  const auto config = load_config(options);
  ASSERT_TRUE(config.is_ok()) << config.status().message();
  EXPECT_EQ(config->drift.detectors.at(0).kind, "ddm");
}

TEST(DetectorConfig, FaultsSayWhatAndWhere) {
  const auto words = [](const std::string& detectors) {
    const auto config = load("drift:\n  detectors: " + detectors + "\n");
    EXPECT_FALSE(config.is_ok()) << detectors;
    return config.status().message();
  };
  const auto says = [&](const std::string& detectors, const std::string& part) {
    const std::string text = words(detectors);
    EXPECT_NE(text.find(part), std::string::npos) << text;
    EXPECT_NE(text.find("drift.detectors"), std::string::npos) << text;
    EXPECT_NE(text.find(":2:"), std::string::npos) << "the line: " << text;
  };
  says("adwin", "expected a list of detectors");
  says("[adwon]", "adwin");
  says("[{on: loss}]", "needs its kind");
  says("[{kind: adwin, on: weather}]", "'on' must be one of loss, reference, error, label or feature:NAME");
  says("[{kind: adwin, delta: much}]", "delta");
  says("[{kind: adwin, gamma: 1}]", "gamma");
  says("[{kind: ddm, on: loss}]", "write on: error");
  says("[[adwin]]", "expected a detector");
}

}  // namespace
}  // namespace freshet
