#include "learners/tuning/searcher.h"

#include <array>

#include <fmt/core.h>

#include "learners/tuning/searchers.h"

namespace freshet::tuning {

namespace {

struct Entry {
  std::string_view name;
  MadeSearcher (*make)(const SearcherOptions& options, const ParameterSpace& space);
};
constexpr std::array<Entry, 5> kTable = {{
    {"grid", make_grid},
    {"random", make_random},
    {"sobol", make_sobol},
    {"gp", make_gp},
    {"kde", make_kde},
}};
constexpr std::array<std::string_view, 5> kNames = {kTable[0].name, kTable[1].name, kTable[2].name, kTable[3].name,
                                                    kTable[4].name};

bool share(double value) { return value >= 0.0 && value <= 1.0; }

}  // namespace

std::span<const std::string_view> searcher_names() { return kNames; }

Result<std::unique_ptr<Searcher>> make_searcher(const SearcherOptions& options, const ParameterSpace& space) {
  if (!share(options.random_share) || !share(options.good_share) || options.good_share == 0.0) {
    return invalid_argument("a searcher's shares are from 0 to 1, and that of good trials above 0");
  }
  if (options.grid_points == 0 || options.candidates > 100'000 || options.observations_most < 16 ||
      options.observations_most > 4096) {
    return invalid_argument(
        "a searcher has 1 value of a number in a grid or more, at most 100000 candidates, and 16 to 4096 observations");
  }
  for (const auto& entry : kTable) {
    if (entry.name == options.kind) return entry.make(options, space);
  }
  return invalid_argument(fmt::format("there is no searcher \"{}\": grid, random, sobol, gp or kde", options.kind));
}

void put_rng(ByteWriter& out, const Rng& rng) {
  for (const auto word : rng.state()) out.put(word);
}
void get_rng(ByteReader& in, Rng& rng) {
  Rng::State state{};
  for (auto& word : state) word = in.get<std::uint64_t>();
  rng.set_state(state);
}

void put_configuration(ByteWriter& out, const Configuration& configuration) {
  out.put_span(std::span<const double>(configuration.values));
}
Status get_configuration(ByteReader& in, const ParameterSpace& space, Configuration& configuration) {
  configuration.values = in.get_vector<double>();
  if (!in.ok()) return data_loss("a stored configuration is cut short");
  const Status inside = space.check_inside(configuration);
  return inside ? inside : data_loss(fmt::format("a stored configuration is of another space: {}", inside.message()));
}

}  // namespace freshet::tuning
