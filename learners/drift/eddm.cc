#include "learners/drift/eddm.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

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
     .unit = "errors",
     .help = "neither warning nor alarm before more than so many have come"},
    {.name = "alpha",
     .standard = 0.95,
     .lowest = 0,
     .highest = 1,
     .help = "share of the largest distance between errors below which it warns"},
    {.name = "beta",
     .standard = 0.9,
     .lowest = 0,
     .highest = 1,
     .help = "share of the largest distance between errors below which the alarm is raised"},
}};

class Eddm final : public DriftDetector {
 public:
  explicit Eddm(const DetectorSettings& settings)
      : DriftDetector(settings),
        warm_(settings.real("warm_start")),
        alpha_(settings.real("alpha")),
        beta_(settings.real("beta")) {}

  double statistic() const override { return s_.level; }
  void reset() override { s_ = {}; }

 protected:
  // Anything but 1 counts as right, as in River.
  Result<DriftState> observe(double value) override {
    if (s_.drifted) reset();
    s_.count += 1;
    if (value == 1) error();
    if (s_.drifted) return DriftState::kDrift;
    return s_.warned ? DriftState::kWarning : DriftState::kNone;
  }

  void save_state(ByteWriter& out) const override {
    s_.distance.save(out);
    for (const double value : {s_.squares, s_.count, s_.last_error, s_.largest, s_.level}) out.put(value);
    out.put(s_.warned);
    out.put(s_.drifted);
  }

  bool load_state(ByteReader& in) override {
    const bool sound = s_.distance.load(in);
    for (double* value : {&s_.squares, &s_.count, &s_.last_error, &s_.largest, &s_.level}) *value = in.get<double>();
    s_.warned = in.get<bool>();
    s_.drifted = in.get<bool>();
    return sound && s_.squares >= 0 && s_.count >= s_.last_error;
  }

 private:
  struct State {
    RunningMean distance;  // between errors
    double squares = 0;    // of the distances from their mean, summed
    double count = 0;      // events
    double last_error = 0;
    double largest = -1;  // mean distance and two deviations
    double level = 1;     // the same now, as a share of the largest
    bool warned = false;
    bool drifted = false;
  };

  void error() {
    const double distance = s_.count - s_.last_error;
    s_.last_error = s_.count;
    const double mean_before = s_.distance.mean;
    s_.distance.update(distance);
    s_.squares += (distance - mean_before) * (distance - s_.distance.mean);
    if (!(s_.count > warm_)) return;
    const double errors = s_.distance.count;
    const double deviation = errors > 1 ? std::sqrt(s_.squares / (errors - 1)) : 0;
    const double reach = s_.distance.mean + 2 * deviation;
    if (reach > s_.largest) {
      s_.largest = reach;
      s_.level = 1;
      return;
    }
    s_.level = reach / s_.largest;
    if (!(errors > warm_)) return;
    if (s_.level < beta_) {
      s_.drifted = true;
    } else {
      s_.warned = s_.level < alpha_;
    }
  }

  const double warm_;
  const double alpha_;
  const double beta_;
  State s_;
};

Status check(const DetectorSettings& settings) {
  if (settings.real("alpha") >= settings.real("beta")) return Status::ok();
  return invalid_argument(fmt::format("eddm warns before it raises the alarm: alpha ({}) must be at least beta ({})",
                                      settings.real("alpha"), settings.real("beta")));
}

}  // namespace

const DetectorKind& eddm_kind() {
  static const DetectorKind kind = {
      .name = "eddm",
      .title = "early drift detection method: the distance between errors against its largest so far",
      .source = "Baena-García et al., Early Drift Detection Method, 2006",
      .input = "errors: 1 (wrong), 0 (right)",
      .errors_only = true,
      .statistic = "mean distance between errors and two deviations, as a share of their largest so far",
      .options = kOptions,
      .check = check,
      .make = [](const DetectorSettings& settings) -> std::unique_ptr<DriftDetector> {
        return std::make_unique<Eddm>(settings);
      }};
  return kind;
}

}  // namespace freshet
