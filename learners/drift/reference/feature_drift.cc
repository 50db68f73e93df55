#include "learners/drift/reference/feature_drift.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace freshet {
namespace {

constexpr std::uint32_t kFormat = 1;
constexpr std::array<std::string_view, 7> kTestNames = {"auto",           "ks",          "chi_square", "psi",
                                                        "jensen_shannon", "wasserstein", "mmd"};

double value_of(FeatureTest test, const QuantileSketch& reference, const QuantileSketch& now) {
  switch (test) {
    case FeatureTest::kKolmogorovSmirnov:
      return kolmogorov_smirnov(reference, now).p;
    case FeatureTest::kWasserstein:
      return wasserstein(reference, now);
    case FeatureTest::kMeanDiscrepancy:
      return mean_discrepancy(reference, now);
    case FeatureTest::kStabilityIndex:
      return stability_index(binned(reference, now));
    default:
      return jensen_shannon(binned(reference, now));
  }
}

double value_of(FeatureTest test, const CategorySketch& reference, const CategorySketch& now) {
  switch (test) {
    case FeatureTest::kChiSquare:
      return chi_square(reference, now).p;
    case FeatureTest::kStabilityIndex:
      return stability_index(binned(reference, now));
    default:
      return jensen_shannon(binned(reference, now));
  }
}

double threshold_of(FeatureTest test, const FeatureDriftOptions& options) {
  switch (test) {
    case FeatureTest::kKolmogorovSmirnov:
    case FeatureTest::kChiSquare:
      return options.p;
    case FeatureTest::kStabilityIndex:
      return options.psi;
    case FeatureTest::kMeanDiscrepancy:
      return options.mmd;
    default:
      return options.distance;
  }
}

bool has_p(FeatureTest test) { return test == FeatureTest::kKolmogorovSmirnov || test == FeatureTest::kChiSquare; }

double missing_share(const QuantileSketch& sketch) {
  const auto all = static_cast<double>(sketch.count() + sketch.missing());
  return all > 0 ? static_cast<double>(sketch.missing()) / all : 0;
}

// The value whose share moved most: "value 1a2b3c4d 12 % → 40 %". Hashes are all that is stored of a category.
std::string moved_most(const CategorySketch& reference, const CategorySketch& now) {
  const auto share = [](const CategorySketch& sketch, std::uint32_t value) {
    const auto found = std::ranges::find(sketch.entries(), value, &CategorySketch::Entry::value);
    if (found == sketch.entries().end()) return 0.0;
    return static_cast<double>(found->count) / static_cast<double>(sketch.count());
  };
  double most = -1;
  std::string words;
  for (const CategorySketch* sketch : {&reference, &now}) {
    for (const auto& entry : sketch->entries()) {
      const double before = share(reference, entry.value);
      const double after = share(now, entry.value);
      if (std::abs(after - before) <= most) continue;
      most = std::abs(after - before);
      words = fmt::format("value #{:08x} {:.1f} % → {:.1f} %", entry.value, 100 * before, 100 * after);
    }
  }
  return words;
}

std::string moved(const QuantileSketch& reference, const QuantileSketch& now) {
  std::string words = fmt::format("mean {:.4g} → {:.4g}", reference.moments().mean, now.moments().mean);
  constexpr double kMissingSaid = 0.01;
  if (std::abs(missing_share(now) - missing_share(reference)) > kMissingSaid) {
    words += fmt::format(", missing {:.1f} % → {:.1f} %", 100 * missing_share(reference), 100 * missing_share(now));
  }
  return words;
}

}  // namespace

FeatureReference::FeatureReference(std::vector<ReferenceColumn> columns) : columns_(std::move(columns)) {
  for (const ReferenceColumn& column : columns_) {
    if (column.categorical) {
      place_.push_back(categories_.size());
      categories_.emplace_back();
    } else {
      place_.push_back(numbers_.size());
      numbers_.emplace_back(place_.size());
    }
  }
}

void FeatureReference::clear() { *this = FeatureReference(std::move(columns_)); }

void FeatureReference::save(ByteWriter& out) const {
  out.put(kFormat);
  out.put<std::uint64_t>(columns_.size());
  for (std::size_t column = 0; column < columns_.size(); ++column) {
    out.put_text(columns_[column].name);
    out.put(columns_[column].categorical);
    if (columns_[column].categorical) {
      categories(column).save(out);
    } else {
      numbers(column).save(out);
    }
  }
}

Status FeatureReference::load(ByteReader& in) {
  clear();
  bool sound = in.get<std::uint32_t>() == kFormat && in.get<std::uint64_t>() == columns_.size();
  for (std::size_t column = 0; sound && column < columns_.size(); ++column) {
    const ReferenceColumn& wanted = columns_[column];
    sound = in.get_text() == wanted.name && in.get<bool>() == wanted.categorical;
    if (!sound) break;
    sound = wanted.categorical ? categories_[place_[column]].load(in) : numbers_[place_[column]].load(in);
  }
  if (sound && in.ok()) return Status::ok();
  clear();
  return data_loss("the stored reference of features is damaged, or of other features than those of the stream");
}

std::string_view feature_test_name(FeatureTest test) { return kTestNames[static_cast<std::size_t>(test)]; }

Result<FeatureTest> find_feature_test(std::string_view name) {
  const auto found = std::ranges::find(kTestNames, name);
  if (found != kTestNames.end()) return static_cast<FeatureTest>(found - kTestNames.begin());
  return not_found(fmt::format("there is no test '{}'; these are: {}", name, fmt::join(kTestNames, ", ")));
}

Status check_feature_drift(const FeatureDriftOptions& options) {
  if (options.numbers == FeatureTest::kChiSquare) {
    return invalid_argument("chi_square compares categories; numbers take ks, psi, jensen_shannon, wasserstein or mmd");
  }
  for (const FeatureTest test :
       {FeatureTest::kKolmogorovSmirnov, FeatureTest::kWasserstein, FeatureTest::kMeanDiscrepancy}) {
    if (options.categories != test) continue;
    return invalid_argument(
        fmt::format("{} compares numbers; categories take chi_square, psi or jensen_shannon", feature_test_name(test)));
  }
  return Status::ok();
}

DatasetDrift compare_features(const FeatureReference& reference, const FeatureReference& now,
                              const FeatureDriftOptions& options) {
  DatasetDrift result;
  for (std::size_t i = 0; i < reference.columns().size(); ++i) {
    const ReferenceColumn& column = reference.columns()[i];
    ColumnDrift drift;
    drift.name = column.name;
    drift.test = column.categorical ? options.categories : options.numbers;
    const std::uint64_t count = column.categorical ? reference.categories(i).count() : reference.numbers(i).count();
    const std::uint64_t now_count = column.categorical ? now.categories(i).count() : now.numbers(i).count();
    if (drift.test == FeatureTest::kAuto && count <= options.small_events) {
      drift.test = column.categorical ? FeatureTest::kChiSquare : FeatureTest::kKolmogorovSmirnov;
    } else if (drift.test == FeatureTest::kAuto) {
      drift.test = column.categorical ? FeatureTest::kJensenShannon : FeatureTest::kWasserstein;
    }
    drift.threshold = threshold_of(drift.test, options);
    if (count > 0 && now_count > 0) {
      drift.value = column.categorical ? value_of(drift.test, reference.categories(i), now.categories(i))
                                       : value_of(drift.test, reference.numbers(i), now.numbers(i));
      drift.drifted = has_p(drift.test) ? drift.value < drift.threshold : drift.value > drift.threshold;
    }
    if (drift.drifted) {
      drift.cause = fmt::format("{}{}: {}, {}{} {:.3g} {} {:g}", column.name == "label" ? "" : "feature ", column.name,
                                column.categorical ? moved_most(reference.categories(i), now.categories(i))
                                                   : moved(reference.numbers(i), now.numbers(i)),
                                feature_test_name(drift.test), has_p(drift.test) ? " p" : "", drift.value,
                                has_p(drift.test) ? "<" : ">", drift.threshold);
      constexpr std::size_t kSaid = 3;
      if (result.drifted < kSaid) result.cause += (result.cause.empty() ? "" : "; ") + drift.cause;
      ++result.drifted;
    }
    result.columns.push_back(std::move(drift));
  }
  const auto columns = static_cast<double>(result.columns.size());
  result.dataset = result.drifted > 0 && static_cast<double>(result.drifted) >= options.share * columns;
  if (result.dataset) {
    result.cause = fmt::format("{} of {} features drifted: {}", result.drifted, result.columns.size(), result.cause);
  }
  return result;
}

}  // namespace freshet
