// Searchers that learn nothing: by chance, by a plan, and Sobol's points, which are between the two.
#include <algorithm>

#include <fmt/core.h>

#include "learners/tuning/searchers.h"
#include "learners/tuning/sobol.h"

namespace freshet::tuning {

namespace {

constexpr std::size_t kGridMost = 1'000'000;

class RandomSearcher final : public Searcher {
 public:
  RandomSearcher(const SearcherOptions& options, const ParameterSpace& space) : space_(space), rng_(options.seed) {}

  std::string_view name() const override { return "random"; }
  std::optional<Configuration> suggest(std::uint64_t /*trial*/) override { return space_.sample(rng_); }
  void observe(std::uint64_t, const Configuration&, std::uint64_t, double) override {}
  void save(ByteWriter& out) const override { put_rng(out, rng_); }
  Status load(ByteReader& in) override {
    get_rng(in, rng_);
    return in.ok() ? Status::ok() : data_loss("the stored searcher is cut short");
  }

 private:
  const ParameterSpace& space_;
  Rng rng_;
};

// What is suggested follows from how many were alone.
class PlannedSearcher : public Searcher {
 public:
  void observe(std::uint64_t, const Configuration&, std::uint64_t, double) override {}
  void save(ByteWriter& out) const override { out.put(suggested_); }
  Status load(ByteReader& in) override {
    suggested_ = in.get<std::uint64_t>();
    return in.ok() ? Status::ok() : data_loss("the stored searcher is cut short");
  }

 protected:
  std::uint64_t suggested_ = 0;
};

class GridSearcher final : public PlannedSearcher {
 public:
  GridSearcher(const SearcherOptions& options, std::vector<Configuration> all) : all_(std::move(all)) {
    // A study that ends early has then seen all parts of the grid.
    Rng rng(options.seed);
    for (std::size_t i = all_.size(); i > 1; --i) std::swap(all_[i - 1], all_[rng.below(i)]);
  }

  std::string_view name() const override { return "grid"; }
  std::optional<Configuration> suggest(std::uint64_t /*trial*/) override {
    if (suggested_ >= all_.size()) return std::nullopt;
    return all_[suggested_++];
  }

 private:
  std::vector<Configuration> all_;
};

class SobolSearcher final : public PlannedSearcher {
 public:
  SobolSearcher(const ParameterSpace& space, SobolSequence sequence)
      : space_(space), sequence_(std::move(sequence)), unit_(sequence_.dimensions()) {}

  std::string_view name() const override { return "sobol"; }
  std::optional<Configuration> suggest(std::uint64_t /*trial*/) override {
    if (suggested_ >> 32 != 0) return std::nullopt;
    sequence_.point(suggested_++, unit_);
    return space_.from_unit(unit_);
  }

 private:
  const ParameterSpace& space_;
  SobolSequence sequence_;
  std::vector<double> unit_;
};

}  // namespace

MadeSearcher make_random(const SearcherOptions& options, const ParameterSpace& space) {
  return std::unique_ptr<Searcher>(std::make_unique<RandomSearcher>(options, space));
}

MadeSearcher make_grid(const SearcherOptions& options, const ParameterSpace& space) {
  auto all = space.grid(options.grid_points, kGridMost + 1);
  if (all.size() > kGridMost) {
    return invalid_argument(fmt::format("a grid of {} values a number has more than {} configurations here",
                                        options.grid_points, kGridMost));
  }
  return std::unique_ptr<Searcher>(std::make_unique<GridSearcher>(options, std::move(all)));
}

MadeSearcher make_sobol(const SearcherOptions& options, const ParameterSpace& space) {
  auto sequence = TRY(SobolSequence::create(space.size(), options.seed));
  return std::unique_ptr<Searcher>(std::make_unique<SobolSearcher>(space, std::move(sequence)));
}

}  // namespace freshet::tuning
