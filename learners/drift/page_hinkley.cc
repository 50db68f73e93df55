#include "learners/drift/page_hinkley.h"

#include <algorithm>
#include <array>
#include <limits>

#include "learners/drift/drift_detector.h"
#include "learners/drift/running_mean.h"

namespace freshet {
namespace {

enum Mode : std::size_t { kUp, kDown, kBoth };
constexpr std::array<std::string_view, 3> kModes = {"up", "down", "both"};

constexpr std::array<DetectorOption, 5> kOptions = {{
    {.name = "min_instances",
     .type = DetectorOptionType::kWhole,
     .standard = 30,
     .lowest = 0,
     .highest = 1e12,
     .unit = "events",
     .help = "no alarm before so many have come"},
    {.name = "delta",
     .standard = 0.005,
     .lowest = 0,
     .highest = 1e12,
     .unit = "of the numbers",
     .help = "distance from the mean that is tolerated"},
    {.name = "threshold",
     .standard = 50,
     .lowest = 0,
     .highest = 1e12,
     .unit = "of the numbers",
     .help = "cumulated distance that raises the alarm"},
    {.name = "alpha",
     .standard = 1 - 0.0001,
     .lowest = 0,
     .highest = 1,
     .help = "what of the cumulated distance is kept with each event",
     .above_lowest = true},
    {.name = "mode",
     .type = DetectorOptionType::kChoice,
     .standard = kBoth,
     .help = "which changes of the mean raise the alarm",
     .choices = kModes},
}};

class PageHinkley final : public DriftDetector {
 public:
  explicit PageHinkley(const DetectorSettings& settings)
      : DriftDetector(settings),
        least_(settings.real("min_instances")),
        delta_(settings.real("delta")),
        threshold_(settings.real("threshold")),
        alpha_(settings.real("alpha")),
        mode_(settings.choice("mode")) {}

  double statistic() const override {
    const double up = s_.mean.count > 0 ? s_.up - s_.least_up : 0;
    const double down = s_.mean.count > 0 ? s_.most_down - s_.down : 0;
    return mode_ == kUp ? up : mode_ == kDown ? down : std::max(up, down);
  }

  void reset() override { s_ = {}; }

 protected:
  Result<DriftState> observe(double value) override {
    if (s_.drifted) reset();
    s_.mean.update(value);
    const double distance = value - s_.mean.mean;
    s_.up = alpha_ * s_.up + distance - delta_;
    s_.down = alpha_ * s_.down + distance + delta_;
    s_.least_up = std::min(s_.least_up, s_.up);
    s_.most_down = std::max(s_.most_down, s_.down);
    s_.drifted = s_.mean.count >= least_ && statistic() > threshold_;
    return s_.drifted ? DriftState::kDrift : DriftState::kNone;
  }

  void save_state(ByteWriter& out) const override {
    s_.mean.save(out);
    for (const double value : {s_.up, s_.down, s_.least_up, s_.most_down}) out.put(value);
    out.put(s_.drifted);
  }

  bool load_state(ByteReader& in) override {
    const bool sound = s_.mean.load(in);
    for (double* value : {&s_.up, &s_.down, &s_.least_up, &s_.most_down}) *value = in.get<double>();
    s_.drifted = in.get<bool>();
    return sound;
  }

 private:
  struct State {
    RunningMean mean;
    double up = 0;
    double down = 0;
    double least_up = std::numeric_limits<double>::infinity();
    double most_down = -1;  // not minus infinity: where River begins
    bool drifted = false;
  };

  const double least_;
  const double delta_;
  const double threshold_;
  const double alpha_;
  const std::size_t mode_;
  State s_;
};

}  // namespace

const DetectorKind& page_hinkley_kind() {
  static const DetectorKind kind = {
      .name = "page_hinkley",
      .title = "Page-Hinkley test: cumulated distance from the running mean",
      .source = "Page, Continuous Inspection Schemes, Biometrika 41, 1954",
      .input = "any numbers; delta and threshold are in their unit",
      .errors_only = false,
      .statistic = "cumulated distance beyond its extreme, to be held against the threshold",
      .options = kOptions,
      .check = [](const DetectorSettings&) { return Status::ok(); },
      .make = [](const DetectorSettings& settings) -> std::unique_ptr<DriftDetector> {
        return std::make_unique<PageHinkley>(settings);
      }};
  return kind;
}

}  // namespace freshet
