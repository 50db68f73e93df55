#include "learners/training/averaging.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "learners/models/kernels.h"

namespace freshet {

namespace {

void copy(AlignedBuffer& to, const AlignedBuffer& from) {
  if (from.size() != 0) std::memcpy(to.data(), from.data(), from.size() * sizeof(float));
}

AveragedWeights copy_of(const Parameters& parameters) {
  AveragedWeights weights{AlignedBuffer(parameters.dense.size()), AlignedBuffer(parameters.table.values().size())};
  copy(weights.dense, parameters.dense);
  copy(weights.rows, parameters.table.values());
  return weights;
}

}  // namespace

Ema::Ema(double decay, const Parameters& parameters)
    : decay_(decay), shadow_(copy_of(parameters)), row_log_product_(parameters.table.rows()) {}

void Ema::reset(const Parameters& parameters) {
  steps_ = 0;
  log_product_ = 0.0;
  turn_ = 0;
  copy(shadow_.dense, parameters.dense);
  copy(shadow_.rows, parameters.table.values());
  std::ranges::fill(row_log_product_, 0.0);
}

double Ema::decay_at(std::uint64_t step, double decay) {
  const auto t = static_cast<double>(step);
  return std::min(decay, (1.0 + t) / (10.0 + t));
}

// A decay of 0 has no logarithm; any product below the smallest float serves.
double Ema::log_of(double decay) { return decay > 0.0 ? std::log(decay) : -1000.0; }

void Ema::catch_up_row(const RowTable& table, std::uint32_t row) {
  if (row_log_product_[row] == log_product_) return;
  const double product = std::exp(log_product_ - row_log_product_[row]);
  cpu_kernels().blend(shadow_.rows.data() + row * table.stride(), table.row(row), static_cast<float>(product),
                      table.stride());
  row_log_product_[row] = log_product_;
}

void Ema::before_move(const Parameters& parameters, std::span<const std::uint32_t> rows) {
  for (const auto row : rows) catch_up_row(parameters.table, row);
}

void Ema::after_step(const Parameters& parameters) {
  const Kernels& kernels = cpu_kernels();
  const double decay = decay_at(++steps_, decay_);
  log_product_ += log_of(decay);
  const auto keep = static_cast<float>(decay);
  kernels.blend(shadow_.dense.data(), parameters.dense.data(), keep, parameters.dense.size());
  const RowTable& table = parameters.table;
  for (const auto row : table.touched()) {
    kernels.blend(shadow_.rows.data() + row * table.stride(), table.row(row), keep, table.stride());
    row_log_product_[row] = log_product_;
  }
}

void Ema::catch_up(const Parameters& parameters, std::size_t most, std::vector<std::uint32_t>& moved) {
  const RowTable& table = parameters.table;
  for (const auto row : table.changed()) {
    catch_up_row(table, row);
    moved.push_back(row);
  }
  const auto used = table.used();
  for (std::size_t i = 0; i < std::min(most, used.size()); ++i) {
    turn_ = turn_ < used.size() ? turn_ : 0;
    const std::uint32_t row = used[turn_++];
    if (row_log_product_[row] == log_product_) continue;
    catch_up_row(table, row);
    moved.push_back(row);
  }
}

void Ema::save(ByteWriter& out, const Parameters& parameters) const {
  out.put(decay_);
  out.put(steps_);
  out.put(log_product_);
  out.put<std::uint64_t>(turn_);
  save_floats(out, shadow_.dense.span());
  save_rows(out, parameters.table, shadow_.rows.data());
  for (const auto row : parameters.table.used()) out.put(row_log_product_[row]);
}

Status Ema::load(ByteReader& in, const Parameters& parameters) {
  reset(parameters);
  in.get<double>();  // the decay is the configuration's: it may change between runs
  steps_ = in.get<std::uint64_t>();
  log_product_ = in.get<double>();
  turn_ = in.get<std::uint64_t>();
  TRY(load_floats(in, shadow_.dense.span()));
  TRY(load_rows(in, parameters.table, shadow_.rows.data()));
  for (const auto row : parameters.table.used()) row_log_product_[row] = in.get<double>();
  return in.ok() ? Status::ok() : data_loss("the stored moving average is cut short");
}

SnapshotAverage::SnapshotAverage(std::size_t count, const Parameters& parameters)
    : count_(std::max<std::size_t>(count, 1)),
      oldest_rows_(parameters.table.values().size()),
      average_(copy_of(parameters)) {
  copy(oldest_rows_, parameters.table.values());
}

void SnapshotAverage::reset(const Parameters& parameters) {
  snapshots_.clear();
  copy(oldest_rows_, parameters.table.values());
  copy(average_.dense, parameters.dense);
  copy(average_.rows, parameters.table.values());
}

void SnapshotAverage::end_round(const Parameters& parameters, std::vector<std::uint32_t>& moved) {
  const RowTable& table = parameters.table;
  const std::size_t stride = table.stride();
  Snapshot next;
  if (snapshots_.size() == count_) {
    next = std::move(snapshots_.front());  // its memory serves again
    snapshots_.pop_front();
  }
  next.dense.assign(parameters.dense.span().begin(), parameters.dense.span().end());
  next.rows.assign(table.changed().begin(), table.changed().end());
  std::ranges::sort(next.rows);
  next.values.resize(next.rows.size() * stride);
  for (std::size_t i = 0; i < next.rows.size(); ++i) {
    std::copy_n(table.row(next.rows[i]), stride, next.values.data() + i * stride);
  }
  snapshots_.push_back(std::move(next));
  // The oldest snapshot's own moves are part of the base that later moves are counted from.
  const Snapshot& oldest = snapshots_.front();
  for (std::size_t i = 0; i < oldest.rows.size(); ++i) {
    std::copy_n(oldest.values.data() + i * stride, stride, oldest_rows_.data() + oldest.rows[i] * stride);
  }

  const Kernels& kernels = cpu_kernels();
  const auto share = 1.0F / static_cast<float>(snapshots_.size());
  average_.dense.zero();
  for (const auto& snapshot : snapshots_) {
    kernels.add(average_.dense.data(), snapshot.dense.data(), snapshot.dense.size());
  }
  kernels.scale(average_.dense.data(), share, average_.dense.size());
  average_rows(table, moved);
}

void SnapshotAverage::average_rows(const RowTable& table, std::vector<std::uint32_t>& moved) {
  const Kernels& kernels = cpu_kernels();
  const std::size_t stride = table.stride();
  const auto share = 1.0F / static_cast<float>(snapshots_.size());
  // A merge of the snapshots' sorted row lists; each row is summed over all snapshots in their order.
  std::vector<std::size_t> next(snapshots_.size(), 0);
  std::vector<const float*> current(snapshots_.size());
  while (true) {
    std::uint32_t row = 0xFFFFFFFF;
    for (std::size_t s = 0; s < snapshots_.size(); ++s) {
      if (next[s] < snapshots_[s].rows.size()) row = std::min(row, snapshots_[s].rows[next[s]]);
    }
    if (row == 0xFFFFFFFF) return;
    float* average = average_.rows.data() + row * stride;
    std::fill_n(average, stride, 0.0F);
    const float* value = oldest_rows_.data() + row * stride;
    for (std::size_t s = 0; s < snapshots_.size(); ++s) {
      const Snapshot& snapshot = snapshots_[s];
      if (next[s] < snapshot.rows.size() && snapshot.rows[next[s]] == row) {
        value = snapshot.values.data() + next[s]++ * stride;
      }
      kernels.add(average, value, stride);
    }
    kernels.scale(average, share, stride);
    moved.push_back(row);
  }
}

void SnapshotAverage::save(ByteWriter& out, const Parameters& parameters) const {
  out.put<std::uint64_t>(snapshots_.size());
  for (const auto& snapshot : snapshots_) {
    out.put_span(std::span<const float>(snapshot.dense));
    out.put_span(std::span<const std::uint32_t>(snapshot.rows));
    out.put_span(std::span<const float>(snapshot.values));
  }
  save_rows(out, parameters.table, oldest_rows_.data());
  save_rows(out, parameters.table, average_.rows.data());
  save_floats(out, average_.dense.span());
}

Status SnapshotAverage::load(ByteReader& in, const Parameters& parameters) {
  reset(parameters);
  const auto count = in.get<std::uint64_t>();
  for (std::uint64_t s = 0; s < count; ++s) {
    Snapshot snapshot{in.get_vector<float>(), in.get_vector<std::uint32_t>(), in.get_vector<float>()};
    const bool fits = in.ok() && snapshot.dense.size() == parameters.dense.size() &&
                      snapshot.values.size() == snapshot.rows.size() * parameters.table.stride() &&
                      std::ranges::all_of(snapshot.rows, [&](auto row) { return row < parameters.table.rows(); });
    if (!fits) return data_loss("a stored snapshot of the weights has another shape");
    snapshots_.push_back(std::move(snapshot));
  }
  TRY(load_rows(in, parameters.table, oldest_rows_.data()));
  TRY(load_rows(in, parameters.table, average_.rows.data()));
  TRY(load_floats(in, average_.dense.span()));
  // With a smaller count configured, the oldest leave.
  const std::size_t stride = parameters.table.stride();
  const bool shrinks = snapshots_.size() > count_;
  while (snapshots_.size() > count_) {
    for (const auto row : snapshots_.front().rows) {
      std::copy_n(oldest_rows_.data() + row * stride, stride, average_.rows.data() + row * stride);
    }
    snapshots_.pop_front();
    const Snapshot& oldest = snapshots_.front();
    for (std::size_t i = 0; i < oldest.rows.size(); ++i) {
      std::copy_n(oldest.values.data() + i * stride, stride, oldest_rows_.data() + oldest.rows[i] * stride);
    }
  }
  std::vector<std::uint32_t> moved;
  if (shrinks) average_rows(parameters.table, moved);
  return Status::ok();
}

void save_averages(ByteWriter& out, PublishedWeights published, const std::optional<Ema>& ema,
                   const std::optional<SnapshotAverage>& average, const Parameters& parameters) {
  out.put(published);
  if (ema) ema->save(out, parameters);
  if (average) average->save(out, parameters);
}

Status load_averages(ByteReader& in, PublishedWeights published, std::optional<Ema>& ema,
                     std::optional<SnapshotAverage>& average, const Parameters& parameters) {
  const auto stored = in.get<PublishedWeights>();
  if (!in.ok()) return data_loss("the state of the learner is cut short");
  if (stored != published) {
    return failed_precondition("the state was saved with other serving.weights (raw, ema or average)");
  }
  if (ema) TRY(ema->load(in, parameters));
  if (average) TRY(average->load(in, parameters));
  return Status::ok();
}

}  // namespace freshet
