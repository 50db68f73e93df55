// What a report shows of a study, the page made of it, and the file that keeps both.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "daemon/cli/temporary_folder.h"
#include "daemon/tuning/study_file.h"
#include "daemon/tuning/study_report.h"

namespace freshet::test {
namespace {

constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN();

tuning::ParameterSpace space() {
  std::vector<SearchSpace> spaces;
  spaces.push_back(SearchSpace::choice("learning.optimizer", {"sgd", "adam"}));
  spaces.push_back(SearchSpace::logarithmic("learning.learning_rate", 0.001, 0.5));
  spaces.push_back(SearchSpace::choice("learning.momentum", {"0", "0.9"}).when("learning.optimizer", {"sgd"}));
  spaces.push_back(SearchSpace::integer("model.cross_layers", 1, 4));
  return *tuning::ParameterSpace::create(std::move(spaces));
}

tuning::StudyOptions options(std::uint64_t trials) {
  tuning::StudyOptions made;
  made.searcher.kind = "random";
  made.searcher.seed = 7;
  made.scheduler.kind = "asha";
  made.scheduler.max_resource = 9;
  made.scheduler.eta = 3;
  made.max_trials = trials;
  return made;
}

// One worker; trial i scores -(i + 1) / resource, the second diverges. Every stretch takes two seconds, one of the
// processor's.
void run(tuning::Study& study, StudyTimeline& timeline) {
  double at = 0;
  while (const auto job = study.next()) {
    tuning::Completion done;
    done.trial = job->trial;
    done.resource = job->to;
    done.objective = job->trial == 1 ? kNoNumber : -static_cast<double>(job->trial + 1) / static_cast<double>(job->to);
    done.cost = static_cast<double>(job->to - job->from);
    ASSERT_TRUE(study.finish(done).is_ok());
    at += 2;
    timeline.note(study, at, at / 2);
  }
}

StudyFacts facts() {
  StudyFacts made;
  made.model = "flights";
  made.objective.metric = "log_loss";
  made.events_trained_on = 8000;
  made.workers = 2;
  made.configured_trial = 0;
  return made;
}

TEST(StudyReport, TellsTrialsAndTheOrderInWhichTheyWereTrained) {
  const auto study = *tuning::Study::create(options(6), space());
  StudyTimeline timeline;
  run(*study, timeline);
  const YAML::Node told = YAML::Load(study_document(*study, timeline, facts()));
  EXPECT_TRUE(told["lower_is_better"].as<bool>());
  EXPECT_EQ(told["rungs"].as<std::vector<int>>(), (std::vector<int>{1, 3, 9}));
  EXPECT_EQ(told["configured_trial"].as<int>(), 0);
  ASSERT_EQ(told["study"]["trials"].size(), 6U);

  // Six trials of one stretch; of 3, 4 and 5 one goes on, of 6 two; the rung at 3 has two then, too few for another.
  const YAML::Node finished = told["finished"];
  ASSERT_EQ(finished.size(), 8U);
  std::map<int, int> trained;
  for (std::size_t i = 0; i < finished.size(); ++i) {
    EXPECT_EQ(finished[i]["from"].as<int>(), trained[finished[i]["trial"].as<int>()]) << i;
    trained[finished[i]["trial"].as<int>()] = finished[i]["to"].as<int>();
    EXPECT_EQ(finished[i]["at"].as<double>(), 2.0 * static_cast<double>(i + 1));
    EXPECT_EQ(finished[i]["seconds"].as<double>(), 1.0);
    EXPECT_EQ(finished[i]["objective"].IsNull(), finished[i]["trial"].as<int>() == 1) << "no number becomes null";
  }
  EXPECT_EQ(trained, (std::map<int, int>{{0, 3}, {1, 1}, {2, 3}, {3, 1}, {4, 1}, {5, 1}}));
  EXPECT_EQ(told["seconds"].as<double>(), 16.0);
  EXPECT_EQ(told["worker_seconds"].as<double>(), 8.0);
  EXPECT_EQ(told["study"]["trials"][1]["state"].as<std::string>(), "failed");

  for (const YAML::Node& trial : told["study"]["trials"]) {
    const YAML::Node settings = trial["configuration"];
    EXPECT_EQ(settings["learning.momentum"].IsDefined(), settings["learning.optimizer"].as<std::string>() == "sgd");
  }
  const YAML::Node searched = told["study"]["space"];
  EXPECT_TRUE(searched[1]["log"].as<bool>());
  EXPECT_FALSE(searched[1]["integer"].as<bool>());
  EXPECT_TRUE(searched[3]["integer"].as<bool>());
}

TEST(StudyReport, AStudyWithoutTrialsAndOneWithoutRungsAreTold) {
  const auto study = *tuning::Study::create(options(6), space());
  const YAML::Node told = YAML::Load(study_document(*study, {}, facts()));
  EXPECT_EQ(told["finished"].size(), 0U);
  EXPECT_TRUE(told["configured_trial"].IsNull());
  tuning::StudyOptions plain = options(6);
  plain.scheduler.kind = "plain";
  const auto whole = *tuning::Study::create(plain, space());
  EXPECT_EQ(YAML::Load(study_document(*whole, {}, facts()))["rungs"].as<std::vector<int>>(), (std::vector<int>{9}));
}

TEST(StudyReport, ThePageIsOneFileInWhichNoNameBecomesMarkup) {
  const auto study = *tuning::Study::create(options(2), space());
  StudyTimeline timeline;
  run(*study, timeline);
  StudyFacts made = facts();
  made.model = "</script><script>alert(1)</script>";
  const std::vector<ReportedStudy> studies = {{"a<b", study_document(*study, timeline, made)},
                                              {"{{data}}", study_document(*study, timeline, made)}};
  const auto page = study_report("2026-01-02", studies);
  ASSERT_TRUE(page.is_ok()) << page.status().message();
  const std::string opening = R"(<script type="application/json" id="studies-data">)";
  const auto begin = page->find(opening);
  ASSERT_NE(begin, std::string::npos);
  const std::string data =
      page->substr(begin + opening.size(), page->find("</script>", begin) - begin - opening.size());
  EXPECT_EQ(data.find('<'), std::string::npos);
  const YAML::Node told = YAML::Load(data);
  EXPECT_EQ(told["written"].as<std::string>(), "2026-01-02");
  ASSERT_EQ(told["studies"].size(), 2U);
  EXPECT_EQ(told["studies"][0]["name"].as<std::string>(), "a<b");
  EXPECT_EQ(told["studies"][0]["document"]["model"].as<std::string>(), made.model);
  EXPECT_EQ(told["studies"][1]["name"].as<std::string>(), "{{data}}");
  for (const char* outside : {"src=\"", "href=\"http", "url(http", "@import", "import("}) {
    EXPECT_EQ(page->find(outside), std::string::npos) << outside;
  }
  EXPECT_NE(page->find("Chart.js Contributors"), std::string::npos) << "the library's licence goes with it";
}

TEST(StudyTimeline, GoesOnAfterAPauseWithoutItAndKnowsWhatItDidNotSee) {
  const auto study = *tuning::Study::create(options(3), space());
  StudyTimeline timeline;
  const auto one = [&](StudyTimeline& noted, double at, double worker) {
    const auto job = study->next();
    ASSERT_TRUE(job.has_value());
    ASSERT_TRUE(study->finish({job->trial, job->to, -1.0, 1.0, {}, false, {}}).is_ok());
    noted.note(*study, at, worker);
  };
  one(timeline, 4, 3);
  ByteWriter out;
  timeline.save(out);
  StudyTimeline later;
  ByteReader in(out.buffer());
  ASSERT_TRUE(later.load(in).is_ok());
  one(later, 2, 1);  // two seconds after the second run began
  ASSERT_EQ(later.stretches().size(), 2U);
  EXPECT_EQ(later.stretches()[1].trial, 1U);
  EXPECT_EQ(later.stretches()[1].at, 6);
  EXPECT_EQ(later.stretches()[1].seconds, 1);
  EXPECT_EQ(later.worker_seconds(), 4);

  StudyTimeline unseen;
  unseen.begin_after(*study);
  one(unseen, 1, 1);
  ASSERT_EQ(unseen.stretches().size(), 1U);
  EXPECT_EQ(unseen.stretches()[0].trial, 2U);

  const std::string cut = out.buffer().substr(0, out.buffer().size() - 1);
  ByteReader short_of(cut);
  EXPECT_FALSE(later.load(short_of).is_ok());
  EXPECT_EQ(later.stretches().size(), 2U) << "as it was";
}

class Nothing final : public tuning::TrialTrainers {
  Result<std::unique_ptr<tuning::TrialTrainer>> create(std::uint64_t, std::span<const tuning::Setting>) override {
    return unsupported("trains nothing");
  }
  Result<std::unique_ptr<tuning::TrialTrainer>> resume(std::uint64_t, std::span<const tuning::Setting>,
                                                       std::string_view) override {
    return unsupported("trains nothing");
  }
};

class StudyFileTest : public ::testing::Test {
 protected:
  std::string path() const { return folder_->path() + "/study"; }
  void write(const std::string& bytes) const { std::ofstream(path(), std::ios::binary) << bytes; }
  std::string bytes() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  Result<TemporaryFolder> folder_ = TemporaryFolder::create("freshet-test");
  Nothing trainers_;
};

TEST_F(StudyFileTest, KeepsTheStudyAndWhatAReportShows) {
  const auto study = *tuning::Study::create(options(4), space());
  const auto runner = *tuning::StudyRunner::create(*study, trainers_, {});
  StudyTimeline timeline;
  ASSERT_TRUE(runner->run([&] { timeline.note(*study, 1, 1); }).is_ok());
  ASSERT_TRUE(write_study_file(path(), "{\"a\":1}", timeline, *runner).is_ok());

  const auto file = read_study_file(path());
  ASSERT_TRUE(file.is_ok()) << file.status().message();
  EXPECT_EQ(file->document, "{\"a\":1}");
  EXPECT_EQ(file->timeline.stretches().size(), 4U);
  const auto again = *tuning::Study::create(options(4), space());
  const auto loaded = *tuning::StudyRunner::create(*again, trainers_, {});
  ByteReader in(file->runner);
  ASSERT_TRUE(loaded->load(in).is_ok());
  EXPECT_EQ(again->trials().size(), 4U);

  // One of format 1 is a running study alone.
  ByteWriter old;
  old.put<std::uint32_t>(1);
  old.append(file->runner.data(), file->runner.size());
  write(old.buffer());
  const auto first = read_study_file(path());
  ASSERT_TRUE(first.is_ok()) << first.status().message();
  EXPECT_EQ(first->runner, file->runner);
  EXPECT_TRUE(first->document.empty());
}

TEST_F(StudyFileTest, RefusesWhatIsDamagedNewerOrNoStudy) {
  const auto study = *tuning::Study::create(options(4), space());
  const auto runner = *tuning::StudyRunner::create(*study, trainers_, {});
  const auto says = [&](const char* part) {
    const auto file = read_study_file(path());
    ASSERT_FALSE(file.is_ok()) << part;
    EXPECT_NE(file.status().message().find(part), std::string::npos) << file.status().message();
  };
  says("cannot read");
  ASSERT_TRUE(write_study_file(path(), "{\"a\":1}", {}, *runner).is_ok());
  std::string damaged = bytes();
  damaged[24] ^= 1;  // in the document: after format, checksum and length
  write(damaged);
  says("is damaged");
  write(std::string("\x03\0\0\0", 4));
  says("format 3");
  write("no study");
  says("is no study");
  write("");
  says("is no study");
}

}  // namespace
}  // namespace freshet::test
