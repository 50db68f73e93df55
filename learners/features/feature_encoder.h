// FeatureEncoder: turns events into what a model sees, and learns the streaming aggregates behind it: scales of
// numbers and decayed target means. It is live: one thread learns, every other reads the newest statistics, and a
// reader gets for an event exactly what the learning side would give it at that moment.
//
// An event is encoded with the statistics of earlier events only; then its numbers and its label join them. Events of
// held-out sets and events of weight 0 are encoded but leave no trace in any statistic.
//
// Dense part, in the order of the features, vectors last (core/event_record.h keeps them once because of that):
//   number       2: standardised and clipped to +-5 (0 when missing); 1 when missing
//   boolean      2: 0 or 1 (0.5 when missing); 1 when missing
//   target_mean  binary: log-odds of the mean, clipped to +-4. regression: the mean in standard deviations from the
//                mean label, clipped to +-5. multiclass: the share of each class, one float a class, at most 16 classes
//   vector       its floats as they came
// Categorical part, one 32-bit hash each: categories (unless input: false), time parts (UTC; hour 0-23, day_of_week
// 0 = Monday, day_of_month 1-31, month 1-12, minute_of_day 0-1439), crosses. A missing category is a value of its own.
//
// A mean is (sum + prior * prior_weight) / (weight + prior_weight); prior is the mean label over all events with a
// half-life of 10,000 events, which begins at the neutral value (0.5, 1/classes, or 0) with the weight of one event.
//
// Threads: `encode` from any thread, lock-free; `encode_and_learn` and `save` on the ingest thread; `load` before any
// reader has the encoder.  Owns: its statistics; memory is bounded by the keys_max of each target mean.
// Failure: `create` reports every unusable feature at once; `load` answers data_loss for damaged bytes and
// failed_precondition for those of other features; after a failed load the encoder is to be thrown away.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/bytes.h"
#include "core/predictor.h"
#include "core/schema.h"
#include "learners/features/number_statistics.h"
#include "learners/features/target_mean.h"

namespace freshet {

inline constexpr std::uint32_t kTargetMeanClassesMax = 16;
inline constexpr std::size_t kEventKeysMax = 256;  // categories, time parts and key combinations of one event
inline constexpr float kLogOddsMax = 4.0F;

class FeatureEncoder final : public FeatureEncoding {
 public:
  static Result<std::unique_ptr<FeatureEncoder>> create(const EventSpec& spec);

  const Schema& schema() const override { return schema_; }
  const EncodedLayout& layout() const override { return layout_; }
  Task task() const { return task_; }

  // Fills features and attributes (labels, weights, time_ms, key_hashes, arrival_ns) of rows [0, end - begin), and
  // resizes `out` to them.
  void encode(const EventBatch& events, std::size_t begin, std::size_t end, EncodedBatch& out) const override;

  // The same into rows [out_begin, out_begin + end - begin), and learns from each event after it is encoded.
  // held_out[i] is 1 where event begin + i is held out; empty means none is. `out` grows to hold the rows; rows past
  // its capacity abort.
  void encode_and_learn(const EventBatch& events, std::size_t begin, std::size_t end,
                        std::span<const std::uint8_t> held_out, EncodedBatch& out, std::size_t out_begin);

  // All statistics, exactly. The size follows the keys seen, not keys_max.
  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

  // Keys held over all target means, for metrics.
  std::size_t target_mean_keys() const;

 private:
  struct NumberPlan {
    std::uint32_t column, dense;
  };
  struct TimePartPlan {
    TimePart part;
    std::vector<std::uint64_t> hashes;  // by the part's value
  };
  struct Combination {
    std::vector<std::uint32_t> parts;  // indices of keys, combined in order; none: one key for all events
  };
  struct TargetMeanPlan {
    std::uint32_t key, dense;
    float prior_weight;
    std::unique_ptr<TargetMeanTable> table;
  };
  // The keys of one event: categories, then time parts, then combinations.
  using Keys = std::array<std::uint64_t, kEventKeysMax>;

  FeatureEncoder(const EventSpec& spec, Task task);
  void plan_raw_features();
  void plan_derived_features();
  void plan_vectors();
  std::uint32_t add_dense(std::string name);
  void add_target_mean(const FeatureSpec& feature);
  std::uint32_t key_index(std::string_view name) const;
  std::uint32_t combination_key(const std::vector<std::string>& of);

  void compute_keys(const EventBatch& events, std::size_t row, Keys& keys) const;
  void prefetch(const Keys& keys) const;
  void encode_row(const EventBatch& events, std::size_t row, const Keys& keys, float* dense,
                  std::uint32_t* hashes) const;
  void encode_target_means(const Keys& keys, std::int64_t time_ms, float* dense) const;
  void learn_row(const EventBatch& events, std::size_t row, const Keys& keys);
  void publish_prior();
  static void copy_attributes(const EventBatch& events, std::size_t row, EncodedBatch& out, std::size_t out_row);

  Schema schema_;
  EncodedLayout layout_;
  Task task_;
  std::uint32_t outputs_;  // sums of a target mean: one a class for multiclass, else 1

  std::vector<NumberPlan> numbers_;
  std::vector<NumberPlan> booleans_;
  std::vector<std::uint64_t> missing_hashes_;  // by category column
  std::vector<TimePartPlan> time_parts_;
  std::vector<std::uint32_t> time_part_features_;  // index in the spec, by time part
  std::vector<Combination> combinations_;
  std::vector<std::uint32_t> categorical_keys_;  // which key each categorical output is
  std::vector<TargetMeanPlan> target_means_;
  std::uint32_t vector_begin_ = 0;

  NumberStatistics number_statistics_;  // by position in numbers_
  NumberStatistics label_statistics_;   // one column, for regression
  struct Prior {
    double sum, weight;
  };
  std::vector<Prior> prior_;  // by output
  std::array<std::atomic<float>, kTargetMeanClassesMax> published_prior_{};
};

}  // namespace freshet
