#include "learners/training/row_feed.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace freshet {

namespace {

void copy_row(const EncodedBatch& from, std::size_t row, EncodedBatch& to, std::size_t at) {
  std::ranges::copy(from.dense_row(row), to.dense_row(at).begin());
  std::ranges::copy(from.hash_row(row), to.hash_row(at).begin());
  to.labels[at] = from.labels[row];
  to.weights[at] = from.weights[row];
  to.losses[at] = from.losses[row];
  to.time_ms[at] = from.time_ms[row];
  to.key_hashes[at] = from.key_hashes[row];
  to.seqs[at] = from.seqs[row];
  to.arrival_ns[at] = from.arrival_ns[row];
}

void make_room(EncodedBatch& piece, const EncodedBatch& like, std::size_t rows) {
  const bool fits = piece.capacity() >= rows && piece.dense_width() == like.dense_width() &&
                    piece.categorical_width() == like.categorical_width();
  if (!fits) piece = EncodedBatch(like.dense_width(), like.categorical_width(), rows);
  piece.resize(rows);
}

std::size_t memory_size(const RoundInput& input) {
  if (input.memory != nullptr) return input.memory->size();
  return input.replay == nullptr ? 0 : input.replay->size();
}
std::uint64_t memory_seq(const RoundInput& input, std::size_t row) {
  return input.memory != nullptr ? input.memory->seq(row) : input.replay->seqs[row];
}

void shuffle_rows(std::vector<std::uint32_t>& rows, Rng& rng) {
  for (std::size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[rng.below(i)]);
}

}  // namespace

void RowFeed::begin(const RoundInput& input, const RoundPhase& phase, std::size_t batch_rows, Rng& rng) {
  using Rows = RoundPhase::Rows;
  input_ = &input;
  batch_rows_ = std::max<std::size_t>(batch_rows, 1);
  const std::size_t held = memory_size(input);
  const bool with_fresh = phase.rows != Rows::kMemory || held == 0;
  fresh_.resize(with_fresh ? input.fresh->size() : 0);
  std::iota(fresh_.begin(), fresh_.end(), 0U);
  memory_.clear();
  // Sequence numbers ascend with arrival; 0 stands for none.
  const std::uint64_t first_fresh = input.fresh->size() > 0 ? input.fresh->seqs.front() : 0;
  for (std::size_t i = 0; i < (phase.uses_memory() ? held : 0); ++i) {
    const bool is_fresh = with_fresh && first_fresh > 0 && memory_seq(input, i) >= first_fresh;
    if (!is_fresh) memory_.push_back(static_cast<std::uint32_t>(i));
  }
  steps_ = (fresh_.size() + memory_.size() + batch_rows_ - 1) / batch_rows_;
  passes_left_ = steps_ == 0 ? 0 : phase.passes;
  step_ = piece_end_ = 0;
  piece_memory_end_ = piece_memory_ = 0;
  if (passes_left_ > 0) shuffle(rng);
}

// Each pass shuffles the order of the one before.
void RowFeed::shuffle(Rng& rng) {
  shuffle_rows(fresh_, rng);
  shuffle_rows(memory_, rng);
}

Result<bool> RowFeed::next(MiniBatch& batch, Rng& rng) {
  if (step_ == piece_end_) give_back_losses();
  if (passes_left_ > 0 && step_ == steps_) {
    --passes_left_;
    step_ = piece_end_ = 0;
    if (passes_left_ > 0) shuffle(rng);
  }
  if (passes_left_ == 0) return false;
  if (step_ == piece_end_) TRY(read_piece());
  batch.fresh = {&fresh_piece_, fresh_before(step_) - piece_fresh_, fresh_before(step_ + 1) - piece_fresh_};
  batch.replay = {&memory_piece_, memory_before(step_) - piece_memory_, memory_before(step_ + 1) - piece_memory_};
  batch.replay.losses = losses_.empty() ? nullptr : losses_.data() + batch.replay.begin;
  ++step_;
  return true;
}

Status RowFeed::read_piece() {
  const std::size_t steps = std::max<std::size_t>(kPieceRows / batch_rows_, 1);
  piece_end_ = std::min(step_ + steps, steps_);
  piece_fresh_ = fresh_before(step_);
  piece_memory_ = memory_before(step_);
  const std::size_t fresh_end = fresh_before(piece_end_);
  piece_memory_end_ = memory_before(piece_end_);
  make_room(fresh_piece_, *input_->fresh, fresh_end - piece_fresh_);
  for (std::size_t i = piece_fresh_; i < fresh_end; ++i) {
    copy_row(*input_->fresh, fresh_[i], fresh_piece_, i - piece_fresh_);
  }
  make_room(memory_piece_, *input_->fresh, piece_memory_end_ - piece_memory_);
  const std::span<const std::uint32_t> rows =
      std::span(memory_).subspan(piece_memory_, piece_memory_end_ - piece_memory_);
  losses_.assign(rows.size(), std::nanf(""));
  if (input_->memory != nullptr) return rows.empty() ? Status::ok() : input_->memory->read(rows, memory_piece_);
  for (std::size_t i = 0; i < rows.size(); ++i) copy_row(*input_->replay, rows[i], memory_piece_, i);
  return Status::ok();
}

// What a later pass finds stands over what an earlier one found.
void RowFeed::give_back_losses() {
  for (std::size_t i = piece_memory_; i < piece_memory_end_; ++i) {
    const float loss = losses_[i - piece_memory_];
    if (memory_[i] < input_->replay_losses.size() && !std::isnan(loss)) input_->replay_losses[memory_[i]] = loss;
  }
  piece_memory_end_ = piece_memory_;
}

}  // namespace freshet
