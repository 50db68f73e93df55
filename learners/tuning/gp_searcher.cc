// Bayesian optimisation: a Gaussian process over configurations and the resource at which each was observed, as one
// function of both (Klein et al., "Model-based asynchronous hyperparameter and neural architecture search", 2020), and
// the configuration whose expected improvement at the full resource is highest. Objectives enter as normal scores
// (trial_history.h). Configurations that are still being trained count as observed at what the model says of them
// (the kriging believer of Ginsbourger, Le Riche and Carraro, 2010), so that workers do not all get the same one.
#include <algorithm>
#include <cmath>
#include <limits>

#include "learners/tuning/gaussian_process.h"
#include "learners/tuning/searchers.h"
#include "learners/tuning/trial_history.h"

namespace freshet::tuning {

namespace {

constexpr std::uint32_t kCandidates = 256;
constexpr std::size_t kRefined = 4;  // candidates that are improved by small moves
constexpr std::size_t kMoves = 24;   // tried for each of them
constexpr int kStepsFirst = 40;      // of fitting
constexpr int kStepsAgain = 12;

struct Scored {
  Configuration configuration;
  double improvement = 0.0;
};

std::vector<std::uint32_t> with_resource(std::span<const std::uint32_t> groups, std::size_t spaces) {
  // Spaces of one choice have no coordinate: number those that have.
  std::vector<std::uint32_t> numbered(spaces, 0), made;
  std::uint32_t count = 0;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (i == 0 || groups[i] != groups[i - 1]) numbered[groups[i]] = count++;
    made.push_back(numbered[groups[i]]);
  }
  made.push_back(count);
  return made;
}

class GpSearcher final : public Searcher {
 public:
  GpSearcher(const SearcherOptions& options, const ParameterSpace& space)
      : options_(options),
        space_(space),
        rng_(options.seed),
        process_(with_resource(space.groups(), space.size())),
        hyperparameters_(process_.defaults()) {
    if (options_.candidates == 0) options_.candidates = kCandidates;
    if (options_.initial == 0) {
      options_.initial = static_cast<std::uint32_t>(std::min<std::size_t>(space.encoded_width() + 1, 8));
    }
  }

  std::string_view name() const override { return "gp"; }

  std::optional<Configuration> suggest(std::uint64_t trial) override {
    Configuration configuration = space_.sample(rng_);
    if (history_.observed().size() + prior_.size() >= options_.initial && learn()) configuration = most_promising();
    history_.suggested(trial, configuration);
    return configuration;
  }

  void observe(std::uint64_t trial, const Configuration& configuration, std::uint64_t resource,
               double objective) override {
    history_.observe(trial, configuration, resource, objective);
  }

  void learn_from(const std::vector<PriorObservation>& prior) override { prior_ = prior; }

  void save(ByteWriter& out) const override {
    put_rng(out, rng_);
    history_.save(out);
    out.put(fitted_at_);
    out.put(hyperparameters_.variance);
    out.put(hyperparameters_.noise);
    out.put_span(std::span<const double>(hyperparameters_.lengths));
  }
  Status load(ByteReader& in) override {
    get_rng(in, rng_);
    TRY(history_.load(in, space_));
    fitted_at_ = in.get<std::uint64_t>();
    const std::size_t lengths = hyperparameters_.lengths.size();
    hyperparameters_.variance = in.get<double>();
    hyperparameters_.noise = in.get<double>();
    hyperparameters_.lengths = in.get_vector<double>();
    if (!in.ok() || hyperparameters_.lengths.size() != lengths) return data_loss("the stored searcher does not fit");
    return Status::ok();
  }

 private:
  void encode(const Configuration& configuration, std::uint64_t resource, std::span<double> point) const {
    space_.encode(configuration, point);
    const auto most = static_cast<double>(std::max<std::uint64_t>(options_.max_resource, 2));
    const double at = std::log(static_cast<double>(std::max<std::uint64_t>(resource, 1))) / std::log(most);
    point.back() = std::clamp(at, 0.0, 1.0);
  }

  // The observations that the model looks at: all, or the newest half and of the others the best.
  std::vector<Observed> looked_at() const {
    auto observed = history_.observed();
    const std::size_t most = options_.observations_most;
    if (observed.size() <= most) return observed;
    const auto newest = observed.end() - static_cast<std::ptrdiff_t>(most / 2);
    std::stable_sort(observed.begin(), newest, [](const Observed& a, const Observed& b) {
      if (std::isnan(a.objective)) return false;
      return std::isnan(b.objective) || a.objective > b.objective;
    });
    observed.erase(observed.begin() + static_cast<std::ptrdiff_t>(most - most / 2), newest);
    return observed;
  }

  bool learn() {
    const auto observed = looked_at();
    const std::size_t width = process_.width();
    std::vector<double> points, targets, weights, point(width);
    const auto add = [&](const Configuration& configuration, std::uint64_t resource, double weight) {
      encode(configuration, resource, point);
      points.insert(points.end(), point.begin(), point.end());
      weights.push_back(weight);
    };
    std::vector<double> objectives;
    for (const auto& one : observed) {
      add(one.configuration, one.resource, 1.0);
      objectives.push_back(one.objective);
    }
    targets = normal_scores(objectives);
    // As many of earlier studies as there is room for; each study's objectives compare among themselves.
    std::size_t room = options_.observations_most;
    for (std::size_t begin = 0; begin < prior_.size() && room > 0;) {
      std::size_t end = begin;
      objectives.clear();
      while (end < prior_.size() && prior_[end].source == prior_[begin].source) {
        objectives.push_back(prior_[end++].objective);
      }
      const auto scores = normal_scores(objectives);
      for (std::size_t i = begin; i < end && room > 0; ++i, --room) {
        add(prior_[i].configuration, prior_[i].resource, prior_[i].weight);
        targets.push_back(scores[i - begin]);
      }
      begin = end;
    }
    process_.observe(points, targets, weights);
    // The likelihood changes little by one observation among many.
    if (fitted_at_ == 0 || targets.size() >= fitted_at_ + std::max<std::size_t>(fitted_at_ / 8, 2)) {
      hyperparameters_ = process_.fit(fitted_at_ == 0 ? process_.defaults() : hyperparameters_,
                                      fitted_at_ == 0 ? kStepsFirst : kStepsAgain);
      fitted_at_ = targets.size();
    }
    if (!process_.condition(hyperparameters_)) return false;
    for (const auto& [trial, configuration] : history_.pending()) {
      encode(configuration, options_.max_resource, point);
      if (!process_.append(point, process_.predict(point).mean, 1.0)) break;
    }
    // Better than the best that the model believes in, which noise does not lift.
    best_ = -std::numeric_limits<double>::infinity();
    for (const auto& one : observed) {
      encode(one.configuration, options_.max_resource, point);
      best_ = std::max(best_, process_.predict(point).mean);
    }
    for (std::size_t i = 0; i < prior_.size() && observed.empty(); ++i) {
      encode(prior_[i].configuration, options_.max_resource, point);
      best_ = std::max(best_, process_.predict(point).mean);
    }
    return true;
  }

  double improvement(const Configuration& configuration) {
    std::vector<double> point(process_.width());
    encode(configuration, options_.max_resource, point);
    return expected_improvement(process_.predict(point), best_);
  }

  Configuration most_promising() {
    std::vector<Scored> scored;
    const auto consider = [&](Configuration configuration) {
      if (history_.tried(configuration)) return;
      const double value = improvement(configuration);
      scored.push_back({std::move(configuration), value});
    };
    auto good = history_.observed();
    std::stable_sort(good.begin(), good.end(), [](const Observed& a, const Observed& b) {
      if (std::isnan(a.objective)) return false;
      return std::isnan(b.objective) || a.objective > b.objective;
    });
    for (std::uint32_t i = 0; i < options_.candidates; ++i) {
      const bool near = i % 4 == 0 && !good.empty();
      consider(near ? space_.neighbour(good[i / 4 % std::min<std::size_t>(good.size(), 5)].configuration, rng_, 0.1)
                    : space_.sample(rng_));
    }
    if (scored.empty()) return space_.sample(rng_);  // a small space, all of it tried
    std::stable_sort(scored.begin(), scored.end(),
                     [](const Scored& a, const Scored& b) { return a.improvement > b.improvement; });
    scored.resize(std::min(scored.size(), kRefined));
    for (auto& one : scored) {
      for (std::size_t move = 0; move < kMoves; ++move) {
        const double spread = 0.1 * std::pow(0.85, static_cast<double>(move));
        Configuration moved = space_.neighbour(one.configuration, rng_, spread);
        if (history_.tried(moved)) continue;
        const double value = improvement(moved);
        if (value > one.improvement) one = {std::move(moved), value};
      }
    }
    return std::max_element(scored.begin(), scored.end(),
                            [](const Scored& a, const Scored& b) { return a.improvement < b.improvement; })
        ->configuration;
  }

  SearcherOptions options_;
  const ParameterSpace& space_;
  Rng rng_;
  TrialHistory history_;
  std::vector<PriorObservation> prior_;
  GaussianProcess process_;
  GpHyperparameters hyperparameters_;
  std::uint64_t fitted_at_ = 0;  // observations when the hyperparameters were fitted; 0: never
  double best_ = 0.0;
};

}  // namespace

MadeSearcher make_gp(const SearcherOptions& options, const ParameterSpace& space) {
  return std::unique_ptr<Searcher>(std::make_unique<GpSearcher>(options, space));
}

}  // namespace freshet::tuning
