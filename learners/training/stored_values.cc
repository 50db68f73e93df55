#include "learners/training/stored_values.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>

namespace freshet {

namespace {

Status check_matrices(std::span<const std::span<float>> matrices, std::span<const StoredColumn> columns,
                      std::size_t rows, std::string_view what) {
  if (matrices.empty()) return Status::ok();
  if (matrices.size() != columns.size()) {
    return invalid_argument(fmt::format("{} columns of {} for {}", matrices.size(), what, columns.size()));
  }
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (matrices[c].size() < rows * columns[c].width) {
      return invalid_argument(fmt::format("{} of {} hold {} floats for {} rows of {}", columns[c].name, what,
                                          matrices[c].size(), rows, columns[c].width));
    }
  }
  return Status::ok();
}

}  // namespace

StoredValues::StoredValues(std::span<const StoredColumn> columns)
    : columns_(columns), stored_(columns.size()), to_store_(columns.size()) {}

Status StoredValues::begin_round(const RoundInput& input) {
  input_ = &input;
  if (columns_.empty()) return Status::ok();
  TRY(check_matrices(input.stored, columns_, input.replay == nullptr ? 0 : input.replay->size(), "replayed rows"));
  TRY(check_matrices(input.to_store, columns_, input.fresh->size(), "fresh rows"));
  for (std::size_t c = 0; c < input.to_store.size(); ++c) std::ranges::fill(input.to_store[c], kNeverStored);
  return Status::ok();
}

void StoredValues::show(MiniBatch& batch) {
  if (columns_.empty()) return;
  if (!input_->stored.empty() && !input_->to_store.empty()) fill_in(batch);
  const bool any = !input_->stored.empty();
  std::size_t widest = 0;
  for (const auto& column : columns_) widest = std::max<std::size_t>(widest, column.width);
  if (!any && never_.size() < batch.replay.size() * widest) never_.resize(batch.replay.size() * widest, kNeverStored);
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    const std::size_t width = columns_[c].width;
    const std::size_t floats = batch.replay.size() * width;
    stored_[c] = any ? std::span<const float>(input_->stored[c]).subspan(batch.replay.begin * width, floats)
                     : std::span<const float>(never_).first(floats);
    if (input_->to_store.empty()) continue;
    to_store_[c] = input_->to_store[c].subspan(batch.fresh.begin * width, batch.fresh.size() * width);
  }
  batch.stored = stored_;
  batch.to_store = input_->to_store.empty() ? std::span<const std::span<float>>() : to_store_;
}

// The memory may replay an event in the round that it is fresh in: once trained on, what is to be stored is known.
void StoredValues::fill_in(const MiniBatch& batch) {
  const auto begin = input_->fresh->seqs.begin();
  const auto end = begin + static_cast<std::ptrdiff_t>(batch.fresh.begin);
  for (std::size_t row = batch.replay.begin; row < batch.replay.end; ++row) {
    const std::size_t first_width = columns_[0].width;
    if (is_stored(input_->stored[0].subspan(row * first_width, first_width))) continue;
    const std::uint64_t seq = batch.replay.batch->seqs[row];
    const auto found = seq == 0 ? end : std::lower_bound(begin, end, seq);
    if (found == end || *found != seq) continue;
    const auto fresh = static_cast<std::size_t>(found - begin);
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const std::size_t width = columns_[c].width;
      std::ranges::copy(input_->to_store[c].subspan(fresh * width, width),
                        input_->stored[c].subspan(row * width, width).begin());
    }
  }
}

void StoredValues::check(const MiniBatch& batch) const {
  for (std::size_t c = 0; c < batch.to_store.size(); ++c) {
    const std::size_t width = columns_[c].width;
    for (std::size_t row = 0; row < batch.fresh.size(); ++row) {
      const auto values = batch.to_store[c].subspan(row * width, width);
      const bool finite = std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
      if (!finite) std::ranges::fill(values, kNeverStored);
    }
  }
}

}  // namespace freshet
