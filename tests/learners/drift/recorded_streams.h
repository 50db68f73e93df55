// The made-up streams of river_alarms.py, number for number: splitmix64 and + - * / and square roots alone.
#pragma once

#include <cmath>
#include <cstdint>
#include <istream>
#include <string>
#include <vector>

namespace freshet::test {

class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) : state_(seed) {}
  double uniform() {
    state_ += 0x9E3779B97F4A7C15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1.0p-53;
  }

 private:
  std::uint64_t state_;
};

struct StreamKnot {
  std::int64_t position = 0;
  double level = 0;
  double scale = 0;
  std::int64_t width = 0;
  std::string mode = "ramp";  // or "mix"
};

struct RecordedStream {
  std::string name;
  std::string noise;
  std::uint64_t seed = 0;
  std::int64_t length = 0;
  double cut = 0.5;
  std::int64_t period = 0;
  double amplitude = 0;
  std::vector<StreamKnot> knots;

  // What stands after "stream" in river_alarms.txt.
  static RecordedStream read(std::istream& in) {
    RecordedStream stream;
    std::size_t knots = 0;
    in >> stream.name >> stream.noise >> stream.seed >> stream.length >> stream.cut >> stream.period >>
        stream.amplitude >> knots;
    stream.knots.resize(knots);
    for (StreamKnot& knot : stream.knots) in >> knot.position >> knot.level >> knot.scale >> knot.width >> knot.mode;
    return stream;
  }

  std::vector<double> values() const {
    SplitMix rng(seed);
    std::vector<double> values;
    values.reserve(static_cast<std::size_t>(length));
    for (std::int64_t t = 0; t < length; ++t) values.push_back(value_at(t, rng));
    return values;
  }

  std::vector<double> cut_values() const {
    std::vector<double> cut_at = values();
    for (double& value : cut_at) value = value > cut ? 1 : 0;
    return cut_at;
  }

 private:
  double value_at(std::int64_t t, SplitMix& rng) const {
    double level = knots[0].level;
    double scale = knots[0].scale;
    for (std::size_t i = 1; i < knots.size() && t >= knots[i].position; ++i) {
      const StreamKnot& knot = knots[i];
      if (t >= knot.position + knot.width) {
        level = knot.level;
        scale = knot.scale;
        continue;
      }
      const double share = static_cast<double>(t - knot.position) / static_cast<double>(knot.width);
      if (knot.mode == "ramp") {
        level = level + (knot.level - level) * share;
        scale = scale + (knot.scale - scale) * share;
      } else if (rng.uniform() < share) {
        level = knot.level;
        scale = knot.scale;
      }
    }
    if (period != 0) {
      const double phase = static_cast<double>(t % period) / static_cast<double>(period);
      level = level + amplitude * (std::fabs(2.0 * phase - 1.0) - 0.5);
    }
    if (noise == "binary") return rng.uniform() < level ? 1 : 0;
    return level + scale * noise_of(rng);
  }

  double noise_of(SplitMix& rng) const {
    if (noise == "uniform") return rng.uniform() - 0.5;
    if (noise == "bell") {
      double sum = rng.uniform();
      for (int i = 0; i < 3; ++i) sum += rng.uniform();
      return sum - 2.0;
    }
    if (noise == "pareto") return 1.0 / std::sqrt(1.0 - rng.uniform()) - 2.0;
    if (noise == "slash") {
      const double top = rng.uniform() - 0.5;
      return top / (1.0 - rng.uniform());
    }
    return 0;
  }
};

}  // namespace freshet::test
