// What the section `tuning` of a configuration asks for: the study's options, the space that it searches, its
// objective.
//
// Threads: pure functions.  Failure: says which option does not fit, and how.
#pragma once

#include "daemon/config/config.h"
#include "daemon/tuning/trial_learner.h"
#include "learners/tuning/study.h"
#include "learners/tuning/study_runner.h"

namespace freshet {

Result<tuning::StudyOptions> study_options(const Config& config);
// in_place: for a learner that goes on. Another optimizer would begin without what the present one has gathered; only
// `tuning.space` may ask for that.
Result<tuning::ParameterSpace> study_space(const Config& config, bool in_place = false);
tuning::RunnerOptions runner_options(const Config& config);
Result<TrialObjective> trial_objective(const Config& config);

// One of `tuning.space`: "0.001..0.5 log", "1..8", "16|32|64".
Result<SearchSpace> parse_search_space(const std::string& option, std::string_view text);

}  // namespace freshet
