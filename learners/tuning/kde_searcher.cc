// The model of BOHB (Falkner, Klein and Hutter, ICML 2018), which goes back to TPE (Bergstra et al., 2011): at the
// highest resource with enough observations, a density of the good configurations and one of the others; of candidates
// drawn from the good one, wider, the one where good is likeliest beside bad. A share of suggestions is drawn at
// random. Observations of earlier studies, good and bad in their own study, stand in both densities with their weights.
#include <algorithm>
#include <cmath>
#include <limits>

#include "learners/tuning/kernel_density.h"
#include "learners/tuning/searchers.h"
#include "learners/tuning/trial_history.h"

namespace freshet::tuning {

namespace {

constexpr std::uint32_t kCandidates = 64;
constexpr double kWider = 3.0;
// BOHB waits for a trial more than there are parameters; of a space with many, most are not active in any one trial.
constexpr std::size_t kLeastMost = 10;

struct Group {
  std::vector<Configuration> configurations;
  std::vector<double> weights;
  void add(const Configuration& configuration, double weight) {
    configurations.push_back(configuration);
    weights.push_back(weight);
  }
};

class KdeSearcher final : public Searcher {
 public:
  KdeSearcher(const SearcherOptions& options, const ParameterSpace& space)
      : options_(options), space_(space), rng_(options.seed), good_(space), bad_(space) {
    if (options_.candidates == 0) options_.candidates = kCandidates;
    least_ =
        options_.initial > 0 ? options_.initial : static_cast<std::uint32_t>(std::min(space.size() + 1, kLeastMost));
  }

  std::string_view name() const override { return "kde"; }

  std::optional<Configuration> suggest(std::uint64_t trial) override {
    const bool by_chance = rng_.uniform() < options_.random_share;
    Configuration configuration = space_.sample(rng_);
    if (!by_chance && learn()) configuration = likeliest(configuration);
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
  }
  Status load(ByteReader& in) override {
    get_rng(in, rng_);
    return history_.load(in, space_);
  }

 private:
  struct Ranked {
    const Configuration* configuration;
    std::uint64_t resource;
    double objective;
    double weight;
  };

  // The better ones to `good`, the others to `bad`; a failed one is never good. One that was trained for longer, which
  // a scheduler found worth it, is better.
  void split(std::vector<Ranked>& ranked, std::size_t least, Group& good, Group& bad) const {
    std::stable_sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) {
      if (std::isnan(a.objective) || std::isnan(b.objective))
        return !std::isnan(a.objective) && std::isnan(b.objective);
      return a.resource != b.resource ? a.resource > b.resource : a.objective > b.objective;
    });
    const auto share = static_cast<std::size_t>(std::ceil(options_.good_share * static_cast<double>(ranked.size())));
    const std::size_t count = std::min(std::max(least, share), ranked.size());
    for (std::size_t i = 0; i < ranked.size(); ++i) {
      const bool is_good = i < count && !std::isnan(ranked[i].objective);
      (is_good ? good : bad).add(*ranked[i].configuration, ranked[i].weight);
    }
  }

  bool learn() {
    Group good;
    Group bad;
    std::vector<Ranked> ranked;
    for (std::size_t begin = 0; begin < prior_.size();) {
      ranked.clear();
      std::size_t end = begin;
      while (end < prior_.size() && prior_[end].source == prior_[begin].source) {
        const auto& one = prior_[end++];
        ranked.push_back({&one.configuration, one.resource, one.objective, one.weight});
      }
      split(ranked, 1, good, bad);
      begin = end;
    }
    // The highest resource with observations enough for two densities.
    std::vector<std::uint64_t> levels;
    for (const auto& one : history_.observed()) levels.push_back(one.resource);
    std::sort(levels.begin(), levels.end(), std::greater<>());
    levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
    for (const auto level : levels) {
      ranked.clear();
      for (const auto& one : history_.observed()) {
        if (one.resource == level) ranked.push_back({&one.configuration, one.resource, one.objective, 1.0});
      }
      if (ranked.size() < least_ + 2) continue;
      split(ranked, least_, good, bad);
      break;
    }
    if (good.configurations.size() < 2 || bad.configurations.empty()) return false;
    good_.observe(good.configurations, good.weights, rng_);
    bad_.observe(bad.configurations, bad.weights, rng_);
    return true;
  }

  Configuration likeliest(const Configuration& fallback) {
    Configuration best = fallback;
    double most = -std::numeric_limits<double>::infinity();
    for (std::uint32_t i = 0; i < options_.candidates; ++i) {
      Configuration candidate = good_.sample(rng_, kWider);
      const double ratio = good_.log_density(candidate) - bad_.log_density(candidate);
      if (!(ratio > most) || history_.tried(candidate)) continue;
      most = ratio;
      best = std::move(candidate);
    }
    return best;
  }

  SearcherOptions options_;
  const ParameterSpace& space_;
  Rng rng_;
  TrialHistory history_;
  std::vector<PriorObservation> prior_;
  KernelDensity good_, bad_;
  std::uint32_t least_ = 0;  // observations that a density needs
};

}  // namespace

MadeSearcher make_kde(const SearcherOptions& options, const ParameterSpace& space) {
  return std::unique_ptr<Searcher>(std::make_unique<KdeSearcher>(options, space));
}

}  // namespace freshet::tuning
