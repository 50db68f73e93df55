// Warm start: what a new study takes from earlier ones.
//
// - Which: a study counts by exp(-distance^2 / 2), where distance is the root mean square of the differences of the
//   meta-features (class balance, moments of features, drift statistics, rate of the stream: the caller's choice, the
//   same for all), each divided by its standard deviation over all studies, the new one among them; times one half for
//   each `half_life` of age. Those below `weight_least` do not count.
// - First: the best configurations of the studies that count, in turn, the most alike first (Feurer, Springenberg and
//   Hutter, AAAI 2015).
// - Narrowing: each range and choice is cut to what the best configurations span, with a margin (the bounding box of
//   Perrone et al., NeurIPS 2019, there of one best each; with few studies a box of those alone would be too tight).
// - Prior: the last evaluation of each trial that lies in the narrowed space, with the study's weight; a searcher with
// a model learns from
//   them beside its own (their objectives are ranked within their study, so scales do not matter: Salinas, Shen and
//   Perrone, ICML 2020).
//
// Threads: values.  Owns: nothing.
// Failure: of studies that do not fit (other options, values outside), what fits is taken; none is no error.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/status.h"
#include "learners/tuning/parameter_space.h"
#include "learners/tuning/searcher.h"
#include "learners/tuning/study.h"

namespace freshet::tuning {

struct PastTrial {
  std::vector<Setting> settings;
  std::vector<Evaluation> evaluations;
};

// What is kept of a study for later ones.
struct PastStudy {
  std::string name;
  std::vector<double> meta_features;
  double at = 0.0;  // when, in any unit that `half_life` is in: event time, events, studies
  std::uint64_t max_resource = 1;
  std::vector<PastTrial> trials;
};
PastStudy past_study(const Study& study, std::vector<double> meta_features, double at, std::string name = {});
void save(const PastStudy& study, ByteWriter& out);
Result<PastStudy> load_past_study(ByteReader& in);

struct WarmStartOptions {
  std::size_t studies_most = 5;
  double half_life = std::numeric_limits<double>::infinity();
  double weight_least = 0.1;
  std::size_t first = 4;         // configurations to begin with
  std::size_t prior_most = 256;  // trials to learn from, those of the most alike studies first
  bool narrow = true;
  std::size_t narrow_best = 3;     // of each study
  double narrow_margin = 0.1;      // of the whole range, on each side
  std::uint64_t max_resource = 0;  // of the new study: resources of others are brought to its scale; 0: as they are
};

struct WarmStart {
  struct Used {
    std::size_t study = 0;
    double distance = 0.0;
    double weight = 0.0;
  };
  ParameterSpace space;
  std::vector<Configuration> first;
  std::vector<PriorObservation> prior;
  std::vector<Used> used;  // the most alike first
};

// The root mean square difference that is described above, to each study; where the number of features is another, 2.
std::vector<double> meta_distances(std::span<const PastStudy> studies, std::span<const double> meta_features);

Result<WarmStart> plan_warm_start(std::span<const PastStudy> studies, std::span<const double> meta_features, double now,
                                  const ParameterSpace& space, const WarmStartOptions& options, std::uint64_t seed);

}  // namespace freshet::tuning
