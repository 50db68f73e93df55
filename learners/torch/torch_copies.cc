#include "learners/torch/torch_copies.h"

#include <cstring>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "learners/models/lazy_rows.h"
#include "learners/torch/device_tensors.h"

namespace freshet {

namespace {

// Rows to bring up to date, and by which factor: values = base + factor * (values - base).
struct Lagging {
  std::vector<std::uint32_t> rows;
  std::vector<float> factors;
  void add(std::uint32_t row, float factor) {
    rows.push_back(row);
    factors.push_back(factor);
  }
};

at::Tensor send_floats(std::span<const float> values, const at::Device& device) {
  at::Tensor tensor = at::empty({signed_size(values.size())}, at::TensorOptions().dtype(at::kFloat).device(device));
  upload(tensor, values);
  return tensor;
}

// Values of a dense vector and of a table's kept rows, as a copy and an importance have them.
void save_values(ByteWriter& out, const at::Tensor& dense, const at::Tensor& rows, const LazyRows& lazy,
                 std::size_t width) {
  std::vector<float> host(static_cast<std::size_t>(dense.numel()));
  download(dense, host);
  save_floats(out, host);
  lazy.save(out);
  if (lazy.kept().empty()) return;
  const at::Tensor kept = rows.index_select(0, send_indices(lazy.kept(), rows.device())).cpu();
  const auto stride = static_cast<std::size_t>(rows.size(1));
  const float* row = kept.const_data_ptr<float>();
  for (std::size_t i = 0; i < lazy.kept().size(); ++i) out.append(row + i * stride, width * sizeof(float));
}

Status load_values(ByteReader& in, const at::Tensor& dense, const at::Tensor& rows, LazyRows& lazy, std::size_t width) {
  std::vector<float> host(static_cast<std::size_t>(dense.numel()));
  TRY(load_floats(in, host));
  upload(dense, host);
  TRY(lazy.load(in));
  if (lazy.kept().empty()) return Status::ok();
  const auto stride = static_cast<std::size_t>(rows.size(1));
  std::vector<float> kept(lazy.kept().size() * stride);
  for (std::size_t i = 0; i < lazy.kept().size(); ++i) in.read(kept.data() + i * stride, width * sizeof(float));
  if (!in.ok()) return data_loss("the stored copy of the weights is cut short");
  rows.index_copy_(0, send_indices(lazy.kept(), rows.device()),
                   send_floats(kept, rows.device()).view({-1, signed_size(stride)}));
  return Status::ok();
}

}  // namespace

class TorchCopy final : public WeightsCopy {
 public:
  explicit TorchCopy(TorchCopies& owner)
      : owner_(owner),
        net_(owner.net_),
        shape_(owner.image_.shape()),
        dense_(at::zeros_like(net_.dense())),
        lazy_(shape_->table_rows) {
    const c10::NoGradGuard no_grad;
    if (net_.table().defined()) rows_ = at::zeros_like(net_.table());
    dense_.copy_(net_.dense());
    owner_.copies_.push_back(this);
  }
  ~TorchCopy() override { std::erase(owner_.copies_, this); }
  TorchCopy(const TorchCopy&) = delete;
  TorchCopy& operator=(const TorchCopy&) = delete;

  Status take() override {
    return on_device(net_.device(), "copy of the weights", [&] {
      const c10::NoGradGuard no_grad;
      dense_.copy_(net_.dense());
      lazy_.restart();
      return Status::ok();
    });
  }
  Status approach(float share) override {
    return on_device(net_.device(), "average of the weights", [&] {
      const c10::NoGradGuard no_grad;
      dense_.lerp_(net_.dense(), static_cast<double>(share));
      lazy_.decay(static_cast<double>(1.0F - share));
      return Status::ok();
    });
  }
  Status add_gradients(float factor) override {
    return on_device(net_.device(), "virtual step", [&] {
      const c10::NoGradGuard no_grad;
      dense_.add_(net_.dense_gradients(), static_cast<double>(factor));
      const auto touched = owner_.image_.parameters().table.touched();
      if (touched.empty()) return Status::ok();
      keep(touched);
      rows_.index_add_(0, send_indices(touched, net_.device()), net_.row_gradients(), static_cast<double>(factor));
      return Status::ok();
    });
  }
  Result<std::span<const float>> forward(std::span<const RowRange> rows) override {
    TRY(check_rows(*shape_, rows));
    return on_device(net_.device(), "forward pass of a copy", [&]() -> Result<std::span<const float>> {
      const c10::NoGradGuard no_grad;
      const std::size_t count = row_count(rows);
      outputs_.resize(count * shape_->outputs);
      if (count > 0) download(run(rows, count).contiguous(), outputs_);
      return std::span<const float>(outputs_);
    });
  }
  Status save(ByteWriter& out) const override {
    return on_device(net_.device(), "saving a copy of the weights", [&] {
      const c10::NoGradGuard no_grad;
      save_values(out, dense_, rows_, lazy_, shape_->table_width);
      return Status::ok();
    });
  }
  Status load(ByteReader& in) override {
    return on_device(net_.device(), "loading a copy of the weights", [&] {
      const c10::NoGradGuard no_grad;
      return load_values(in, dense_, rows_, lazy_, shape_->table_width);
    });
  }

  // Before the model's rows move.
  void keep(std::span<const std::uint32_t> moving) {
    Lagging lagging;
    for (const auto row : moving) catch_up(row, lagging);
    bring_up_to_date(lagging);
  }
  void restore() {
    const c10::NoGradGuard no_grad;
    net_.dense().copy_(dense_);
    const auto kept = lazy_.kept();
    if (kept.empty()) return;
    keep(kept);
    const at::Tensor indices = send_indices(kept, net_.device());
    net_.table().index_copy_(0, indices, rows_.index_select(0, indices));
    owner_.image_.parameters().table.mark_changed(kept);
  }
  std::span<const std::uint32_t> kept() const { return lazy_.kept(); }
  const at::Tensor& dense() const { return dense_; }
  const at::Tensor& rows() const { return rows_; }

 private:
  void catch_up(std::uint32_t row, Lagging& lagging) {
    const float lag = lazy_.catch_up(row);
    if (lag != 1.0F) lagging.add(row, lag == LazyRows::kNew ? 0.0F : lag);
  }
  void bring_up_to_date(const Lagging& lagging) {
    if (lagging.rows.empty()) return;
    const c10::NoGradGuard no_grad;
    const at::Tensor indices = send_indices(lagging.rows, net_.device());
    const at::Tensor factors = send_floats(lagging.factors, net_.device()).unsqueeze(1);
    const at::Tensor base = net_.table().index_select(0, indices);
    rows_.index_copy_(0, indices, base + factors * (rows_.index_select(0, indices) - base));
  }

  at::Tensor run(std::span<const RowRange> rows, std::size_t count) {
    const TabularShape& shape = *shape_;
    std::vector<std::uint32_t> lookups;
    std::vector<float> numbers;
    Lagging lagging;
    for (const auto& range : rows) {
      if (range.size() == 0) continue;
      const std::uint32_t* hashes = range.batch->hashes();
      for (std::size_t i = range.begin * shape.categories; i < range.end * shape.categories; ++i) {
        const std::uint32_t row = shape.row_of(hashes[i]);
        lookups.push_back(row);
        // A row that is not kept is the model's, copied without being kept.
        if (!lazy_.is_kept(row)) {
          lagging.add(row, 0.0F);
        } else {
          catch_up(row, lagging);
        }
      }
      const float* from = range.batch->dense();
      numbers.insert(numbers.end(), from + range.begin * shape.numbers, from + range.end * shape.numbers);
    }
    bring_up_to_date(lagging);
    const std::int64_t size = signed_size(count);
    const at::Tensor dense_inputs = send_floats(numbers, net_.device()).view({size, signed_size(shape.numbers)});
    const at::Tensor looked_up =
        rows_.defined() ? rows_.index_select(0, send_indices(lookups, net_.device())) : at::Tensor();
    const auto matrix = [&](std::size_t in, std::size_t out, std::size_t stride, std::size_t offset) {
      return dense_.as_strided({signed_size(in), signed_size(out)}, {signed_size(stride), 1}, signed_size(offset));
    };
    const auto bias = [&](std::size_t out, std::size_t offset) {
      return dense_.narrow(0, signed_size(offset), signed_size(out));
    };
    at::Tensor x = dense_inputs;
    if (shape.embedded() > 0) {
      const at::Tensor embedded =
          looked_up.narrow(1, 0, signed_size(shape.embedding)).reshape({size, signed_size(shape.embedded())});
      x = shape.numbers == 0 ? embedded : at::cat({embedded, dense_inputs}, 1);
    }
    for (std::size_t l = 0; l < shape.layers.size(); ++l) {
      const TabularLayer& layer = shape.layers[l];
      x = at::addmm(bias(layer.out, layer.bias), x, matrix(layer.in, layer.out, layer.stride, layer.weight));
      if (l + 1 < shape.layers.size()) x = at::relu(x);
    }
    if (!shape.wide) return x;
    const at::Tensor wide = at::addmm(bias(shape.outputs, shape.wide_bias), dense_inputs,
                                      matrix(shape.numbers, shape.outputs, shape.output_stride, shape.wide_weight));
    x = shape.layers.empty() ? wide : x + wide;
    if (shape.categories == 0) return x;
    const at::Tensor part = looked_up.narrow(1, signed_size(shape.embedding), signed_size(shape.outputs));
    return x + part.reshape({size, signed_size(shape.categories), signed_size(shape.outputs)}).sum(1);
  }

  TorchCopies& owner_;
  TorchNet& net_;
  std::shared_ptr<const TabularShape> shape_;
  at::Tensor dense_;  // [dense_size]
  at::Tensor rows_;   // [rows, stride], meaningful for kept rows; undefined without a table
  LazyRows lazy_;
  std::vector<float> outputs_;
};

namespace {

class TorchPenalty final : public QuadraticPenalty {
 public:
  TorchPenalty(TorchCopies& owner, TorchNet& net, TabularNet& image)
      : net_(net),
        image_(image),
        anchor_(owner),
        importance_(at::zeros_like(net.dense())),
        lazy_(image.shape()->table_rows) {
    if (net.table().defined()) rows_ = at::zeros_like(net.table());
  }

  Status clear() override {
    TRY(run("importance of weights", [&] {
      importance_.zero_();
      lazy_.restart();
    }));
    return anchor_.take();
  }
  Status scale_importance(float factor) override {
    return run("importance of weights", [&] {
      importance_.mul_(static_cast<double>(factor));
      lazy_.decay(static_cast<double>(factor));
    });
  }
  Status add_squared_gradients(float factor) override {
    return run("importance of weights", [&] {
      importance_.add_(net_.dense_gradients().square(), static_cast<double>(factor));
      const auto touched = image_.parameters().table.touched();
      if (touched.empty()) return;
      catch_up(touched);
      rows_.index_add_(0, send_indices(touched, net_.device()), net_.row_gradients().square(),
                       static_cast<double>(factor));
    });
  }
  Status set_anchor() override { return anchor_.take(); }
  Status add_gradients(float strength) override {
    return run("quadratic penalty", [&] {
      const auto by = static_cast<double>(strength);
      net_.dense_gradients().add_(importance_ * (net_.dense() - anchor_.dense()), by);
      const auto touched = image_.parameters().table.touched();
      if (!touched.empty()) {
        catch_up(touched);
        anchor_.keep(touched);
        const at::Tensor indices = send_indices(touched, net_.device());
        const at::Tensor apart = net_.table().index_select(0, indices) - anchor_.rows().index_select(0, indices);
        net_.row_gradients().add_(rows_.index_select(0, indices) * apart, by);
      }
      net_.gradients_changed();
    });
  }
  Status save(ByteWriter& out) const override {
    TRY(anchor_.save(out));
    return on_device(net_.device(), "saving the importance of weights", [&] {
      const c10::NoGradGuard no_grad;
      save_values(out, importance_, rows_, lazy_, image_.shape()->table_width);
      return Status::ok();
    });
  }
  Status load(ByteReader& in) override {
    TRY(anchor_.load(in));
    return on_device(net_.device(), "loading the importance of weights", [&] {
      const c10::NoGradGuard no_grad;
      if (rows_.defined()) rows_.zero_();
      return load_values(in, importance_, rows_, lazy_, image_.shape()->table_width);
    });
  }

 private:
  template <typename Work>
  Status run(std::string_view what, Work&& work) {
    return on_device(net_.device(), what, [&] {
      const c10::NoGradGuard no_grad;
      work();
      return Status::ok();
    });
  }
  void catch_up(std::span<const std::uint32_t> touched) {
    Lagging lagging;
    for (const auto row : touched) {
      const float lag = lazy_.catch_up(row);
      if (lag != 1.0F) lagging.add(row, lag == LazyRows::kNew ? 0.0F : lag);
    }
    if (lagging.rows.empty()) return;
    const at::Tensor indices = send_indices(lagging.rows, net_.device());
    const at::Tensor factors = send_floats(lagging.factors, net_.device()).unsqueeze(1);
    rows_.index_copy_(0, indices, factors * rows_.index_select(0, indices));
  }

  TorchNet& net_;
  TabularNet& image_;
  TorchCopy anchor_;
  at::Tensor importance_;  // [dense_size]
  at::Tensor rows_;        // [rows, stride]; undefined without a table
  LazyRows lazy_;          // rows with an importance
};

}  // namespace

std::unique_ptr<WeightsCopy> TorchCopies::copy() { return std::make_unique<TorchCopy>(*this); }
std::unique_ptr<QuadraticPenalty> TorchCopies::penalty() { return std::make_unique<TorchPenalty>(*this, net_, image_); }

void TorchCopies::before_move(std::span<const std::uint32_t> rows) {
  for (TorchCopy* copy : copies_) copy->keep(rows);
}

std::span<const std::uint32_t> TorchCopies::rows_of(const WeightsCopy& copy) {
  return static_cast<const TorchCopy&>(copy).kept();
}

void TorchCopies::restore(WeightsCopy& copy) { static_cast<TorchCopy&>(copy).restore(); }

}  // namespace freshet
