// TrialHistory: what a searcher with a model remembers: every observation, whose trial it was, and which configurations
// were suggested and not yet observed.
//
// Threads: one owner.  Owns: its lists.  Failure: load() refuses what is not of the space.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "core/bytes.h"
#include "learners/tuning/searcher.h"

namespace freshet::tuning {

struct Observed {
  std::uint64_t trial = 0;
  Configuration configuration;
  std::uint64_t resource = 0;
  double objective = 0.0;  // not a number: failed
};

class TrialHistory {
 public:
  void suggested(std::uint64_t trial, const Configuration& configuration) { pending_[trial] = configuration; }
  void observe(std::uint64_t trial, const Configuration& configuration, std::uint64_t resource, double objective) {
    pending_.erase(trial);
    observed_.push_back({trial, configuration, resource, objective});
  }
  const std::vector<Observed>& observed() const { return observed_; }
  const std::map<std::uint64_t, Configuration>& pending() const { return pending_; }
  bool tried(const Configuration& configuration) const;

  void save(ByteWriter& out) const;
  Status load(ByteReader& in, const ParameterSpace& space);

 private:
  std::vector<Observed> observed_;
  std::map<std::uint64_t, Configuration> pending_;
};

// Of objectives that compare with each other: the normal quantile of each one's rank among them, equal ones sharing
// theirs, failed ones last (the Gaussian copula of Salinas, Shen and Perrone, 2020). Neither one diverged trial nor
// another study's scale then bends the model.
std::vector<double> normal_scores(const std::vector<double>& objectives);

}  // namespace freshet::tuning
