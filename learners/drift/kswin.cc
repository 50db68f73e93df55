#include "learners/drift/kswin.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "core/rng.h"
#include "learners/drift/drift_detector.h"

namespace freshet {
namespace {

constexpr std::array<DetectorOption, 4> kOptions = {{
    {.name = "alpha",
     .standard = 0.005,
     .lowest = 0,
     .highest = 1,
     .help = "p-value of the Kolmogorov-Smirnov test at which the alarm is raised"},
    {.name = "window_size",
     .type = DetectorOptionType::kWhole,
     .standard = 100,
     .lowest = 2,
     .highest = 20'000,
     .unit = "events",
     .help = "newest numbers that are kept"},
    {.name = "stat_size",
     .type = DetectorOptionType::kWhole,
     .standard = 30,
     .lowest = 1,
     .highest = 10'000,
     .unit = "events",
     .help = "newest of them, held against as many drawn from the others"},
    {.name = "seed",
     .type = DetectorOptionType::kWhole,
     .standard = 1,
     .lowest = 0,
     .highest = 9e15,
     .help = "of the drawing"},
}};

// The distance must be above this as well, whatever its p-value.
constexpr double kDistanceLeast = 0.1;

// Chance that two samples of n numbers each from one distribution are at least h / n apart (two-sided, exact for
// continuous distributions; Gnedenko and Korolyuk, 1951): 2 (r_1 - r_2 + r_3 - …), r_k = C(2n, n - k h) / C(2n, n).
double chance_of_distance(std::size_t n, std::size_t h) {
  if (h == 0) return 1;
  double sum = 0;
  for (std::size_t k = n / h; k > 0; --k) {  // smallest terms first
    double ratio = 1;
    for (std::size_t j = 0; j < k * h; ++j) ratio *= static_cast<double>(n - j) / static_cast<double>(n + k * h - j);
    sum = ratio - sum;
  }
  return std::clamp(2 * sum, 0.0, 1.0);
}

// The least h that raises the alarm; n + 1: none does. The chance falls with h.
std::size_t least_alarm(std::size_t n, double alpha) {
  std::size_t low = 0;
  std::size_t high = n + 1;
  while (low < high) {
    const std::size_t h = (low + high) / 2;
    const bool far = static_cast<double>(h) / static_cast<double>(n) > kDistanceLeast;
    if (far && chance_of_distance(n, h) <= alpha) {
      high = h;
    } else {
      low = h + 1;
    }
  }
  return low;
}

class Kswin final : public DriftDetector {
 public:
  explicit Kswin(const DetectorSettings& settings)
      : DriftDetector(settings),
        size_(settings.whole("window_size")),
        newest_(settings.whole("stat_size")),
        least_(least_alarm(newest_, settings.real("alpha"))),
        window_(size_),
        places_(size_ - newest_),
        drawn_(newest_),
        recent_(newest_),
        rng_(settings.whole("seed")) {}

  double statistic() const override { return distance_; }

  void reset() override {
    count_ = 0;
    distance_ = 0;
    drifted_ = false;
    rng_ = Rng(settings().whole("seed"));
  }

 protected:
  Result<DriftState> observe(double value) override {
    if (drifted_) {  // the window is filled anew
      count_ = 0;
      drifted_ = false;
    }
    window_[count_ % size_] = value;
    ++count_;
    if (count_ < size_) return DriftState::kNone;
    const std::size_t apart = compare();
    distance_ = static_cast<double>(apart) / static_cast<double>(newest_);
    drifted_ = apart >= least_;
    return drifted_ ? DriftState::kDrift : DriftState::kNone;
  }

  void save_state(ByteWriter& out) const override {
    out.put(count_);
    out.put(distance_);
    out.put(drifted_);
    for (const std::uint64_t word : rng_.state()) out.put(word);
    for (std::size_t i = 0; i < filled(); ++i) out.put(window_[i]);
  }

  bool load_state(ByteReader& in) override {
    count_ = in.get<std::uint64_t>();
    distance_ = in.get<double>();
    drifted_ = in.get<bool>();
    Rng::State state{};
    for (std::uint64_t& word : state) word = in.get<std::uint64_t>();
    rng_.set_state(state);
    for (std::size_t i = 0; i < filled(); ++i) window_[i] = in.get<double>();
    return distance_ >= 0 && distance_ <= 1;
  }

 private:
  std::size_t filled() const { return static_cast<std::size_t>(std::min<std::uint64_t>(count_, size_)); }
  // The number of the window, oldest first.
  double number(std::size_t place) const { return window_[(count_ + place) % size_]; }

  // The Kolmogorov-Smirnov distance in steps of 1 / newest_.
  std::size_t compare() {
    std::iota(places_.begin(), places_.end(), std::uint32_t{0});
    for (std::size_t i = 0; i < newest_; ++i) {
      std::swap(places_[i], places_[i + rng_.below(places_.size() - i)]);
      drawn_[i] = number(places_[i]);
      recent_[i] = number(size_ - newest_ + i);
    }
    std::ranges::sort(drawn_);
    std::ranges::sort(recent_);
    std::size_t most = 0;
    for (std::size_t i = 0, j = 0; i < newest_ && j < newest_;) {
      const double value = std::min(drawn_[i], recent_[j]);
      while (i < newest_ && drawn_[i] == value) ++i;
      while (j < newest_ && recent_[j] == value) ++j;
      most = std::max(most, i > j ? i - j : j - i);
    }
    return most;
  }

  const std::size_t size_;
  const std::size_t newest_;
  const std::size_t least_;

  std::vector<double> window_;  // a ring: the number of event i is in place i % size_
  std::vector<std::uint32_t> places_;
  std::vector<double> drawn_;
  std::vector<double> recent_;
  std::uint64_t count_ = 0;  // since the window was empty
  double distance_ = 0;
  bool drifted_ = false;
  Rng rng_;
};

Status check(const DetectorSettings& settings) {
  if (settings.whole("window_size") >= 2 * settings.whole("stat_size")) return Status::ok();
  return invalid_argument(
      fmt::format("kswin draws stat_size numbers from the others of the window: window_size must be at least twice "
                  "stat_size, and is {} where stat_size is {}",
                  settings.whole("window_size"), settings.whole("stat_size")));
}

}  // namespace

const DetectorKind& kswin_kind() {
  static const DetectorKind kind = {
      .name = "kswin",
      .title = "Kolmogorov-Smirnov test between the newest numbers and a random sample of those before",
      .source = "Raab, Heusinger and Schleif, Reactive Soft Prototype Computing for Concept Drift Streams, 2020",
      .input = "any numbers",
      .errors_only = false,
      .statistic = "Kolmogorov-Smirnov distance at the newest test",
      .options = kOptions,
      .check = check,
      .make = [](const DetectorSettings& settings) -> std::unique_ptr<DriftDetector> {
        return std::make_unique<Kswin>(settings);
      }};
  return kind;
}

}  // namespace freshet
