// The strategies there are: one file of this folder each, made by the function declared here and listed under its name
// in Strategy::create (learners/training/strategy.cc).
//
// Threads: pure functions.  Owns: nothing.  Failure: options that make no strategy are refused.
#pragma once

#include <memory>

#include "learners/training/strategy.h"

namespace freshet::strategies {

Result<std::unique_ptr<Strategy>> make_experience_replay(const StrategyOptions& options);
Result<std::unique_ptr<Strategy>> make_der(const StrategyOptions& options);
Result<std::unique_ptr<Strategy>> make_der_pp(const StrategyOptions& options);
Result<std::unique_ptr<Strategy>> make_er_ace(const StrategyOptions& options);
Result<std::unique_ptr<Strategy>> make_pod_er(const StrategyOptions& options);
Result<std::unique_ptr<Strategy>> make_fine_tune(const StrategyOptions& options);
Result<std::unique_ptr<Strategy>> make_lwf(const StrategyOptions& options);
Result<std::unique_ptr<Strategy>> make_ewc(const StrategyOptions& options);
Result<std::unique_ptr<Strategy>> make_cls_er(const StrategyOptions& options);
Result<std::unique_ptr<Strategy>> make_mir(const StrategyOptions& options);
Result<std::unique_ptr<Strategy>> make_super_er(const StrategyOptions& options);
Result<std::unique_ptr<Strategy>> make_gdumb(const StrategyOptions& options);
Result<std::unique_ptr<Strategy>> make_joint(const StrategyOptions& options);
Result<std::unique_ptr<Strategy>> make_offline_er(const StrategyOptions& options);
Result<std::unique_ptr<Strategy>> make_repeated_distillation(const StrategyOptions& options);

}  // namespace freshet::strategies
