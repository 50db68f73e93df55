#include "learners/drift/ddm.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>

#include "learners/drift/drift_detector.h"
#include "learners/drift/running_mean.h"

namespace freshet {
namespace {

constexpr std::array<DetectorOption, 3> kOptions = {{
    {.name = "warm_start",
     .type = DetectorOptionType::kWhole,
     .standard = 30,
     .lowest = 0,
     .highest = 1e12,
     .unit = "events",
     .help = "neither warning nor alarm before more than so many have come"},
    {.name = "warning_threshold",
     .standard = 2,
     .lowest = 0,
     .highest = 1e6,
     .unit = "deviations",
     .help = "above the least error rate, for a warning"},
    {.name = "drift_threshold",
     .standard = 3,
     .lowest = 0,
     .highest = 1e6,
     .unit = "deviations",
     .help = "above the least error rate, for an alarm"},
}};

class Ddm final : public DriftDetector {
 public:
  explicit Ddm(const DetectorSettings& settings)
      : DriftDetector(settings),
        warm_(settings.real("warm_start")),
        warning_(settings.real("warning_threshold")),
        drift_(settings.real("drift_threshold")) {}

  double statistic() const override { return s_.level; }
  void reset() override { s_ = {}; }

 protected:
  Result<DriftState> observe(double value) override {
    RunningMean rate = s_.drifted ? RunningMean{} : s_.rate;
    rate.update(value);
    const double variance = rate.mean * (1 - rate.mean) / rate.count;
    if (!(variance >= 0)) {
      return invalid_argument(fmt::format(
          "ddm watches errors, from 0 (right) to 1 (wrong), and with {} their mean would be {}", value, rate.mean));
    }
    if (s_.drifted) reset();
    s_.rate = rate;
    const double deviation = std::sqrt(variance);
    s_.level = rate.mean + deviation;
    if (!(rate.count > warm_)) return DriftState::kNone;
    if (s_.level <= s_.least) {
      s_.least_rate = rate.mean;
      s_.least_deviation = deviation;
      s_.least = s_.level;
    }
    s_.drifted = s_.level > s_.least_rate + drift_ * s_.least_deviation;
    if (s_.drifted) return DriftState::kDrift;
    return s_.level > s_.least_rate + warning_ * s_.least_deviation ? DriftState::kWarning : DriftState::kNone;
  }

  void save_state(ByteWriter& out) const override {
    s_.rate.save(out);
    for (const double value : {s_.least_rate, s_.least_deviation, s_.least, s_.level}) out.put(value);
    out.put(s_.drifted);
  }

  bool load_state(ByteReader& in) override {
    const bool sound = s_.rate.load(in);
    for (double* value : {&s_.least_rate, &s_.least_deviation, &s_.least, &s_.level}) *value = in.get<double>();
    s_.drifted = in.get<bool>();
    return sound && s_.rate.mean >= 0 && s_.rate.mean <= 1;
  }

 private:
  struct State {
    RunningMean rate;
    double least_rate = 0;
    double least_deviation = 0;
    double least = std::numeric_limits<double>::infinity();  // of rate and deviation together
    double level = 0;                                        // rate and deviation now
    bool drifted = false;
  };

  const double warm_;
  const double warning_;
  const double drift_;
  State s_;
};

}  // namespace

const DetectorKind& ddm_kind() {
  static const DetectorKind kind = {
      .name = "ddm",
      .title = "drift detection method: the error rate against its least so far",
      .source = "Gama, Medas, Castillo and Rodrigues, Learning with Drift Detection, SBIA 2004",
      .input = "errors, from 0 (right) to 1 (wrong)",
      .errors_only = true,
      .statistic = "error rate and its deviation, added",
      .options = kOptions,
      .check = [](const DetectorSettings&) { return Status::ok(); },
      .make = [](const DetectorSettings& settings) -> std::unique_ptr<DriftDetector> {
        return std::make_unique<Ddm>(settings);
      }};
  return kind;
}

}  // namespace freshet
