#include "learners/training/good_state.h"

#include <algorithm>
#include <cstring>

#include "learners/models/kernels.h"

namespace freshet {

namespace {

// Not where any value is not a number. The bound is one of all values together: none is near it in a sane model.
bool all_sane(const float* values, std::size_t count) {
  constexpr auto kMax = static_cast<double>(kSaneWeightMax);
  return cpu_kernels().squared_sum(values, count) <= kMax * kMax;
}

}  // namespace

GoodState::GoodState(Parameters& parameters, Optimizer& optimizer, Ema* ema)
    : parameters_(parameters), ema_(ema), optimizer_(optimizer.state()), epoch_of_(parameters.table.rows()) {
  const std::size_t arrays = 1 + optimizer_.planes.size() + (ema == nullptr ? 0 : 1);
  dense_.resize(arrays * parameters.dense.size());
  mark();
}

template <typename Visit>
void GoodState::each_row_array(const Visit& visit) const {
  visit(parameters_.table.values().data());
  for (const auto& plane : optimizer_.planes) visit(plane.rows.data());
  if (ema_ != nullptr) visit(ema_->state().weights->rows.data());
}

void GoodState::mark() {
  const std::size_t size = parameters_.dense.size();
  float* to = dense_.data();
  const auto keep = [&](const float* from) {
    std::memcpy(to, from, size * sizeof(float));
    to += size;
  };
  keep(parameters_.dense.data());
  for (const auto& plane : optimizer_.planes) keep(plane.dense.data());
  if (optimizer_.steps != nullptr) optimizer_steps_ = *optimizer_.steps;
  if (ema_ != nullptr) {
    const EmaState state = ema_->state();
    keep(state.weights->dense.data());
    ema_steps_ = *state.steps;
    ema_log_product_ = *state.log_product;
  }
  rows_.clear();
  values_.clear();
  row_steps_.clear();
  row_log_products_.clear();
  if (++epoch_ != 0) return;
  std::ranges::fill(epoch_of_, 0);
  epoch_ = 1;
}

void GoodState::before_move(std::span<const std::uint32_t> rows) {
  const std::size_t stride = parameters_.table.stride();
  for (const auto row : rows) {
    if (epoch_of_[row] == epoch_) continue;
    epoch_of_[row] = epoch_;
    rows_.push_back(row);
    each_row_array(
        [&](const float* array) { values_.insert(values_.end(), array + row * stride, array + (row + 1) * stride); });
    if (!optimizer_.row_steps.empty()) row_steps_.push_back(optimizer_.row_steps[row]);
    if (ema_ != nullptr) row_log_products_.push_back(ema_->state().row_log_product[row]);
  }
}

bool GoodState::sane() const {
  const std::size_t stride = parameters_.table.stride();
  if (!all_sane(parameters_.dense.data(), parameters_.dense.size())) return false;
  for (const auto row : rows_) {
    if (!all_sane(parameters_.table.row(row), stride)) return false;
  }
  if (ema_ == nullptr) return true;
  // Rows that lag behind are caught up with weights that are finite.
  const AveragedWeights& average = *ema_->state().weights;
  if (!all_sane(average.dense.data(), average.dense.size())) return false;
  return std::ranges::all_of(rows_,
                             [&](std::uint32_t row) { return all_sane(average.rows.data() + row * stride, stride); });
}

void GoodState::restore() {
  const std::size_t size = parameters_.dense.size();
  const float* from = dense_.data();
  const auto put_back = [&](float* to) {
    std::memcpy(to, from, size * sizeof(float));
    from += size;
  };
  put_back(parameters_.dense.data());
  for (const auto& plane : optimizer_.planes) put_back(plane.dense.data());
  if (optimizer_.steps != nullptr) *optimizer_.steps = optimizer_steps_;
  if (ema_ != nullptr) {
    const EmaState state = ema_->state();
    put_back(state.weights->dense.data());
    *state.steps = ema_steps_;
    *state.log_product = ema_log_product_;
    for (std::size_t i = 0; i < rows_.size(); ++i) state.row_log_product[rows_[i]] = row_log_products_[i];
  }
  for (std::size_t i = 0; i < row_steps_.size(); ++i) optimizer_.row_steps[rows_[i]] = row_steps_[i];
  const std::size_t stride = parameters_.table.stride();
  const float* values = values_.data();
  for (const auto row : rows_) {
    const auto put_row = [&](float* array) {
      std::memcpy(array + row * stride, values, stride * sizeof(float));
      values += stride;
    };
    put_row(parameters_.table.values().data());
    for (const auto& plane : optimizer_.planes) put_row(plane.rows.data());
    if (ema_ != nullptr) put_row(ema_->state().weights->rows.data());
  }
}

}  // namespace freshet
