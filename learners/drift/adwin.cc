#include "learners/drift/adwin.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "learners/drift/drift_detector.h"

namespace freshet {
namespace {

constexpr double kEventsMax = 1e12;
constexpr std::array<DetectorOption, 5> kOptions = {{
    {.name = "delta",
     .standard = 0.002,
     .lowest = 0,
     .highest = 1,
     .help = "significance: how readily two parts of the window count as different",
     .above_lowest = true},
    {.name = "clock",
     .type = DetectorOptionType::kWhole,
     .standard = 32,
     .lowest = 1,
     .highest = 1e6,
     .unit = "events",
     .help = "looks for a change each time so many have come"},
    {.name = "max_buckets",
     .type = DetectorOptionType::kWhole,
     .standard = 5,
     .lowest = 2,
     .highest = 1024,
     .help = "buckets of one size before two of them become one of the next size"},
    {.name = "min_window_length",
     .type = DetectorOptionType::kWhole,
     .standard = 5,
     .lowest = 1,
     .highest = 1e6,
     .unit = "events",
     .help = "a part of the window shorter than this is not compared"},
    {.name = "grace_period",
     .type = DetectorOptionType::kWhole,
     .standard = 10,
     .lowest = 0,
     .highest = kEventsMax,
     .unit = "events",
     .help = "looks for no change before more than so many have come"},
}};

// Rows of buckets: row r has buckets of 2^r numbers, so that these are enough for any stream.
constexpr std::size_t kRowsMax = 48;

double size_of(std::size_t row) { return std::ldexp(1.0, static_cast<int>(row)); }

class Adwin final : public DriftDetector {
 public:
  explicit Adwin(const DetectorSettings& settings)
      : DriftDetector(settings),
        delta_(settings.real("delta")),
        least_(settings.real("min_window_length")),
        grace_(settings.real("grace_period")),
        clock_(settings.whole("clock")),
        max_buckets_(settings.whole("max_buckets")),
        totals_(kRowsMax * (max_buckets_ + 1)),
        variances_(totals_.size()),
        counts_(kRowsMax) {}

  double statistic() const override { return width_ > 0 ? total_ / width_ : 0; }

  void reset() override {
    std::ranges::fill(totals_, 0);
    std::ranges::fill(variances_, 0);
    std::ranges::fill(counts_, 0);
    rows_ = 1;
    total_ = variance_ = width_ = 0;
    tick_ = 0;
    drifted_ = false;
  }

 protected:
  Result<DriftState> observe(double value) override {
    if (drifted_) reset();
    insert(value);
    drifted_ = shrink();
    return drifted_ ? DriftState::kDrift : DriftState::kNone;
  }

  void save_state(ByteWriter& out) const override {
    out.put(total_);
    out.put(variance_);
    out.put(width_);
    out.put(tick_);
    out.put(drifted_);
    out.put<std::uint64_t>(rows_);
    for (std::size_t row = 0; row < rows_; ++row) {
      out.put(counts_[row]);
      for (std::size_t k = 0; k < counts_[row]; ++k) {
        out.put(totals_[at(row, k)]);
        out.put(variances_[at(row, k)]);
      }
    }
  }

  bool load_state(ByteReader& in) override {
    total_ = in.get<double>();
    variance_ = in.get<double>();
    width_ = in.get<double>();
    tick_ = in.get<std::uint64_t>();
    drifted_ = in.get<bool>();
    const auto rows = in.get<std::uint64_t>();
    if (rows == 0 || rows > kRowsMax || !(width_ >= 0)) return false;
    rows_ = rows;
    double width = 0;
    for (std::size_t row = 0; row < rows_; ++row) {
      counts_[row] = in.get<std::uint32_t>();
      if (counts_[row] > max_buckets_) return false;
      for (std::size_t k = 0; k < counts_[row]; ++k) {
        totals_[at(row, k)] = in.get<double>();
        variances_[at(row, k)] = in.get<double>();
      }
      width += counts_[row] * size_of(row);
    }
    return width == width_ && std::isfinite(total_);
  }

 private:
  std::size_t at(std::size_t row, std::size_t k) const { return row * (max_buckets_ + 1) + k; }

  void push(std::size_t row, double total, double variance) {
    const std::size_t place = at(row, counts_[row]);
    totals_[place] = total;
    variances_[place] = variance;
    ++counts_[row];
  }

  // The oldest buckets of a row go.
  void drop(std::size_t row, std::uint32_t buckets) {
    const std::size_t first = at(row, 0);
    for (std::uint32_t k = buckets; k < counts_[row]; ++k) {
      totals_[first + k - buckets] = totals_[first + k];
      variances_[first + k - buckets] = variances_[first + k];
    }
    counts_[row] -= buckets;
  }

  void insert(double value) {
    push(0, value, 0);
    width_ += 1;
    if (width_ > 1) {
      const double distance = value - total_ / (width_ - 1.0);
      variance_ += (width_ - 1.0) * distance * distance / width_;
    }
    total_ += value;
    compress();
  }

  // Where a row is full, its two oldest buckets become one of the next row.
  void compress() {
    for (std::size_t row = 0; row + 1 < kRowsMax && counts_[row] == max_buckets_ + 1; ++row) {
      const std::size_t first = at(row, 0);
      const double n = size_of(row);
      const double mean1 = totals_[first] / n;
      const double mean2 = totals_[first + 1] / n;
      const double between = n * n * (mean1 - mean2) * (mean1 - mean2) / (n + n);
      if (row + 1 == rows_) ++rows_;
      push(row + 1, totals_[first] + totals_[first + 1], variances_[first] + variances_[first + 1] + between);
      drop(row, 2);
    }
  }

  void drop_oldest() {
    const std::size_t row = rows_ - 1;
    const double n = size_of(row);
    const double total = totals_[at(row, 0)];
    const double mean = total / n;
    width_ -= n;
    total_ -= total;
    const double rest = total_ / width_;
    variance_ -= variances_[at(row, 0)] + n * width_ * (mean - rest) * (mean - rest) / (n + width_);
    drop(row, 1);
    if (counts_[row] == 0) --rows_;
  }

  // Whether the means of the older n0 and the newer n1 numbers differ by more than chance allows.
  bool differ(double n0, double n1, double difference, double log_term) const {
    const double inverse = (1.0 / (n0 - least_ + 1)) + (1.0 / (n1 - least_ + 1));
    const double allowed = std::sqrt(2 * inverse * (variance_ / width_) * log_term) + 2.0 / 3.0 * log_term * inverse;
    return std::fabs(difference) > allowed;
  }

  // Looks at every cut of the window between two buckets, oldest first. True where one parts what differs.
  bool has_cut() const {
    const double log_term = std::log(2 * std::log(width_) / delta_);
    double n0 = 0;
    double n1 = width_;
    double total0 = 0;
    double total1 = total_;
    for (std::size_t row = rows_; row-- > 0;) {
      const double n = size_of(row);
      for (std::uint32_t k = 0; k < counts_[row]; ++k) {
        n0 += n;
        n1 -= n;
        total0 += totals_[at(row, k)];
        total1 -= totals_[at(row, k)];
        if (row == 0 && k + 1 == counts_[row]) return false;
        if (n1 >= least_ && n0 >= least_ && differ(n0, n1, (total0 / n0) - (total1 / n1), log_term)) return true;
      }
    }
    return false;
  }

  bool shrink() {
    ++tick_;
    if (tick_ % clock_ != 0 || !(width_ > grace_)) return false;
    bool shrunk = false;
    while (has_cut()) {  // each time the window loses a bucket, so this ends
      drop_oldest();
      shrunk = true;
    }
    return shrunk;
  }

  const double delta_;
  const double least_;
  const double grace_;
  const std::uint64_t clock_;
  const std::size_t max_buckets_;

  // [kRowsMax, max_buckets + 1], oldest bucket of a row first; row 0 has the newest numbers.
  std::vector<double> totals_;
  std::vector<double> variances_;
  std::vector<std::uint32_t> counts_;
  std::size_t rows_ = 1;
  double total_ = 0;     // of the window
  double variance_ = 0;  // of the window, times its width
  double width_ = 0;
  std::uint64_t tick_ = 0;
  bool drifted_ = false;
};

}  // namespace

const DetectorKind& adwin_kind() {
  static const DetectorKind kind = {
      .name = "adwin",
      .title = "adaptive windowing: the means of two parts of a window of the newest numbers",
      .source = "Bifet and Gavaldà, Learning from Time-Changing Data with Adaptive Windowing, SDM 2007",
      .input = "any numbers; bounded ones have its guarantees",
      .errors_only = false,
      .statistic = "mean of the window",
      .options = kOptions,
      .check = [](const DetectorSettings&) { return Status::ok(); },
      .make = [](const DetectorSettings& settings) -> std::unique_ptr<DriftDetector> {
        return std::make_unique<Adwin>(settings);
      }};
  return kind;
}

}  // namespace freshet
