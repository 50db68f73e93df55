#include "learners/features/feature_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "core/hash.h"
#include "learners/features/calendar.h"
#include "learners/features/natural_log.h"

namespace freshet {
namespace {

constexpr std::uint32_t kStateFormat = 1;
constexpr double kPriorHalfLifeEvents = 10'000;
// What enters a statistic is held to these, so that no sum overflows.
constexpr float kLabelMax = 1e18F;
constexpr float kWeightMax = 1e6F;
constexpr std::uint64_t kAllEvents = 1;

Task task_of(const LabelSpec& label) {
  if (label.classes == 0) return Task::kRegression;
  return label.classes == 2 ? Task::kBinary : Task::kMulticlass;
}

bool is_finite(float x) { return std::abs(x) <= FLT_MAX; }

// ln(mean / (1 - mean)) of the shrunk mean, clipped; without cancellation for a mean near 1.
float log_odds(LabelCounts counts, float prior, float prior_weight) {
  constexpr float kOddsMax = 54.598150F;  // e^4
  float ones = counts.sum + prior * prior_weight;
  float zeros = std::max(counts.weight - counts.sum, 0.0F) + (1.0F - prior) * prior_weight;
  if (!(ones + zeros > 0)) {
    ones = prior;
    zeros = 1.0F - prior;
  }
  if (ones >= zeros * kOddsMax) return kLogOddsMax;
  if (zeros >= ones * kOddsMax) return -kLogOddsMax;
  return natural_log(ones / zeros);
}

float shrunk_mean(LabelCounts counts, float prior, float prior_weight) {
  const float weight = counts.weight + prior_weight;
  return weight > 0 ? (counts.sum + prior * prior_weight) / weight : prior;
}

}  // namespace

Result<std::unique_ptr<FeatureEncoder>> FeatureEncoder::create(const EventSpec& spec) {
  TRY(validate_features(spec));
  if (spec.label.classes == 1) return invalid_argument("label: a task needs 2 classes or more, or 0 for a number");
  const Task task = task_of(spec.label);
  std::string errors;
  std::size_t keys = 0;
  for (const auto& feature : spec.features) {
    if (feature.kind == FeatureKind::kTargetMean && task == Task::kMulticlass &&
        spec.label.classes > kTargetMeanClassesMax) {
      errors += fmt::format(
          "feature '{}': a target mean makes one input a class and takes at most {} classes; "
          "the label has {}\n",
          feature.name, kTargetMeanClassesMax, spec.label.classes);
    }
    const bool has_key = feature.kind == FeatureKind::kCategory || feature.kind == FeatureKind::kTimePart ||
                         feature.kind == FeatureKind::kCross || feature.kind == FeatureKind::kTargetMean;
    if (has_key) ++keys;
  }
  if (keys > kEventKeysMax) {
    errors += fmt::format("{} categories, time parts, crosses and target means; at most {} are supported\n", keys,
                          kEventKeysMax);
  }
  if (!errors.empty()) {
    errors.pop_back();
    return invalid_argument(std::move(errors));
  }
  return std::unique_ptr<FeatureEncoder>(new FeatureEncoder(spec, task));
}

FeatureEncoder::FeatureEncoder(const EventSpec& spec, Task task)
    : schema_(spec),
      task_(task),
      outputs_(task == Task::kMulticlass ? std::min(spec.label.classes, kTargetMeanClassesMax) : 1),
      number_statistics_(static_cast<std::size_t>(
          std::count_if(spec.features.begin(), spec.features.end(),
                        [](const FeatureSpec& feature) { return feature.kind == FeatureKind::kNumber; }))),
      label_statistics_(1) {
  plan_raw_features();
  plan_derived_features();
  plan_vectors();
  const double neutral = task == Task::kRegression ? 0.0 : 1.0 / std::max(spec.label.classes, 2U);
  prior_.assign(outputs_, Prior{neutral, 1.0});
  publish_prior();
}

std::uint32_t FeatureEncoder::add_dense(std::string name) {
  layout_.dense_names.push_back(std::move(name));
  return layout_.dense() - 1;
}

// Keys of categories and time parts come first, so that combinations can refer to any of them.
void FeatureEncoder::plan_raw_features() {
  const auto& features = schema_.spec().features;
  for (std::uint32_t i = 0; i < features.size(); ++i) {
    const FeatureSpec& feature = features[i];
    if (feature.kind == FeatureKind::kCategory) {
      missing_hashes_.push_back(hash_combine(schema_.find(feature.name)->seed, 0));
    } else if (feature.kind == FeatureKind::kTimePart) {
      TimePartPlan plan{feature.part, {}};
      const std::uint64_t seed = field_seed(feature.name);
      for (std::int64_t value = 0; value < time_part_values(feature.part); ++value) {
        plan.hashes.push_back(hash_category(seed, value));
      }
      time_parts_.push_back(std::move(plan));
      time_part_features_.push_back(i);
    }
  }
}

void FeatureEncoder::plan_derived_features() {
  for (const auto& feature : schema_.spec().features) {
    switch (feature.kind) {
      case FeatureKind::kNumber:
      case FeatureKind::kBoolean: {
        auto& plans = feature.kind == FeatureKind::kNumber ? numbers_ : booleans_;
        plans.push_back({schema_.find(feature.name)->index, add_dense(feature.name)});
        add_dense(feature.name + ":missing");
        break;
      }
      case FeatureKind::kCategory:
      case FeatureKind::kTimePart:
        if (!feature.input) break;
        layout_.categorical_names.push_back(feature.name);
        categorical_keys_.push_back(key_index(feature.name));
        break;
      case FeatureKind::kCross:
        layout_.categorical_names.push_back(feature.name);
        categorical_keys_.push_back(combination_key(feature.of));
        break;
      case FeatureKind::kTargetMean:
        add_target_mean(feature);
        break;
      case FeatureKind::kVector:
        break;
    }
  }
}

void FeatureEncoder::add_target_mean(const FeatureSpec& feature) {
  const auto& names = schema_.spec().label.class_names;
  std::uint32_t first = 0;
  for (std::uint32_t o = 0; o < outputs_; ++o) {
    std::string name = feature.name;
    if (outputs_ > 1) name += ":" + (o < names.size() ? names[o] : std::to_string(o));
    const std::uint32_t index = add_dense(std::move(name));
    if (o == 0) first = index;
  }
  TargetMeanOptions options;
  options.keys_max = feature.of.empty() ? 1 : feature.keys_max;
  options.outputs = outputs_;
  options.half_life_events = feature.half_life_events;
  options.half_life_ms = feature.half_life_ms;
  target_means_.push_back({combination_key(feature.of), first, static_cast<float>(feature.prior_weight),
                           std::make_unique<TargetMeanTable>(options)});
}

void FeatureEncoder::plan_vectors() {
  vector_begin_ = layout_.dense();
  for (const auto& feature : schema_.spec().features) {
    if (feature.kind != FeatureKind::kVector) continue;
    for (std::uint32_t i = 0; i < feature.size; ++i) add_dense(fmt::format("{}[{}]", feature.name, i));
  }
}

std::uint32_t FeatureEncoder::key_index(std::string_view name) const {
  if (const Column* column = schema_.find(name); column != nullptr) return column->index;
  for (std::uint32_t t = 0; t < time_part_features_.size(); ++t) {
    if (schema_.spec().features[time_part_features_[t]].name == name) return schema_.categories() + t;
  }
  abort_with("a feature refers to a key that validation let through");
}

std::uint32_t FeatureEncoder::combination_key(const std::vector<std::string>& of) {
  if (of.size() == 1) return key_index(of.front());
  Combination wanted;
  for (const auto& name : of) wanted.parts.push_back(key_index(name));
  const auto found = std::find_if(combinations_.begin(), combinations_.end(),
                                  [&](const Combination& other) { return other.parts == wanted.parts; });
  const auto index = static_cast<std::uint32_t>(found - combinations_.begin());
  if (found == combinations_.end()) combinations_.push_back(std::move(wanted));
  return schema_.categories() + static_cast<std::uint32_t>(time_parts_.size()) + index;
}

void FeatureEncoder::compute_keys(const EventBatch& events, std::size_t row, Keys& keys) const {
  std::size_t next = 0;
  for (std::uint32_t c = 0; c < missing_hashes_.size(); ++c) {
    const std::uint64_t hash = events.categories(c)[row];
    keys[next++] = hash == kMissingCategory ? missing_hashes_[c] : hash;
  }
  for (const TimePartPlan& plan : time_parts_) {
    keys[next++] = plan.hashes[static_cast<std::size_t>(time_part_value(plan.part, events.time_ms[row]))];
  }
  for (const Combination& combination : combinations_) {
    std::uint64_t key = kAllEvents;
    for (std::size_t i = 0; i < combination.parts.size(); ++i) {
      const std::uint64_t part = keys[combination.parts[i]];
      key = i == 0 ? part : hash_combine(key, part);
    }
    keys[next++] = key;
  }
}

void FeatureEncoder::prefetch(const Keys& keys) const {
  for (const TargetMeanPlan& plan : target_means_) plan.table->prefetch(keys[plan.key]);
}

void FeatureEncoder::encode_row(const EventBatch& events, std::size_t row, const Keys& keys, float* dense,
                                std::uint32_t* hashes) const {
  for (std::size_t n = 0; n < numbers_.size(); ++n) {
    const NumberPlan plan = numbers_[n];
    const float x = events.numbers(plan.column)[row];
    const bool known = is_finite(x);
    dense[plan.dense] = known ? number_statistics_.standardise(n, x) : 0.0F;
    dense[plan.dense + 1] = known ? 0.0F : 1.0F;
  }
  for (const NumberPlan plan : booleans_) {
    const float x = events.numbers(plan.column)[row];
    const bool known = is_finite(x);
    dense[plan.dense] = known ? (x >= 0.5F ? 1.0F : 0.0F) : 0.5F;
    dense[plan.dense + 1] = known ? 0.0F : 1.0F;
  }
  encode_target_means(keys, events.time_ms[row], dense);
  const auto vectors = events.vectors(row);
  std::copy(vectors.begin(), vectors.end(), dense + vector_begin_);
  for (std::size_t c = 0; c < categorical_keys_.size(); ++c) {
    hashes[c] = static_cast<std::uint32_t>(keys[categorical_keys_[c]] >> 32);
  }
}

void FeatureEncoder::encode_target_means(const Keys& keys, std::int64_t time_ms, float* dense) const {
  if (target_means_.empty()) return;
  std::array<float, kTargetMeanClassesMax> prior;
  for (std::uint32_t o = 0; o < outputs_; ++o) prior[o] = published_prior_[o].load(std::memory_order_relaxed);
  std::array<LabelCounts, kTargetMeanClassesMax> counts;
  for (const TargetMeanPlan& plan : target_means_) {
    plan.table->read(keys[plan.key], time_ms, counts.data());
    float* target = dense + plan.dense;
    switch (task_) {
      case Task::kBinary:
        target[0] = log_odds(counts[0], prior[0], plan.prior_weight);
        break;
      case Task::kRegression:
        target[0] = label_statistics_.standardise(0, shrunk_mean(counts[0], prior[0], plan.prior_weight));
        break;
      case Task::kMulticlass:
        for (std::uint32_t o = 0; o < outputs_; ++o) target[o] = shrunk_mean(counts[o], prior[o], plan.prior_weight);
        break;
    }
  }
}

void FeatureEncoder::learn_row(const EventBatch& events, std::size_t row, const Keys& keys) {
  const float weight_given = events.weights[row];
  if (!(weight_given > 0)) return;
  const double weight = std::min(weight_given, kWeightMax);
  for (std::size_t n = 0; n < numbers_.size(); ++n) {
    const float x = events.numbers(numbers_[n].column)[row];
    if (is_finite(x)) number_statistics_.update(n, x, weight);
  }
  const float label = events.labels[row];
  if (!is_finite(label)) return;
  std::array<float, kTargetMeanClassesMax> labels{};
  if (task_ == Task::kMulticlass) {
    const auto index = static_cast<std::size_t>(std::max(label, 0.0F));
    if (index < outputs_) labels[index] = 1.0F;
  } else if (task_ == Task::kBinary) {
    labels[0] = std::clamp(label, 0.0F, 1.0F);
  } else {
    labels[0] = std::clamp(label, -kLabelMax, kLabelMax);
    label_statistics_.update(0, labels[0], weight);
  }
  if (target_means_.empty()) return;
  for (TargetMeanPlan& plan : target_means_) {
    plan.table->update(keys[plan.key], events.time_ms[row], labels.data(), weight);
  }
  static const double decay = std::exp2(-1.0 / kPriorHalfLifeEvents);
  for (std::uint32_t o = 0; o < outputs_; ++o) {
    prior_[o].sum = prior_[o].sum * decay + weight * static_cast<double>(labels[o]);
    prior_[o].weight = prior_[o].weight * decay + weight;
  }
  publish_prior();
}

void FeatureEncoder::publish_prior() {
  for (std::uint32_t o = 0; o < outputs_; ++o) {
    published_prior_[o].store(static_cast<float>(prior_[o].sum / prior_[o].weight), std::memory_order_relaxed);
  }
}

void FeatureEncoder::copy_attributes(const EventBatch& events, std::size_t row, EncodedBatch& out,
                                     std::size_t out_row) {
  out.labels[out_row] = events.labels[row];
  out.weights[out_row] = events.weights[row];
  out.time_ms[out_row] = events.time_ms[row];
  out.key_hashes[out_row] = events.key_hashes[row];
  out.arrival_ns[out_row] = events.arrival_ns[row];
}

void FeatureEncoder::encode(const EventBatch& events, std::size_t begin, std::size_t end, EncodedBatch& out) const {
  out.resize(end - begin);
  Keys keys;
  for (std::size_t row = begin; row < end; ++row) {
    compute_keys(events, row, keys);
    encode_row(events, row, keys, out.dense_row(row - begin).data(), out.hash_row(row - begin).data());
    copy_attributes(events, row, out, row - begin);
  }
}

void FeatureEncoder::encode_and_learn(const EventBatch& events, std::size_t begin, std::size_t end,
                                      std::span<const std::uint8_t> held_out, EncodedBatch& out,
                                      std::size_t out_begin) {
  if (begin >= end) return;
  if (!held_out.empty() && held_out.size() < end - begin) abort_with("fewer held-out marks than events");
  out.resize(std::max(out.size(), out_begin + end - begin));
  // The keys of the next event are known, and its buckets on their way, while this one is encoded.
  std::array<Keys, 2> keys;
  compute_keys(events, begin, keys[begin % 2]);
  prefetch(keys[begin % 2]);
  for (std::size_t row = begin; row < end; ++row) {
    if (row + 1 < end) {
      compute_keys(events, row + 1, keys[(row + 1) % 2]);
      prefetch(keys[(row + 1) % 2]);
    }
    const std::size_t out_row = out_begin + row - begin;
    encode_row(events, row, keys[row % 2], out.dense_row(out_row).data(), out.hash_row(out_row).data());
    copy_attributes(events, row, out, out_row);
    if (held_out.empty() || held_out[row - begin] == 0) learn_row(events, row, keys[row % 2]);
  }
}

std::size_t FeatureEncoder::target_mean_keys() const {
  std::size_t keys = 0;
  for (const TargetMeanPlan& plan : target_means_) keys += plan.table->keys();
  return keys;
}

void FeatureEncoder::save(ByteWriter& out) const {
  out.put(kStateFormat);
  out.put(schema_.fingerprint());
  number_statistics_.save(out);
  label_statistics_.save(out);
  for (const Prior& prior : prior_) {
    out.put(prior.sum);
    out.put(prior.weight);
  }
  for (const TargetMeanPlan& plan : target_means_) plan.table->save(out);
}

Status FeatureEncoder::load(ByteReader& in) {
  if (const auto format = in.get<std::uint32_t>(); format != kStateFormat) {
    return data_loss(fmt::format("encoder statistics of format {}, this build reads {}", format, kStateFormat));
  }
  if (in.get<std::uint64_t>() != schema_.fingerprint()) {
    return failed_precondition("encoder statistics belong to another set of features");
  }
  TRY(number_statistics_.load(in));
  TRY(label_statistics_.load(in));
  for (Prior& prior : prior_) {
    prior.sum = in.get<double>();
    prior.weight = in.get<double>();
    if (!std::isfinite(prior.sum) || !(prior.weight > 0) || !std::isfinite(prior.weight)) {
      return data_loss("encoder statistics hold a prior that is not finite");
    }
  }
  publish_prior();
  for (TargetMeanPlan& plan : target_means_) TRY(plan.table->load(in));
  return in.ok() ? Status::ok() : data_loss("encoder statistics are cut short");
}

}  // namespace freshet
