#include "core/event_batch.h"

#include <algorithm>
#include <array>

namespace freshet {

std::string_view skip_reason_name(SkipReason reason) {
  static constexpr std::array<std::string_view, kSkipReasons> kNames = {
      "malformed",     "not_an_object", "invalid_utf8", "too_deep",   "too_large", "empty",           "tombstone",
      "missing_label", "bad_label",     "bad_feature",  "not_finite", "bad_time",  "duplicate_field", "duplicate"};
  return kNames.at(static_cast<std::size_t>(reason));
}

EventBatch::EventBatch(const Schema& schema, std::size_t capacity)
    : positions(capacity),
      labels(capacity),
      weights(capacity),
      time_ms(capacity),
      key_hashes(capacity),
      value_hashes(capacity),
      arrival_ns(capacity),
      capacity_(capacity),
      number_columns_(schema.numbers()),
      category_columns_(schema.categories()),
      vector_floats_(schema.vector_floats()),
      numbers_(capacity * number_columns_),
      categories_(capacity * category_columns_),
      vectors_(capacity * vector_floats_) {}

void EventBatch::clear() {
  size_ = 0;
  resets.clear();
  skipped.clear();
  dead_letter_ticket = 0;
}

std::size_t EventBatch::begin_row() {
  if (size_ >= capacity_) abort_with("EventBatch written past its capacity");
  for (std::uint32_t c = 0; c < number_columns_; ++c) numbers(c)[size_] = kMissingNumber;
  for (std::uint32_t c = 0; c < category_columns_; ++c) categories(c)[size_] = kMissingCategory;
  std::fill_n(vectors_.data() + size_ * vector_floats_, vector_floats_, 0.0F);
  positions[size_] = {};
  labels[size_] = kMissingNumber;
  weights[size_] = 1.0F;
  time_ms[size_] = 0;
  key_hashes[size_] = 0;
  value_hashes[size_] = 0;
  arrival_ns[size_] = 0;
  return size_;
}

void EventBatch::commit_row() {
  if (size_ >= capacity_) abort_with("EventBatch row committed past its capacity");
  ++size_;
}

}  // namespace freshet
