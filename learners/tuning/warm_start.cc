#include "learners/tuning/warm_start.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/core.h>

namespace freshet::tuning {

namespace {

constexpr std::uint32_t kMagic = 0x50545346;  // "FSTP"
constexpr std::uint32_t kFormat = 1;
constexpr double kUnknownDistance = 2.0;
constexpr std::size_t kNarrowLeast = 3;  // configurations, below which a box says nothing

using Kind = SearchSpace::Kind;

double best_of(const PastTrial& trial) {
  double best = -std::numeric_limits<double>::infinity();
  for (const auto& evaluation : trial.evaluations) best = std::max(best, evaluation.objective);
  return best;
}

// Trials with an evaluation, the best first.
std::vector<const PastTrial*> ranked(const PastStudy& study) {
  std::vector<const PastTrial*> trials;
  for (const auto& trial : study.trials) {
    if (!trial.evaluations.empty()) trials.push_back(&trial);
  }
  std::stable_sort(trials.begin(), trials.end(),
                   [](const PastTrial* a, const PastTrial* b) { return best_of(*a) > best_of(*b); });
  return trials;
}

// The space of one option cut to what `good` have there.
SearchSpace narrowed(const ParameterSpace& space, std::size_t i, std::span<const Configuration> good, double margin) {
  SearchSpace cut = space[i];
  std::vector<double> values;
  for (const auto& configuration : good) {
    if (!std::isnan(configuration.values[i])) values.push_back(configuration.values[i]);
  }
  if (values.size() < kNarrowLeast) return cut;
  if (cut.kind == Kind::kChoice) {
    std::vector<std::string> kept;
    for (std::size_t choice = 0; choice < cut.choices.size(); ++choice) {
      const auto at = static_cast<double>(choice);
      // Among choices in order, those between good ones may be good too.
      const auto [least, most] = std::minmax_element(values.begin(), values.end());
      const bool keep =
          space.ordered(i) ? at >= *least && at <= *most : std::find(values.begin(), values.end(), at) != values.end();
      if (keep) kept.push_back(cut.choices[choice]);
    }
    cut.choices = std::move(kept);
    return cut;
  }
  double low = 1.0;
  double high = 0.0;
  for (const double value : values) {
    low = std::min(low, space.unit_of(i, value));
    high = std::max(high, space.unit_of(i, value));
  }
  const double lowest = space.value_at(i, low - margin);
  const double highest = space.value_at(i, high + margin);
  if (lowest < highest) {
    cut.lowest = lowest;
    cut.highest = highest;
  }
  return cut;
}

}  // namespace

PastStudy past_study(const Study& study, std::vector<double> meta_features, double at, std::string name) {
  PastStudy past;
  past.name = std::move(name);
  past.meta_features = std::move(meta_features);
  past.at = at;
  past.max_resource = study.options().scheduler.max_resource;
  for (const auto& trial : study.trials()) {
    past.trials.push_back({study.space().settings(trial.configuration), trial.evaluations});
  }
  return past;
}

void save(const PastStudy& study, ByteWriter& out) {
  out.put(kMagic);
  out.put(kFormat);
  out.put_text(study.name);
  out.put_span(std::span<const double>(study.meta_features));
  out.put(study.at);
  out.put(study.max_resource);
  out.put<std::uint64_t>(study.trials.size());
  for (const auto& trial : study.trials) {
    out.put<std::uint64_t>(trial.settings.size());
    for (const auto& setting : trial.settings) {
      out.put_text(setting.option);
      out.put_text(setting.value);
    }
    out.put_span(std::span<const Evaluation>(trial.evaluations));
  }
}

Result<PastStudy> load_past_study(ByteReader& in) {
  if (in.get<std::uint32_t>() != kMagic) return data_loss("these bytes are no past study");
  if (in.get<std::uint32_t>() != kFormat) return failed_precondition("a past study of a format not known here");
  PastStudy study;
  study.name = in.get_text();
  study.meta_features = in.get_vector<double>();
  study.at = in.get<double>();
  study.max_resource = in.get<std::uint64_t>();
  const auto trials = in.get<std::uint64_t>();
  if (trials > in.remaining() / 16) return data_loss("a past study is cut short");
  for (std::uint64_t i = 0; i < trials; ++i) {
    PastTrial trial;
    const auto settings = in.get<std::uint64_t>();
    if (settings > in.remaining() / 16) return data_loss("a past study is cut short");
    for (std::uint64_t s = 0; s < settings; ++s) {
      std::string option = in.get_text();
      trial.settings.push_back({std::move(option), in.get_text()});
    }
    trial.evaluations = in.get_vector<Evaluation>();
    study.trials.push_back(std::move(trial));
  }
  if (!in.ok()) return data_loss("a past study is cut short");
  return study;
}

std::vector<double> meta_distances(std::span<const PastStudy> studies, std::span<const double> meta_features) {
  const std::size_t width = meta_features.size();
  std::vector<const double*> rows = {meta_features.data()};
  for (const auto& study : studies) {
    if (study.meta_features.size() == width) rows.push_back(study.meta_features.data());
  }
  const auto count = static_cast<double>(rows.size());
  std::vector<double> squares(studies.size(), 0.0);
  for (std::size_t f = 0; f < width; ++f) {
    double mean = 0.0;
    double variance = 0.0;
    for (const double* row : rows) mean += row[f] / count;
    for (const double* row : rows) variance += (row[f] - mean) * (row[f] - mean) / count;
    if (!(variance > 0.0) || !std::isfinite(variance)) continue;  // the same in all: no difference
    for (std::size_t s = 0; s < studies.size(); ++s) {
      if (studies[s].meta_features.size() != width) continue;
      const double off = studies[s].meta_features[f] - meta_features[f];
      squares[s] += off * off / variance / static_cast<double>(width);
    }
  }
  std::vector<double> distances;
  for (std::size_t s = 0; s < studies.size(); ++s) {
    distances.push_back(studies[s].meta_features.size() == width ? std::sqrt(squares[s]) : kUnknownDistance);
  }
  return distances;
}

Result<WarmStart> plan_warm_start(std::span<const PastStudy> studies, std::span<const double> meta_features, double now,
                                  const ParameterSpace& space, const WarmStartOptions& options, std::uint64_t seed) {
  if (!(options.half_life > 0.0) || !(options.narrow_margin >= 0.0) || !(options.weight_least > 0.0)) {
    return invalid_argument("a warm start's half-life and least weight are above 0, its margin is not below");
  }
  WarmStart plan{space, {}, {}, {}};
  const auto distances = meta_distances(studies, meta_features);
  for (std::size_t s = 0; s < studies.size(); ++s) {
    const double age = std::max(now - studies[s].at, 0.0);
    const double weight = std::exp(-0.5 * distances[s] * distances[s]) * std::exp2(-age / options.half_life);
    if (weight >= options.weight_least && !ranked(studies[s]).empty()) plan.used.push_back({s, distances[s], weight});
  }
  std::stable_sort(plan.used.begin(), plan.used.end(),
                   [](const WarmStart::Used& a, const WarmStart::Used& b) { return a.weight > b.weight; });
  plan.used.resize(std::min(plan.used.size(), options.studies_most));

  Rng rng(seed);
  if (options.narrow) {
    std::vector<Configuration> good;
    for (const auto& used : plan.used) {
      const auto trials = ranked(studies[used.study]);
      for (std::size_t i = 0; i < std::min(trials.size(), options.narrow_best); ++i) {
        good.push_back(space.nearest(trials[i]->settings, rng));
      }
    }
    std::vector<SearchSpace> cut;
    for (std::size_t i = 0; i < space.size(); ++i) cut.push_back(narrowed(space, i, good, options.narrow_margin));
    plan.space = TRY(ParameterSpace::create(std::move(cut), space.fixed()));
  }

  for (std::size_t rank = 0; plan.first.size() < options.first; ++rank) {
    bool any = false;
    for (const auto& used : plan.used) {
      const auto trials = ranked(studies[used.study]);
      if (rank >= trials.size()) continue;
      any = true;
      Configuration one = plan.space.nearest(trials[rank]->settings, rng);
      if (std::find(plan.first.begin(), plan.first.end(), one) == plan.first.end() &&
          plan.first.size() < options.first) {
        plan.first.push_back(std::move(one));
      }
    }
    if (!any) break;
  }

  for (const auto& used : plan.used) {
    const auto& study = studies[used.study];
    const double scale = options.max_resource == 0
                             ? 1.0
                             : static_cast<double>(options.max_resource) /
                                   static_cast<double>(std::max<std::uint64_t>(study.max_resource, 1));
    for (const auto& trial : study.trials) {
      const auto configuration = plan.space.parse(trial.settings);
      if (!configuration) continue;
      if (trial.evaluations.empty() || plan.prior.size() >= options.prior_most) continue;
      const auto& last = trial.evaluations.back();
      const double resource = std::max(1.0, std::round(static_cast<double>(last.resource) * scale));
      plan.prior.push_back({*configuration, static_cast<std::uint64_t>(resource), last.objective,
                            std::min(used.weight, 1.0), static_cast<std::uint32_t>(used.study)});
    }
  }
  return plan;
}

}  // namespace freshet::tuning
