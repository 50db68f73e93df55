// FeatureReference and its comparison: whether the features and labels of now are distributed as those that the model
// learnt from. The reference is a bounded sketch of each column, stored with the model; raw data are not kept.
//
// By default, small references (up to `small_events`) are compared by Kolmogorov-Smirnov and chi-square at p .05,
// larger ones, of which every difference is significant, by Wasserstein and Jensen-Shannon distances at .1; half of the
// columns make a drift of the data set: the defaults of Evidently.
//
// Threads: one owner.  Owns: a sketch a column, 6 to 12 KiB.
// Failure: `load` answers data_loss for damaged bytes or other columns, and the reference is then empty.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "learners/drift/reference/distances.h"

namespace freshet {

struct ReferenceColumn {
  std::string name;  // "distance", or "label"
  bool categorical = false;
};

class FeatureReference {
 public:
  explicit FeatureReference(std::vector<ReferenceColumn> columns);

  const std::vector<ReferenceColumn>& columns() const { return columns_; }
  void add_number(std::size_t column, float value) { numbers_[place_[column]].add(value); }  // not finite: missing
  void add_category(std::size_t column, std::uint32_t hash) { categories_[place_[column]].add(hash); }
  void clear();

  const QuantileSketch& numbers(std::size_t column) const { return numbers_[place_[column]]; }
  const CategorySketch& categories(std::size_t column) const { return categories_[place_[column]]; }

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  std::vector<ReferenceColumn> columns_;
  std::vector<std::size_t> place_;  // of a column among those of its kind
  std::vector<QuantileSketch> numbers_;
  std::vector<CategorySketch> categories_;
};

enum class FeatureTest : std::uint8_t {
  kAuto,
  kKolmogorovSmirnov,
  kChiSquare,
  kStabilityIndex,
  kJensenShannon,
  kWasserstein,
  kMeanDiscrepancy,
};
std::string_view feature_test_name(FeatureTest test);  // "auto", "ks", "chi_square", "psi", "jensen_shannon", …
Result<FeatureTest> find_feature_test(std::string_view name);

struct FeatureDriftOptions {
  FeatureTest numbers = FeatureTest::kAuto;     // not chi-square
  FeatureTest categories = FeatureTest::kAuto;  // not ks, wasserstein or mmd
  double p = 0.05;
  double distance = 0.1;  // wasserstein, jensen_shannon
  double psi = 0.1;
  double mmd = 0.015;
  double share = 0.5;  // of the columns, for a drift of the data set
  std::uint64_t small_events = 1000;
};
Status check_feature_drift(const FeatureDriftOptions& options);

struct ColumnDrift {
  std::string_view name;
  FeatureTest test = FeatureTest::kAuto;
  double value = 0;  // the p-value of a test, else the distance
  double threshold = 0;
  bool drifted = false;
  std::string cause;  // "feature distance: mean 1040 → 610, wasserstein 0.42 > 0.1"
};

struct DatasetDrift {
  std::vector<ColumnDrift> columns;  // in their order
  std::size_t drifted = 0;
  bool dataset = false;
  std::string cause;  // of those that drifted, the first few
};

// Both must have the same columns.
DatasetDrift compare_features(const FeatureReference& reference, const FeatureReference& now,
                              const FeatureDriftOptions& options);

}  // namespace freshet
