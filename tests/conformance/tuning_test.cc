// What every searcher must do with every scheduler, whichever they are: the suite runs over all pairs, with workers
// that are done in any order and trials that fail.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "core/rng.h"
#include "learners/tuning/study.h"

namespace freshet::tuning {
namespace {

constexpr std::uint64_t kSeed = 20250711;
constexpr std::uint64_t kMaxResource = 9;

ParameterSpace space() {
  std::vector<SearchSpace> spaces = {
      SearchSpace::choice("optimizer", {"sgd", "adam", "adagrad"}),
      SearchSpace::logarithmic("rate", 1e-3, 0.5).when("optimizer", {"sgd", "adagrad"}),
      SearchSpace::logarithmic("rate", 1e-5, 0.05).when("optimizer", {"adam"}),
      SearchSpace::choice("momentum", {"0", "0.9", "0.99"}).when("optimizer", {"sgd"}),
      SearchSpace::choice("nesterov", {"false", "true"}).when("momentum", {"0.9", "0.99"}),
      SearchSpace::log_integer("width", 4, 256),
      SearchSpace::integer("layers", 1, 3),
      SearchSpace::linear("replay", 0.1, 0.9).when("strategy", {"er"}),
      SearchSpace::linear("alpha", 0.1, 2).when("strategy", {"der"}),
  };
  return ParameterSpace::create(std::move(spaces), {{"strategy", "er"}}).value();
}

StudyOptions options_for(const std::string& searcher, const std::string& scheduler) {
  StudyOptions options;
  options.searcher.kind = searcher;
  options.searcher.seed = kSeed;
  options.searcher.grid_points = 2;
  options.searcher.initial = 6;
  options.searcher.candidates = 32;
  options.scheduler.kind = scheduler;
  options.scheduler.max_resource = kMaxResource;
  options.scheduler.median_trials = 3;
  options.max_trials = 24;
  return options;
}

// A number for a configuration, a resource: better with more of it.
double objective_of(const Configuration& configuration, std::uint64_t resource) {
  double sum = 0.0;
  for (std::size_t i = 0; i < configuration.values.size(); ++i) {
    const double value = configuration.values[i];
    if (!std::isnan(value)) sum += std::sin(value * 3.0 + static_cast<double>(i));
  }
  return sum - 4.0 / static_cast<double>(resource);
}

struct Trace {
  std::vector<Job> jobs;
  std::string bytes;
};

std::string bytes_of(const Study& study) {
  ByteWriter out;
  study.save(out);
  return out.take();
}

// Two workers, whose jobs end in an order that `order` draws. `failing`: the share of trials that diverge.
class Workers {
 public:
  Workers(std::uint64_t order, double failing) : order_(order), failing_(failing) {}

  // One job begun or ended; false: the study is over.
  bool step(Study& study, Trace& trace) {
    if (running_.size() < 2) {
      const auto job = study.next();
      if (job) {
        running_.push_back(*job);
        trace.jobs.push_back(*job);
        return true;
      }
    }
    if (running_.empty()) return false;
    const std::size_t done = order_.below(running_.size());
    const Job job = running_[done];
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(done));
    Completion completion;
    completion.trial = job.trial;
    completion.resource = job.to;
    completion.cost = static_cast<double>(job.to - job.from) * 0.5;
    const auto& configuration = study.trials()[job.trial].configuration;
    completion.objective = objective_of(configuration, job.to);
    for (auto at = job.from + job.evaluate_every; job.evaluate_every > 0 && at < job.to; at += job.evaluate_every) {
      completion.on_the_way.push_back({at, objective_of(configuration, at), 0.25});
    }
    if (Rng(kSeed + job.trial).uniform() < failing_) {
      completion.failed = job.trial % 2 == 0;
      completion.objective = std::numeric_limits<double>::quiet_NaN();
    }
    EXPECT_TRUE(study.finish(completion).is_ok());
    return true;
  }

 private:
  Rng order_;
  double failing_;
  std::vector<Job> running_;
};

class Pairs : public testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  StudyOptions options() const { return options_for(std::get<0>(GetParam()), std::get<1>(GetParam())); }
  static std::unique_ptr<Study> make(const StudyOptions& options) { return Study::create(options, space()).value(); }
  static Trace run(const StudyOptions& options, std::uint64_t order, double failing) {
    auto study = make(options);
    Workers workers(order, failing);
    Trace trace;
    for (int step = 0; step < 10'000 && workers.step(*study, trace); ++step) {
    }
    EXPECT_TRUE(study->over()) << study->end_reason();
    trace.bytes = bytes_of(*study);
    return trace;
  }
};

TEST_P(Pairs, DecideTheSameForTheSameSeedAndOrder) {
  const Trace first = run(options(), 7, 0.2);
  const Trace second = run(options(), 7, 0.2);
  EXPECT_EQ(first.jobs, second.jobs);
  EXPECT_TRUE(first.bytes == second.bytes);
  StudyOptions other = options();
  other.searcher.seed += 1;
  EXPECT_FALSE(run(other, 7, 0.2).bytes == first.bytes);
}

TEST_P(Pairs, ContinueExactlyFromWhatWasSaved) {
  for (const int stop : {0, 1, 9, 30, 61}) {
    SCOPED_TRACE(stop);
    auto whole = make(options());
    Workers workers(3, 0.2);
    Trace trace;
    for (int step = 0; step < stop; ++step) workers.step(*whole, trace);
    const std::string saved = bytes_of(*whole);
    auto loaded = make(options());
    Trace ignored;  // what it was before it is loaded has no part in it
    Workers others(5, 0.0);
    for (int step = 0; step < 12; ++step) others.step(*loaded, ignored);
    ByteReader reader(saved);
    const Status status = loaded->load(reader);
    ASSERT_TRUE(status.is_ok()) << status.to_string();
    EXPECT_TRUE(reader.at_end());
    EXPECT_TRUE(bytes_of(*loaded) == saved);
    Workers same = workers;
    Trace one;
    Trace two;
    for (int step = 0; step < 10'000 && workers.step(*whole, one); ++step) {
    }
    for (int step = 0; step < 10'000 && same.step(*loaded, two); ++step) {
    }
    EXPECT_EQ(one.jobs, two.jobs);
    EXPECT_TRUE(bytes_of(*whole) == bytes_of(*loaded));
  }
}

TEST_P(Pairs, StayInsideSpaceAndBudget) {
  for (const double ratio : {0.0, 2.0, 4.5}) {
    StudyOptions bounded = options();
    bounded.max_compute_ratio = ratio;
    const std::uint64_t bound =
        ratio == 0.0 ? std::numeric_limits<std::uint64_t>::max() : static_cast<std::uint64_t>(ratio * kMaxResource);
    auto study = make(bounded);
    Workers workers(11, 0.0);
    Trace trace;
    for (int step = 0; step < 10'000 && workers.step(*study, trace); ++step) {
      ASSERT_LE(study->total_resource() + study->reserved_resource(), bound);
      ASSERT_LE(study->trials().size(), bounded.max_trials);
    }
    EXPECT_TRUE(study->over());
    EXPECT_FALSE(study->end_reason().empty());
    EXPECT_FALSE(study->best().empty());
    std::uint64_t units = 0;
    for (const auto& trial : study->trials()) {
      const Status inside = study->space().check_inside(trial.configuration);
      EXPECT_TRUE(inside.is_ok()) << inside.to_string();
      units += trial.resource;
    }
    EXPECT_EQ(units, study->total_resource());
  }
}

TEST_P(Pairs, ResumeTrialsWhereTheyPaused) {
  auto study = make(options());
  Workers workers(2, 0.25);
  Trace trace;
  std::vector<std::uint64_t> at(100, 0);
  while (workers.step(*study, trace)) {
  }
  for (const auto& job : trace.jobs) {
    EXPECT_EQ(job.from, at[job.trial]);
    EXPECT_GT(job.to, job.from);
    EXPECT_LE(job.to, kMaxResource);
    at[job.trial] = job.to;
  }
  EXPECT_EQ(study->trials().size(), 24U);
}

TEST_P(Pairs, SurviveTrialsThatFailAndNeverGoOnWithThem) {
  auto study = make(options());
  Workers workers(4, 0.5);
  Trace trace;
  while (workers.step(*study, trace)) {
  }
  std::size_t failed = 0;
  for (std::uint64_t trial = 0; trial < study->trials().size(); ++trial) {
    if (study->state(trial) != TrialState::kFailed) continue;
    ++failed;
    EXPECT_EQ(std::count_if(trace.jobs.begin(), trace.jobs.end(), [&](const Job& job) { return job.trial == trial; }),
              1);
    EXPECT_FALSE(study->trials()[trial].note.empty());
  }
  EXPECT_GT(failed, 4U);
  ASSERT_FALSE(study->best().empty());
  EXPECT_TRUE(std::isfinite(study->best()[0].objective));
  // All of them failing is survived as well.
  Workers unlucky(4, 1.1);
  auto hopeless = make(options());
  for (int step = 0; step < 10'000 && unlucky.step(*hopeless, trace); ++step) {
  }
  EXPECT_TRUE(hopeless->over());
  EXPECT_TRUE(hopeless->best().empty());
}

TEST_P(Pairs, RefuseOutcomesThatNobodyAskedFor) {
  auto study = make(options());
  const Job job = study->next().value();
  const std::string before = bytes_of(*study);
  Completion completion;
  completion.objective = 1.0;
  completion.trial = job.trial + 1;
  completion.resource = job.to;
  EXPECT_FALSE(study->finish(completion).is_ok());
  completion.trial = job.trial;
  completion.resource = job.to + 1;
  EXPECT_FALSE(study->finish(completion).is_ok());
  completion.resource = job.to;
  completion.on_the_way = {{job.to, 0.5, 0.0}};
  EXPECT_FALSE(study->finish(completion).is_ok());
  EXPECT_TRUE(bytes_of(*study) == before);
  completion.on_the_way.clear();
  EXPECT_TRUE(study->finish(completion).is_ok());
  EXPECT_FALSE(study->finish(completion).is_ok());  // once only
}

TEST_P(Pairs, RefuseTheStateOfAnotherStudyAndCutBytes) {
  auto study = make(options());
  Workers workers(9, 0.1);
  Trace trace;
  for (int step = 0; step < 20; ++step) workers.step(*study, trace);
  const std::string saved = bytes_of(*study);
  StudyOptions other = options();
  other.max_trials += 1;
  auto stranger = make(other);
  ByteReader reader(saved);
  EXPECT_EQ(stranger->load(reader).code(), Code::kFailedPrecondition);
  for (std::size_t size = 0; size < saved.size(); size += 13) {
    auto cut = make(options());
    ByteReader part(std::string_view(saved).substr(0, size));
    EXPECT_FALSE(cut->load(part).is_ok()) << size;
  }
}

std::vector<std::string> texts(std::span<const std::string_view> names) { return {names.begin(), names.end()}; }

INSTANTIATE_TEST_SUITE_P(Tuning, Pairs,
                         testing::Combine(testing::ValuesIn(texts(searcher_names())),
                                          testing::ValuesIn(texts(scheduler_names()))),
                         [](const auto& pair) {
                           return fmt::format("{}_{}", std::get<0>(pair.param), std::get<1>(pair.param));
                         });

}  // namespace
}  // namespace freshet::tuning
