// Searcher: which configuration a new trial gets, from chance, a plan, or what earlier trials showed.
//
// The same seed, suggestions and observations in the same order give the same suggestions. Objectives are better the
// higher they are.
//
// Threads: one owner.  Owns: its model of what was tried, its generator.
// Failure: create() refuses spaces that it cannot search. An objective that is not a number is a trial that failed.
// load() of bytes that do not fit returns data_loss or failed_precondition.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/status.h"
#include "learners/tuning/parameter_space.h"

namespace freshet::tuning {

struct SearcherOptions {
  std::string kind = "random";  // a name of searcher_names()
  std::uint64_t seed = 1;
  std::uint64_t max_resource = 100;  // of a trial: what models predict the objective at
  std::uint32_t grid_points = 5;     // grid: values of each number
  std::uint32_t initial = 0;         // gp, kde: trials drawn at random before the model speaks; 0: as many as it needs
  std::uint32_t candidates = 0;      // gp, kde: configurations that the model compares; 0: 256 (gp), 64 (kde)
  double random_share = 0.33;        // kde: of suggestions drawn at random, so that no part is given up for good
  double good_share = 0.15;          // kde: of the trials that count as good
  std::uint32_t observations_most = 256;  // gp: what it looks at, the best and the newest of more
};

// What an earlier study knows: a configuration and how good it was. `weight` in (0, 1] says how much that counts beside
// an observation of this study. Objectives compare within one `source` alone: other data have other scales.
struct PriorObservation {
  Configuration configuration;
  std::uint64_t resource = 0;
  double objective = 0.0;
  double weight = 1.0;
  std::uint32_t source = 0;
};

class Searcher {
 public:
  virtual ~Searcher() = default;
  virtual std::string_view name() const = 0;

  // The configuration of trial number `trial`; nothing: all were suggested.
  virtual std::optional<Configuration> suggest(std::uint64_t trial) = 0;
  // How good the configuration was that the trial has; of trials that this searcher did not suggest, too.
  virtual void observe(std::uint64_t trial, const Configuration& configuration, std::uint64_t resource,
                       double objective) = 0;
  // What counts from the start (warm_start.h); once, before anything is suggested. Those without a model pass it over.
  virtual void learn_from(const std::vector<PriorObservation>& /*prior*/) {}

  virtual void save(ByteWriter& out) const = 0;
  virtual Status load(ByteReader& in) = 0;
};

// grid, random, sobol, gp, kde
std::span<const std::string_view> searcher_names();
// `space` must outlive what is made.
Result<std::unique_ptr<Searcher>> make_searcher(const SearcherOptions& options, const ParameterSpace& space);

}  // namespace freshet::tuning
