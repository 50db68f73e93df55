#include "learners/drift/hddm_w.h"

#include <array>
#include <cmath>
#include <limits>

#include "learners/drift/drift_detector.h"

namespace freshet {
namespace {

constexpr std::array<DetectorOption, 4> kOptions = {{
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
    {.name = "lambda_val",
     .standard = 0.05,
     .lowest = 0,
     .highest = 1,
     .help = "weight of the newest number in the moving means",
     .above_lowest = true},
    {.name = "two_sided_test",
     .type = DetectorOptionType::kFlag,
     .standard = 0,
     .help = "whether a falling mean raises the alarm as well"},
}};

// An exponentially weighted mean with the sum of its squared weights, which McDiarmid's bound needs.
struct WeightedMean {
  double mean = 0;
  double squares = 1;
  bool begun = false;

  // A mean of exactly 0 counts as one that has seen nothing: the alarms of River follow from that.
  void update(double value, double lambda) {
    mean = mean == 0 ? value : lambda * value + (1 - lambda) * mean;
    squares = lambda * lambda + (1 - lambda) * (1 - lambda) * squares;
    begun = true;
  }
  void save(ByteWriter& out) const {
    out.put(mean);
    out.put(squares);
    out.put(begun);
  }
  bool load(ByteReader& in) {
    mean = in.get<double>();
    squares = in.get<double>();
    begun = in.get<bool>();
    return std::isfinite(mean) && squares >= 0 && squares <= 1;
  }
};

class HddmW final : public DriftDetector {
 public:
  explicit HddmW(const DetectorSettings& settings)
      : DriftDetector(settings),
        drift_(settings.real("drift_confidence")),
        warning_(settings.real("warning_confidence")),
        lambda_(settings.real("lambda_val")),
        two_sided_(settings.flag("two_sided_test")) {}

  double statistic() const override { return s_.all.mean; }
  void reset() override { s_ = {}; }

 protected:
  Result<DriftState> observe(double value) override {
    if (s_.drifted) reset();
    s_.all.update(value, lambda_);
    const double bound = bound_of(s_.all.squares, drift_);
    if (s_.all.mean + bound < s_.rise.cut) {
      s_.rise = {s_.all.mean + bound, s_.all, {}};
    } else {
      s_.rise.after.update(value, lambda_);
    }
    s_.drifted = differ(s_.rise.before, s_.rise.after, drift_);
    bool warned = !s_.drifted && differ(s_.rise.before, s_.rise.after, warning_);
    if (s_.all.mean - bound > s_.fall.cut) {
      s_.fall = {s_.all.mean - bound, s_.all, {}};
    } else {
      s_.fall.after.update(value, lambda_);
    }
    if (two_sided_) {
      s_.drifted = s_.drifted || differ(s_.fall.after, s_.fall.before, drift_);
      warned = warned || differ(s_.fall.after, s_.fall.before, warning_);
    }
    if (s_.drifted) return DriftState::kDrift;
    return warned ? DriftState::kWarning : DriftState::kNone;
  }

  void save_state(ByteWriter& out) const override {
    s_.all.save(out);
    for (const Cut* cut : {&s_.rise, &s_.fall}) {
      out.put(cut->cut);
      cut->before.save(out);
      cut->after.save(out);
    }
    out.put(s_.drifted);
  }

  bool load_state(ByteReader& in) override {
    bool sound = s_.all.load(in);
    for (Cut* cut : {&s_.rise, &s_.fall}) {
      cut->cut = in.get<double>();
      sound = cut->before.load(in) && sound;
      sound = cut->after.load(in) && sound;
    }
    s_.drifted = in.get<bool>();
    return sound;
  }

 private:
  // The place where the mean was at its extreme, and the means before and after it.
  struct Cut {
    double cut = 0;
    WeightedMean before;
    WeightedMean after;
  };
  struct State {
    WeightedMean all;
    Cut rise{std::numeric_limits<double>::infinity(), {}, {}};
    Cut fall{-std::numeric_limits<double>::infinity(), {}, {}};
    bool drifted = false;
  };

  static double bound_of(double squares, double confidence) {
    return std::sqrt(squares * std::log(1 / confidence) / 2);
  }

  // Whether `high` is above `low` by more than chance allows.
  static bool differ(const WeightedMean& low, const WeightedMean& high, double confidence) {
    if (!low.begun || !high.begun) return false;
    return high.mean - low.mean > bound_of(low.squares + high.squares, confidence);
  }

  const double drift_;
  const double warning_;
  const double lambda_;
  const bool two_sided_;
  State s_;
};

}  // namespace

const DetectorKind& hddm_w_kind() {
  static const DetectorKind kind = {
      .name = "hddm_w",
      .title = "McDiarmid's bound on exponentially weighted means before and after a cut",
      .source =
          "Frías-Blanco et al., Online and Non-Parametric Drift Detection Methods Based on Hoeffding's Bounds, "
          "2015 (W-test)",
      .input = "errors or other numbers from 0 to 1: the bound is theirs",
      .errors_only = true,
      .statistic = "exponentially weighted mean since the newest alarm",
      .options = kOptions,
      .check = [](const DetectorSettings&) { return Status::ok(); },
      .make = [](const DetectorSettings& settings) -> std::unique_ptr<DriftDetector> {
        return std::make_unique<HddmW>(settings);
      }};
  return kind;
}

}  // namespace freshet
