// ParameterSpace: what one study searches: the search spaces of its options, in an order in which each stands after
// those that it depends on, and the settings that stay as they are. Draws configurations, checks them, and turns them
// into points for the models of searchers and into text for the trainer and for reports.
//
// Of two spaces for one option (a learning rate of SGD's and of Adam's) never both are active. A space whose condition
// on a setting does not hold is left out.
//
// Threads: immutable once made.  Owns: its spaces.
// Failure: create() says which space is wrong and why; parse() which setting does not fit.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/rng.h"
#include "core/status.h"
#include "learners/tuning/search_space.h"

namespace freshet::tuning {

// One value for each space of a ParameterSpace: a number, the index of a choice, or not a number where the space is not
// active.
struct Configuration {
  std::vector<double> values;
  bool operator==(const Configuration& other) const;
};

struct Setting {
  std::string option;
  std::string value;  // as it is written
  bool operator==(const Setting&) const = default;
};

class ParameterSpace {
 public:
  static Result<ParameterSpace> create(std::vector<SearchSpace> spaces, std::vector<Setting> fixed = {});

  std::size_t size() const { return spaces_.size(); }
  const SearchSpace& operator[](std::size_t i) const { return spaces_[i]; }
  const std::vector<Setting>& fixed() const { return fixed_; }
  // Of everything above: studies over equal spaces have equal ones.
  std::uint64_t fingerprint() const;

  // Whether the space takes part, given the values of those before it.
  bool active(const Configuration& configuration, std::size_t i) const;
  // Ok where each active space has a value that lies in it and every other has none.
  Status check_inside(const Configuration& configuration) const;

  // Uniform over each space (over its logarithm where it is logarithmic).
  Configuration sample(Rng& rng) const;
  // The same of given coordinates in [0, 1), one for each space; those of spaces that are not active count for nothing.
  Configuration from_unit(std::span<const double> unit) const;
  double value_at(std::size_t i, double unit) const;
  double unit_of(std::size_t i, double value) const;  // the middle of what from_unit() maps to the value

  // One parameter moved: a number by a normal step of `spread` of its range, a choice to another; what becomes active
  // is drawn.
  Configuration neighbour(const Configuration& configuration, Rng& rng, double spread) const;

  // A point for models: a number, or a choice among numbers in rising order, is one coordinate in [0, 1]; another
  // choice has a coordinate for each, 1 for the one that it is. What is not active stands in the middle, or is no
  // choice.
  std::size_t encoded_width() const { return groups_.size(); }
  std::span<const std::uint32_t> groups() const { return groups_; }  // the space that each coordinate is of
  bool ordered(std::size_t i) const { return ordered_[i]; }          // one coordinate
  void encode(const Configuration& configuration, std::span<double> point) const;

  // Active spaces as options with their values written out, and back.
  std::vector<Setting> settings(const Configuration& configuration) const;
  Result<Configuration> parse(std::span<const Setting> settings) const;
  // Of settings of another study: values outside are moved to the nearest one inside, others are left out and drawn.
  Configuration nearest(std::span<const Setting> settings, Rng& rng) const;
  std::string value_text(std::size_t i, double value) const;
  // {"learning.optimizer": "sgd", "learning.learning_rate": 0.1}
  std::string json(const Configuration& configuration) const;

  // Every combination, a number at `points` values from end to end (integers at most once each); at most `limit`.
  std::vector<Configuration> grid(std::size_t points, std::size_t limit) const;

 private:
  bool holds(const SearchSpace::Condition& condition, const Configuration& configuration, std::size_t before) const;
  void fill(Configuration& configuration, std::span<const double> unit) const;
  bool value_inside(std::size_t i, double value) const;
  Result<double> parse_value(std::size_t i, const std::string& text) const;
  std::vector<double> grid_values(std::size_t i, std::size_t points) const;

  std::vector<SearchSpace> spaces_;
  std::vector<Setting> fixed_;
  std::vector<bool> ordered_;
  std::vector<std::uint32_t> groups_;
};

// A number as options are written: the shortest text that reads back as it.
std::string number_text(double value);
std::optional<double> number_of(const std::string& text);
double normal(Rng& rng);  // Box and Muller, one of the two

}  // namespace freshet::tuning
