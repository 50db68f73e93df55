// Slices, forgetting and transfer as they are shown: by the pipeline, in metrics, in a backtest's JSON and report.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "daemon/cli/temporary_folder.h"
#include "daemon/commands/backtest_report.h"
#include "daemon/pipeline/pipeline_metrics.h"
#include "daemon/status_json.h"
#include "tests/daemon/synthetic_stream.h"

namespace freshet::test {
namespace {

Result<PipelineSnapshot> learn(const Config& config, const StreamPlan& plan) {
  const auto folder = TRY(TemporaryFolder::create("freshet-test"));
  const SystemClock clock;
  PipelineLife life(config, folder.path(), clock);
  TRY(life.open(std::make_unique<SyntheticStream>(plan, 1, plan.offsets + 1, life.stop)));
  TRY(life.pipeline().run(life.stop));
  TRY(life.pipeline().finish());
  return life.pipeline().snapshot();
}

// 5,000 events, one in 1,000 s: 57.9 days from 2013-01-01 on.
TEST(SlicesShown, WindowsOfTimeAreSlicesAndNewOnesHaveAForwardTransfer) {
  Config config = synthetic_config();
  config.evaluation.slices_by = setting::SliceBy::kTime;
  config.evaluation.slices_window_ms = std::int64_t{20} * 86'400'000;
  const auto snapshot = learn(config, {});
  ASSERT_TRUE(snapshot.is_ok()) << snapshot.status().to_string();
  const auto& slices = snapshot->forgetting.slices;
  ASSERT_EQ(slices.size(), 3U);
  EXPECT_EQ(snapshot->slice_names[0], "2013-01-01+20d");
  EXPECT_EQ(snapshot->slice_names[1], "2013-01-21+20d");
  EXPECT_EQ(snapshot->slice_names[2], "2013-02-10+20d");
  EXPECT_FALSE(slices[0].before.has_value()) << "no model came before the first round";
  double sum = 0;
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    ASSERT_TRUE(slices[i].before.has_value());
    ASSERT_TRUE(slices[i].untrained.has_value());
    sum += *slices[i].before - *slices[i].untrained;
  }
  ASSERT_TRUE(snapshot->forgetting.forward_transfer.has_value());
  EXPECT_NEAR(*snapshot->forgetting.forward_transfer, sum / 2, 1e-12);
  EXPECT_TRUE(snapshot->forgetting.backward_transfer.has_value());
}

PipelineSnapshot three_slices() {
  PipelineSnapshot snapshot;
  snapshot.slice_names.assign(kSlicesMax, "other");
  snapshot.slice_names[0] = "a<b";
  snapshot.slice_names[2] = "c";
  Forgetting forgetting;
  const double scores[3][2] = {{0.9, NAN}, {0.7, 0.5}, {0.6, 0.8}};
  for (std::uint64_t round = 1; round <= 3; ++round) {
    forgetting.note_trained(round == 1 ? 0 : 2, round);
    const std::vector<SliceScore> row = {{0, scores[round - 1][0]}, {2, scores[round - 1][1]}};
    forgetting.record(10 * round, row);
  }
  snapshot.forgetting = forgetting.report();
  snapshot.slice_scores = forgetting.history();
  return snapshot;
}

TEST(SlicesShown, TheMatrixInJsonHasALineARoundAndNullWhereASliceWasNotScored) {
  const PipelineSnapshot snapshot = three_slices();
  JsonWriter json;
  json.begin_object();
  write_forgetting(json, snapshot, true);
  json.end_object();
  const std::string text = json.take();
  const YAML::Node matrix = YAML::Load(text)["forgetting"]["matrix"];
  EXPECT_EQ(matrix["slices"].as<std::vector<std::string>>(), (std::vector<std::string>{"a<b", "c"}));
  ASSERT_EQ(matrix["rounds"].size(), 3U);
  EXPECT_EQ(matrix["rounds"][1]["round"].as<int>(), 20);
  EXPECT_FLOAT_EQ(matrix["rounds"][1]["scores"][0].as<float>(), 0.7F);
  EXPECT_FLOAT_EQ(matrix["rounds"][2]["scores"][1].as<float>(), 0.8F);
  EXPECT_TRUE(matrix["rounds"][0]["scores"][1].IsNull());
  EXPECT_NE(text.find(R"({"round": 10, "scores": [0.9, null]})"), std::string::npos) << text;
  JsonWriter without;
  without.begin_object();
  write_forgetting(without, snapshot);
  without.end_object();
  EXPECT_EQ(without.take().find("matrix"), std::string::npos);
}

TEST(SlicesShown, TheReportDrawsACellForEachScore) {
  const auto folder = TemporaryFolder::create("freshet-test");
  ASSERT_TRUE(folder.is_ok());
  const std::string file = folder->path() + "/report.html";
  ASSERT_TRUE(write_backtest_report(file, "a title", three_slices(), "{}").is_ok());
  std::stringstream page;
  page << std::ifstream(file).rdbuf();
  const std::string text = page.str();
  std::size_t cells = 0;
  for (std::size_t at = text.find("<title>", text.find("<body>")); at != std::string::npos;
       at = text.find("<title>", at + 1))
    ++cells;
  EXPECT_EQ(cells, 5U);
  EXPECT_NE(text.find("<title>a&lt;b, round 20: 0.7000</title>"), std::string::npos);
  EXPECT_NE(text.find("fill=\"#0b3d6e\"><title>a&lt;b, round 10: 0.9000"), std::string::npos) << "the best is darkest";
  EXPECT_NE(text.find("<td>largest forgetting</td><td>+0.3000</td>"), std::string::npos);
}

TEST(SlicesShown, TransferIsAMetricFromWhenItCanBeTold) {
  LocalMetrics registry;
  PipelineMetrics metrics(registry);
  metrics.show_transfer(ForgettingReport{});
  ForgettingReport report;
  report.mean_forgetting = 0.25;
  report.max_forgetting = 0.5;
  report.backward_transfer = -0.125;
  metrics.show_transfer(report);
  EXPECT_EQ(registry.gauge("freshet_mean_forgetting", "").value(), 0.25);
  EXPECT_EQ(registry.gauge("freshet_max_forgetting", "").value(), 0.5);
  EXPECT_EQ(registry.gauge("freshet_backward_transfer", "").value(), -0.125);
  report.forward_transfer = 0.75;
  metrics.show_transfer(report);
  EXPECT_EQ(registry.gauge("freshet_forward_transfer", "").value(), 0.75);
}

}  // namespace
}  // namespace freshet::test
