// The page of `freshet tune --report`, in a browser: tune_report_browser.py looks at it as a user would.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>

#include "core/json_writer.h"
#include "daemon/commands/backtest_report.h"
#include "daemon/tuning/study_report.h"
#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

class TuneReport : public IntegrationTest {
 protected:
  static std::string config() { return FRESHET_SOURCE_DIR "/examples/flights.yaml"; }
  void learn() {
    const Finished backtest =
        run_freshet({"backtest", "--config", config(), "--input", write("flights.jsonl", flights(8'000)), "--state",
                     path("state"), "--quiet"});
    ASSERT_EQ(backtest.exit_code, 0) << backtest.errors;
  }
  Finished tune(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"tune",        "--config",
                                          config(),      "--path",
                                          path("state"), "--quiet",
                                          "--set",       "tuning.max_trials=12",
                                          "--set",       "tuning.max_resource=9"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_freshet(arguments);
  }
  // Pages, and what each must say, as the script reads it.
  void look(const std::vector<std::pair<std::string, std::string>>& pages) const {
    std::vector<std::string> words = {"/usr/bin/python3",
                                      FRESHET_SOURCE_DIR "/tests/integration/tune_report_browser.py"};
    for (const auto& [page, expected] : pages) words.insert(words.end(), {path(page), expected});
    ChildProcess browser(words, {path(""), false});
    EXPECT_EQ(browser.wait(2 * kPatience), 0) << browser.output() << browser.errors();
  }
};

// What the script must find, from what the command printed.
std::string expected_of(const YAML::Node& found, std::size_t trials, std::size_t studies) {
  JsonWriter json(0);
  json.begin_object();
  json.field("trials", trials);
  json.field("studies", studies);
  json.field("best_trial", found["best"]["trial"].as<std::uint64_t>());
  json.field("best_score", -found["best"]["objective"].as<double>());
  json.key("settings");
  json.begin_object();
  for (const auto& setting : found["best"]["settings"]) {
    json.field(setting.first.as<std::string>(), setting.second.as<std::string>());
  }
  json.end_object();
  json.end_object();
  return json.take();
}

TEST_F(TuneReport, DrawsAStudyThatABrowserCanBeUsedOn) {
  learn();
  const Finished made = tune({"--json", "--study", path("first.study"), "--report", path("one.html")});
  ASSERT_EQ(made.exit_code, 0) << made.errors;
  const YAML::Node found = YAML::Load(made.output);
  const std::string expected = expected_of(found, found["study"]["trials"].size(), 1);

  // From the file alone: the same page, without the memory and the configuration.
  std::filesystem::remove_all(path("state"));
  const Finished alone = run_freshet({"tune", "--report", path("alone.html"), "--study", path("first.study")});
  ASSERT_EQ(alone.exit_code, 0) << alone.errors;
  look({{"one.html", expected}, {"alone.html", expected}});
}

TEST_F(TuneReport, ShowsStudiesBesideEachOther) {
  learn();
  const Finished first = tune({"--json", "--study", path("random.study")});
  ASSERT_EQ(first.exit_code, 0) << first.errors;
  const Finished second = tune({"--json", "--study", path("sobol.study"), "--study", path("random.study"), "--set",
                                "tuning.searcher=sobol", "--report", path("two.html")});
  ASSERT_EQ(second.exit_code, 0) << second.errors;
  const YAML::Node one = YAML::Load(first.output);
  const YAML::Node other = YAML::Load(second.output);
  const bool first_is_best = one["best"]["objective"].as<double>() > other["best"]["objective"].as<double>();
  const std::size_t trials = one["study"]["trials"].size() + other["study"]["trials"].size();
  look({{"two.html", expected_of(first_is_best ? one : other, trials, 2)}});
}

// Studies as they come seldom: nothing tried, one trial, all failed, some beyond all bounds, names that are markup.
TEST_F(TuneReport, DrawsStudiesThatAreNoneOrStrange) {
  std::vector<std::pair<std::string, std::string>> pages;
  const auto page = [&](const std::string& name, std::uint64_t trials,
                        const std::function<double(std::uint64_t)>& score) {
    tuning::StudyOptions options;
    options.scheduler.max_resource = 9;
    options.max_trials = std::max<std::uint64_t>(trials, 1);
    std::vector<SearchSpace> spaces = optimizer_search_spaces();
    const std::vector<tuning::Setting> fixed = {{"learning.schedule.kind", "constant"}};
    spaces.push_back(SearchSpace::integer("model.cross_layers", 1, 4));
    spaces.push_back(SearchSpace::linear("learning.replay_ratio", 0, 0.9));
    const auto study = *tuning::Study::create(options, *tuning::ParameterSpace::create(std::move(spaces), fixed));
    StudyTimeline timeline;
    while (trials > 0) {
      const auto job = study->next();
      if (!job) break;
      ASSERT_TRUE(study->finish({job->trial, job->to, score(job->trial), 1.0, {}, false, {}}).is_ok());
      timeline.note(*study, static_cast<double>(study->total_resource()), 0.5);
    }
    StudyFacts facts;
    facts.model = "</script><b>\"'&";
    facts.objective.forgetting_penalty = 0.5;
    const std::vector<ReportedStudy> studies = {{"a", study_document(*study, timeline, facts)}};
    const auto made = study_report("2026-01-02", studies);
    ASSERT_TRUE(made.is_ok()) << made.status().message();
    ASSERT_TRUE(write_file(path(name), *made).is_ok());
    pages.emplace_back(
        name, "{\"studies\": 1, \"strange\": true, \"trials\": " + std::to_string(study->trials().size()) + "}");
  };
  page("none.html", 0, [](std::uint64_t) { return 0.0; });
  page("single.html", 1, [](std::uint64_t) { return -0.5; });
  page("failed.html", 5, [](std::uint64_t) { return std::numeric_limits<double>::quiet_NaN(); });
  page("equal.html", 9, [](std::uint64_t) { return 0.0; });
  page("far.html", 30, [](std::uint64_t trial) {
    return trial % 7 == 3 ? -1e300 : trial % 7 == 4 ? HUGE_VAL : -1.0 / static_cast<double>(trial + 1);
  });
  look(pages);
}

TEST_F(TuneReport, SaysWhatItNeedsBeforeAnythingIsTrained) {
  const Finished nothing = run_freshet({"tune", "--report", path("a.html")});
  EXPECT_EQ(nothing.exit_code, 2);
  EXPECT_NE(nothing.errors.find("--config is required"), std::string::npos) << nothing.errors;
  const Finished missing = run_freshet({"tune", "--report", path("a.html"), "--study", path("none")});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_NE(missing.errors.find("cannot read"), std::string::npos) << missing.errors;
  const Finished nowhere = tune({"--report", path("no/folder/a.html")});
  EXPECT_EQ(nowhere.exit_code, 1);
  EXPECT_NE(nowhere.errors.find("cannot write"), std::string::npos) << nowhere.errors;
}

}  // namespace
}  // namespace freshet::test
