#include "learners/models/parameters.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <fmt/core.h>

#include "learners/models/kernels.h"

namespace freshet {

namespace {
constexpr std::uint32_t kNoRow = 0xFFFFFFFF;
constexpr std::size_t kRowStep = 4;  // floats: rows start on 16-byte boundaries
constexpr std::uint32_t kHashFactor = 0x9E3779B1;
}  // namespace

RowTable::RowTable(std::size_t rows, std::size_t width)
    : rows_(rows), width_(width), stride_(round_up(width, kRowStep)), values_(rows * stride_), changed_epoch_(rows) {}

void RowTable::reserve_gradients(std::size_t lookups) {
  const std::size_t most = touched_.size() + std::min(lookups, rows_);
  if (gradients_.size() < most * stride_) gradients_.grow(most * stride_);
  const std::size_t wanted = std::bit_ceil(std::max<std::size_t>(2 * most, 16));
  if (index_.size() >= wanted) return;
  index_.assign(wanted, {kNoRow, 0});
  index_shift_ = 32U - static_cast<unsigned>(std::countr_zero(wanted));
  const auto touched = std::exchange(touched_, {});
  touched_.reserve(most);
  // The slots come out the same again: the gradients stay in their places.
  for (const auto row : touched) {
    std::size_t at = (row * kHashFactor) >> index_shift_;
    while (index_[at].row != kNoRow) at = (at + 1) & (index_.size() - 1);
    index_[at] = {row, static_cast<std::uint32_t>(touched_.size())};
    touched_.push_back(row);
  }
}

std::uint32_t RowTable::slot_of(std::uint32_t row) {
  std::size_t at = (row * kHashFactor) >> index_shift_;
  while (index_[at].row != row) {
    if (index_[at].row == kNoRow) {
      const auto slot = static_cast<std::uint32_t>(touched_.size());
      index_[at] = {row, slot};
      touched_.push_back(row);
      std::fill_n(gradient(slot), stride_, 0.0F);
      return slot;
    }
    at = (at + 1) & (index_.size() - 1);
  }
  return index_[at].slot;
}

void RowTable::clear_gradients() {
  if (touched_.empty()) return;
  std::fill(index_.begin(), index_.end(), Entry{kNoRow, 0});
  touched_.clear();
}

void RowTable::mark_changed(std::span<const std::uint32_t> rows) {
  for (const auto row : rows) {
    if (changed_epoch_[row] == epoch_) continue;
    if (changed_epoch_[row] == 0) used_.push_back(row);
    changed_epoch_[row] = epoch_;
    changed_.push_back(row);
  }
}

void RowTable::forget_changed() {
  changed_.clear();
  if (++epoch_ != 0) return;
  // The epoch wrapped round: start again from "used, but not lately".
  epoch_ = 2;
  for (auto& epoch : changed_epoch_) epoch = epoch == 0 ? 0 : 1;
}

void RowTable::restore_used(std::vector<std::uint32_t> used) {
  used_ = std::move(used);
  changed_.clear();
  std::fill(changed_epoch_.begin(), changed_epoch_.end(), 0);
  epoch_ = 2;
  for (const auto row : used_) changed_epoch_[row] = 1;
}

void Parameters::clear_gradients() {
  dense_gradients.zero();
  table.clear_gradients();
}

double Parameters::squared_gradient_norm() const {
  const Kernels& kernels = cpu_kernels();
  double sum = kernels.squared_sum(dense_gradients.data(), dense_gradients.size());
  if (!table.touched().empty()) sum += kernels.squared_sum(table.gradient(0), table.touched().size() * table.stride());
  return sum;
}

void Parameters::scale_gradients(float factor) {
  const Kernels& kernels = cpu_kernels();
  kernels.scale(dense_gradients.data(), factor, dense_gradients.size());
  kernels.scale(table.gradient(0), factor, table.gradients().size());
}

void save_floats(ByteWriter& out, std::span<const float> values) { out.put_span(values); }

Status load_floats(ByteReader& in, std::span<float> values) {
  const auto count = in.get<std::uint64_t>();
  if (!in.ok() || count != values.size() || in.remaining() < values.size_bytes()) {
    return data_loss(fmt::format("{} stored floats where {} are expected", count, values.size()));
  }
  in.read(values.data(), values.size_bytes());
  return Status::ok();
}

void save_rows(ByteWriter& out, const RowTable& table, const float* values) {
  out.put<std::uint64_t>(table.used().size());
  for (const auto row : table.used()) out.append(values + row * table.stride(), table.width() * sizeof(float));
}

Status load_rows(ByteReader& in, const RowTable& table, float* values) {
  const auto count = in.get<std::uint64_t>();
  const std::size_t row_bytes = table.width() * sizeof(float);
  if (!in.ok() || count != table.used().size() || in.remaining() / (row_bytes == 0 ? 1 : row_bytes) < count) {
    return data_loss(fmt::format("{} stored embedding rows where {} are expected", count, table.used().size()));
  }
  for (const auto row : table.used()) in.read(values + row * table.stride(), row_bytes);
  return Status::ok();
}

void Parameters::save(ByteWriter& out) const {
  out.put<std::uint64_t>(table.rows());
  out.put<std::uint64_t>(table.width());
  out.put_span(table.used());
  save_rows(out, table, table.values().data());
  save_floats(out, dense.span());
}

Status Parameters::load(ByteReader& in) {
  const auto rows = in.get<std::uint64_t>();
  const auto width = in.get<std::uint64_t>();
  auto used = in.get_vector<std::uint32_t>();
  if (!in.ok() || rows != table.rows() || width != table.width()) {
    return failed_precondition(fmt::format("the stored embedding table is {} x {}, the configured one {} x {}", rows,
                                           width, table.rows(), table.width()));
  }
  std::vector<bool> seen(rows);
  for (const auto row : used) {
    if (row >= rows || seen[row]) return data_loss("stored embedding rows are not a set of rows of the table");
    seen[row] = true;
  }
  table.restore_used(std::move(used));
  TRY(load_rows(in, table, table.values().data()));
  return load_floats(in, dense.span());
}

}  // namespace freshet
