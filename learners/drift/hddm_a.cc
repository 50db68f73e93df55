#include "learners/drift/hddm_a.h"

#include <array>
#include <cmath>

#include "learners/drift/drift_detector.h"
#include "learners/drift/running_mean.h"

namespace freshet {
namespace {

constexpr std::array<DetectorOption, 3> kOptions = {{
    {.name = "drift_confidence",
     .standard = 0.001,
     .lowest = 0,
     .highest = 1,
     .help = "chance of a false alarm that is accepted",
     .above_lowest = true},
    {.name = "warning_confidence",
     .standard = 0.005,
     .lowest = 0,
     .highest = 1,
     .help = "chance of a false warning that is accepted",
     .above_lowest = true},
    {.name = "two_sided_test",
     .type = DetectorOptionType::kFlag,
     .standard = 0,
     .help = "whether a falling mean raises the alarm as well"},
}};

class HddmA final : public DriftDetector {
 public:
  explicit HddmA(const DetectorSettings& settings)
      : DriftDetector(settings),
        drift_(settings.real("drift_confidence")),
        warning_(settings.real("warning_confidence")),
        two_sided_(settings.flag("two_sided_test")) {}

  double statistic() const override { return s_.all.mean; }
  void reset() override { s_ = {}; }

 protected:
  Result<DriftState> observe(double value) override {
    if (s_.drifted) reset();
    s_.all.update(value);
    if (s_.least.count == 0) s_.least = s_.all;
    if (s_.most.count == 0) s_.most = s_.all;
    const double bound = bound_of(s_.all.count);
    if (s_.least.mean + bound_of(s_.least.count) >= s_.all.mean + bound) s_.least = s_.all;
    if (s_.most.mean - bound_of(s_.most.count) <= s_.all.mean - bound) s_.most = s_.all;
    const double risen = s_.all.mean - s_.least.mean;
    s_.drifted = beyond(s_.least, risen, drift_);
    bool warned = !s_.drifted && beyond(s_.least, risen, warning_);
    if (two_sided_) {
      const double fallen = s_.most.mean - s_.all.mean;
      s_.drifted = s_.drifted || beyond(s_.most, fallen, drift_);
      warned = warned || beyond(s_.most, fallen, warning_);
    }
    if (s_.drifted) return DriftState::kDrift;
    return warned ? DriftState::kWarning : DriftState::kNone;
  }

  void save_state(ByteWriter& out) const override {
    s_.all.save(out);
    s_.least.save(out);
    s_.most.save(out);
    out.put(s_.drifted);
  }

  bool load_state(ByteReader& in) override {
    const bool sound = s_.all.load(in) && s_.least.load(in) && s_.most.load(in);
    s_.drifted = in.get<bool>();
    return sound && s_.least.count <= s_.all.count && s_.most.count <= s_.all.count;
  }

 private:
  struct State {
    RunningMean all;
    RunningMean least;  // up to the cut after which the mean has risen most
    RunningMean most;   // up to the cut after which it has fallen most
    bool drifted = false;
  };

  // Hoeffding's, for the mean of so many numbers.
  double bound_of(double count) const { return std::sqrt(1.0 / (2 * count) * std::log(1.0 / drift_)); }

  // Whether all numbers' mean is so far from the mean up to a cut that chance is less than `confidence`.
  bool beyond(const RunningMean& cut, double moved, double confidence) const {
    if (cut.count == s_.all.count) return false;
    const double m = (s_.all.count - cut.count) / cut.count * (1.0 / s_.all.count);
    return moved >= std::sqrt(m / 2 * std::log(2.0 / confidence));
  }

  const double drift_;
  const double warning_;
  const bool two_sided_;
  State s_;
};

}  // namespace

const DetectorKind& hddm_a_kind() {
  static const DetectorKind kind = {
      .name = "hddm_a",
      .title = "Hoeffding's bound on the mean of all numbers against the mean up to a cut",
      .source =
          "Frías-Blanco et al., Online and Non-Parametric Drift Detection Methods Based on Hoeffding's Bounds, "
          "2015 (A-test)",
      .input = "errors or other numbers from 0 to 1: the bound is theirs",
      .errors_only = true,
      .statistic = "mean of all numbers since the newest alarm",
      .options = kOptions,
      .check = [](const DetectorSettings&) { return Status::ok(); },
      .make = [](const DetectorSettings& settings) -> std::unique_ptr<DriftDetector> {
        return std::make_unique<HddmA>(settings);
      }};
  return kind;
}

}  // namespace freshet
