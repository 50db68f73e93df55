#include "learners/training/native_copies.h"

#include <algorithm>
#include <cstring>

#include "learners/models/kernels.h"
#include "learners/models/lazy_rows.h"
#include "learners/models/nearly_normal.h"

namespace freshet {

namespace {

void add_scaled(float* target, const float* source, float factor, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) target[i] += factor * source[i];
}
void add_squares(float* target, const float* source, float factor, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) target[i] += factor * source[i] * source[i];
}
void add_pull(float* gradients, float strength, const float* importance, const float* weights, const float* anchor,
              std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) gradients[i] += strength * importance[i] * (weights[i] - anchor[i]);
}

// The kept rows' values, in their order.
void save_kept(ByteWriter& out, const LazyRows& rows, const RowTable& table, const AlignedBuffer& values) {
  for (const auto row : rows.kept()) out.append(values.data() + row * table.stride(), table.width() * sizeof(float));
}
Status load_kept(ByteReader& in, const LazyRows& rows, const RowTable& table, AlignedBuffer& values) {
  for (const auto row : rows.kept()) in.read(values.data() + row * table.stride(), table.width() * sizeof(float));
  return in.ok() ? Status::ok() : data_loss("the stored copy of the weights is cut short");
}

}  // namespace

class NativeCopy final : public WeightsCopy {
 public:
  explicit NativeCopy(NativeCopies& owner)
      : owner_(owner),
        net_(owner.net_),
        dense_(parameters().dense.size()),
        values_(parameters().table.values().size()),
        rows_(parameters().table.rows()) {
    owner_.copies_.push_back(this);
    take_now();
  }
  ~NativeCopy() override { std::erase(owner_.copies_, this); }
  NativeCopy(const NativeCopy&) = delete;
  NativeCopy& operator=(const NativeCopy&) = delete;

  Status take() override {
    take_now();
    return Status::ok();
  }
  Status approach(float share) override {
    const float keep = 1.0F - share;
    cpu_kernels().blend(dense_.data(), parameters().dense.data(), keep, dense_.size());
    rows_.decay(static_cast<double>(keep));
    return Status::ok();
  }
  Status add_gradients(float factor) override {
    add_scaled(dense_.data(), parameters().dense_gradients.data(), factor, dense_.size());
    const RowTable& table = parameters().table;
    const auto touched = table.touched();
    keep(touched);
    for (std::size_t slot = 0; slot < touched.size(); ++slot) {
      add_scaled(row(touched[slot]), table.gradient(slot), factor, table.stride());
    }
    return Status::ok();
  }
  Result<std::span<const float>> forward(std::span<const RowRange> rows) override {
    const TabularShape& shape = *net_.shape();
    TRY(check_rows(shape, rows));
    for (const auto& range : rows) {
      const std::uint32_t* hashes = range.size() == 0 ? nullptr : range.batch->hashes();
      for (std::size_t i = range.begin * shape.categories; i < range.end * shape.categories; ++i) {
        show_row(shape.row_of(hashes[i]));
      }
    }
    tabular_forward(shape, {dense_.data(), values_.data(), parameters().table.stride()}, rows, scratch_);
    outputs_.resize(std::max(outputs_.size(), scratch_.rows * shape.outputs));
    for (std::size_t i = 0; i < scratch_.rows; ++i) {
      std::copy_n(scratch_.outputs.data() + i * shape.output_stride, shape.outputs,
                  outputs_.data() + i * shape.outputs);
    }
    return std::span<const float>(outputs_.data(), scratch_.rows * shape.outputs);
  }
  Status save(ByteWriter& out) const override {
    save_floats(out, dense_.span());
    rows_.save(out);
    save_kept(out, rows_, parameters().table, values_);
    return Status::ok();
  }
  Status load(ByteReader& in) override {
    TRY(load_floats(in, dense_.span()));
    TRY(rows_.load(in));
    return load_kept(in, rows_, parameters().table, values_);
  }

  // Before the model's rows move.
  void keep(std::span<const std::uint32_t> moving) {
    for (const auto row : moving) catch_up(row);
  }
  void restore() {
    Parameters& to = net_.parameters();
    std::memcpy(to.dense.data(), dense_.data(), dense_.size() * sizeof(float));
    for (const auto index : rows_.kept()) {
      catch_up(index);
      std::copy_n(row(index), to.table.stride(), to.table.row(index));
    }
    to.table.mark_changed(rows_.kept());
  }
  std::span<const std::uint32_t> kept() const { return rows_.kept(); }
  bool is_kept(std::uint32_t index) const { return rows_.is_kept(index); }
  const float* dense() const { return dense_.data(); }
  float* row(std::uint32_t index) { return values_.data() + index * parameters().table.stride(); }

 private:
  Parameters& parameters() const { return net_.parameters(); }
  void take_now() {
    std::memcpy(dense_.data(), parameters().dense.data(), dense_.size() * sizeof(float));
    rows_.restart();
  }
  void catch_up(std::uint32_t index) {
    const RowTable& table = parameters().table;
    const float lag = rows_.catch_up(index);
    if (lag == LazyRows::kNew) {
      std::copy_n(table.row(index), table.stride(), row(index));
    } else if (lag != 1.0F) {
      cpu_kernels().blend(row(index), table.row(index), lag, table.stride());
    }
  }
  // For forward(): a row that is not kept is the model's, copied without being kept.
  void show_row(std::uint32_t index) {
    const RowTable& table = parameters().table;
    if (rows_.is_kept(index)) {
      catch_up(index);
    } else {
      std::copy_n(table.row(index), table.stride(), row(index));
    }
  }

  NativeCopies& owner_;
  TabularNet& net_;
  AlignedBuffer dense_;
  AlignedBuffer values_;  // as the table; meaningful for kept rows
  LazyRows rows_;
  TabularScratch scratch_;
  std::vector<float> outputs_;
};

namespace {

class NativePenalty final : public QuadraticPenalty {
 public:
  NativePenalty(NativeCopies& owner, TabularNet& net)
      : net_(net),
        anchor_(owner),
        importance_(net.parameters().dense.size()),
        row_importance_(net.parameters().table.values().size()),
        rows_(net.parameters().table.rows()) {}

  Status clear() override {
    importance_.zero();
    rows_.restart();
    return anchor_.take();
  }
  Status scale_importance(float factor) override {
    cpu_kernels().scale(importance_.data(), factor, importance_.size());
    rows_.decay(static_cast<double>(factor));
    return Status::ok();
  }
  Status add_squared_gradients(float factor) override {
    const Parameters& parameters = net_.parameters();
    add_squares(importance_.data(), parameters.dense_gradients.data(), factor, importance_.size());
    const auto touched = parameters.table.touched();
    for (std::size_t slot = 0; slot < touched.size(); ++slot) {
      add_squares(importance_of(touched[slot]), parameters.table.gradient(slot), factor, parameters.table.stride());
    }
    return Status::ok();
  }
  Status set_anchor() override { return anchor_.take(); }
  Status add_gradients(float strength) override {
    Parameters& parameters = net_.parameters();
    add_pull(parameters.dense_gradients.data(), strength, importance_.data(), parameters.dense.data(), anchor_.dense(),
             importance_.size());
    RowTable& table = parameters.table;
    const auto touched = table.touched();
    for (std::size_t slot = 0; slot < touched.size(); ++slot) {
      const std::uint32_t row = touched[slot];
      // A row that the anchor does not keep has not moved since.
      if (!rows_.is_kept(row) || !anchor_.is_kept(row)) continue;
      add_pull(table.gradient(slot), strength, importance_of(row), table.row(row), anchor_.row(row), table.stride());
    }
    return Status::ok();
  }
  Status save(ByteWriter& out) const override {
    TRY(anchor_.save(out));
    save_floats(out, importance_.span());
    rows_.save(out);
    save_kept(out, rows_, net_.parameters().table, row_importance_);
    return Status::ok();
  }
  Status load(ByteReader& in) override {
    TRY(anchor_.load(in));
    TRY(load_floats(in, importance_.span()));
    TRY(rows_.load(in));
    row_importance_.zero();  // the padding of rows
    return load_kept(in, rows_, net_.parameters().table, row_importance_);
  }

 private:
  float* importance_of(std::uint32_t row) {
    const std::size_t stride = net_.parameters().table.stride();
    float* values = row_importance_.data() + row * stride;
    const float lag = rows_.catch_up(row);
    if (lag == LazyRows::kNew) {
      std::fill_n(values, stride, 0.0F);
    } else if (lag != 1.0F) {
      cpu_kernels().scale(values, lag, stride);
    }
    return values;
  }

  TabularNet& net_;
  NativeCopy anchor_;
  AlignedBuffer importance_;
  AlignedBuffer row_importance_;
  LazyRows rows_;  // with an importance
};

}  // namespace

std::unique_ptr<WeightsCopy> NativeCopies::copy() { return std::make_unique<NativeCopy>(*this); }
std::unique_ptr<QuadraticPenalty> NativeCopies::penalty() { return std::make_unique<NativePenalty>(*this, net_); }

void NativeCopies::before_move(std::span<const std::uint32_t> rows) {
  for (NativeCopy* copy : copies_) copy->keep(rows);
}

std::span<const std::uint32_t> NativeCopies::rows_of(const WeightsCopy& copy) {
  return static_cast<const NativeCopy&>(copy).kept();
}

void NativeCopies::restore(WeightsCopy& copy) { static_cast<NativeCopy&>(copy).restore(); }

void begin_anew(TabularNet& net, std::uint64_t seed, float embedding_scale) {
  RowTable& table = net.parameters().table;
  std::vector<std::uint32_t> used(table.used().begin(), table.used().end());
  net.initialise(seed, embedding_scale);
  table.restore_used(used);
  table.mark_changed(used);
}

void shrink_and_perturb(Parameters& parameters, float factor, float deviation, Rng& rng) {
  const auto move = [&](float* weights, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) weights[i] = factor * weights[i] + nearly_normal(rng, deviation);
  };
  for (const auto& tensor : parameters.tensors) {
    for (std::size_t i = 0; i < tensor.rows; ++i) {
      move(parameters.dense.data() + tensor.offset + i * tensor.stride, tensor.columns);
    }
  }
  RowTable& table = parameters.table;
  for (const auto row : table.used()) move(table.row(row), table.width());
  table.mark_changed(table.used());
}

}  // namespace freshet
