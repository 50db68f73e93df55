#include "learners/torch/torch_net.h"

#include <algorithm>
#include <cstring>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "learners/torch/device_tensors.h"
#include "learners/torch/row_losses.h"
#include "learners/training/losses.h"

namespace freshet {

namespace {

// Pieces of one staging tensor: filled on the host, sent together, read as tensors on the device.
class Staging {
 public:
  Staging(std::size_t bytes, std::size_t pieces, const at::Device& device)
      : device_(device), host_(staging_words(bytes / sizeof(std::int64_t) + pieces, device)) {}

  struct Piece {
    std::size_t word = 0;
    std::size_t count = 0;
  };
  template <typename T>
  T* add(std::size_t count, Piece& piece) {
    piece = {used_, count};
    used_ += (count * sizeof(T) + sizeof(std::int64_t) - 1) / sizeof(std::int64_t);
    return reinterpret_cast<T*>(host_.mutable_data_ptr<std::int64_t>() + piece.word);
  }
  void send() { sent_ = host_.narrow(0, 0, signed_size(used_)).to(device_, true); }
  at::Tensor longs(const Piece& piece) const {
    return sent_.narrow(0, signed_size(piece.word), signed_size(piece.count));
  }
  at::Tensor floats(const Piece& piece) const {
    return sent_.narrow(0, signed_size(piece.word), signed_size((piece.count + 1) / 2))
        .view(at::kFloat)
        .narrow(0, 0, signed_size(piece.count));
  }

 private:
  at::Device device_;
  at::Tensor host_;
  at::Tensor sent_;
  std::size_t used_ = 0;
};

}  // namespace

struct TorchNet::Mean {
  const Loss& loss;
  std::span<LossSum> sums;  // a part each: usable and unusable rows are counted
  at::Tensor slots = {};    // [rows * categories] places among the touched rows
  at::Tensor targets = {};  // [rows]
  at::Tensor weights = {};  // [rows], zero where the label cannot be used
};

TorchNet::TorchNet(TabularNet& image, const at::Device& device, const TorchNetOptions& net_options)
    : image_(image), shape_(image.shape()), device_(device), bfloat16_(net_options.bfloat16) {
  const TabularShape& shape = *shape_;
  hidden_layers_ = hidden_layers_of(shape);
  hidden_.resize(hidden_layers_.size());
  host_hidden_.resize(hidden_layers_.size());
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  dense_ = at::zeros({signed_size(shape.dense_size)}, options);
  dense_gradients_ = at::zeros_like(dense_);
  if (shape.table_rows > 0) {
    table_ = at::zeros({signed_size(shape.table_rows), signed_size(image.parameters().table.stride())}, options);
  }
  const auto leaf = [&](at::IntArrayRef sizes, at::IntArrayRef strides, std::size_t offset) {
    at::Tensor view = dense_.as_strided(sizes, strides, signed_size(offset)).detach();
    view.set_requires_grad(true);
    view.mutable_grad() = dense_gradients_.as_strided(sizes, strides, signed_size(offset));
    return view;
  };
  const auto matrix = [&](std::size_t rows, std::size_t columns, std::size_t stride, std::size_t offset) {
    return leaf({signed_size(rows), signed_size(columns)}, {signed_size(stride), 1}, offset);
  };
  for (const auto& layer : shape.layers) {
    weights_.push_back(matrix(layer.in, layer.out, layer.stride, layer.weight));
    biases_.push_back(leaf({signed_size(layer.out)}, {1}, layer.bias));
  }
  for (const auto& layer : shape.cross.layers) {
    const std::size_t rank = shape.cross.rank;
    if (rank > 0) cross_down_.push_back(matrix(shape.cross.width, rank, shape.cross.rank_stride, layer.down));
    cross_up_.push_back(matrix(rank > 0 ? rank : shape.cross.width, shape.cross.width, shape.cross.stride, layer.up));
    cross_biases_.push_back(leaf({signed_size(shape.cross.width)}, {1}, layer.bias));
  }
  if (shape.cross.parallel) {
    cross_output_ = matrix(shape.cross.width, shape.outputs, shape.output_stride, shape.cross.output);
  }
  if (net_options.recompute && !weights_.empty()) {
    segment_ = 1;
    while (segment_ * segment_ < weights_.size() - 1) ++segment_;
  }
  if (shape.wide) {
    wide_weight_ = matrix(shape.numbers, shape.outputs, shape.output_stride, shape.wide_weight);
    wide_bias_ = leaf({signed_size(shape.outputs)}, {1}, shape.wide_bias);
  }
  upload_weights();
}

void TorchNet::upload_weights() {
  const c10::NoGradGuard no_grad;
  upload(dense_, image_.parameters().dense.span());
  if (table_.defined()) upload(table_, image_.parameters().table.values().span());
}

void TorchNet::download_weights(std::span<const std::uint32_t> rows) {
  const c10::NoGradGuard no_grad;
  Parameters& parameters = image_.parameters();
  download(dense_, parameters.dense.span());
  if (!rows.empty()) download_rows(table_, send_indices(rows, device_), rows, parameters.table.values().data());
}

void TorchNet::gather(std::span<const RowRange> rows, Mean* mean) {
  const c10::NoGradGuard no_grad;
  const TabularShape& shape = *shape_;
  count_ = row_count(rows);
  const std::size_t lookups = count_ * shape.categories;
  const std::size_t bytes = 2 * lookups * sizeof(std::int64_t) + count_ * (shape.numbers + 2) * sizeof(float);
  Staging staging(bytes, 5, device_);
  Staging::Piece indices, numbers, slots, targets, weights;
  auto* index = staging.add<std::int64_t>(lookups, indices);
  auto* number = staging.add<float>(count_ * shape.numbers, numbers);
  row_of_lookup_.clear();
  for (const auto& range : rows) {
    const std::uint32_t* hashes = range.batch->hashes();
    for (std::size_t i = range.begin * shape.categories; i < range.end * shape.categories; ++i) {
      row_of_lookup_.push_back(shape.row_of(hashes[i]));
      *index++ = static_cast<std::int64_t>(row_of_lookup_.back());
    }
    if (range.size() * shape.numbers == 0) continue;
    std::memcpy(number, range.batch->dense() + range.begin * shape.numbers,
                range.size() * shape.numbers * sizeof(float));
    number += range.size() * shape.numbers;
  }
  if (mean != nullptr) {
    RowTable& table = image_.parameters().table;
    if (lookups > 0) table.reserve_gradients(lookups);
    auto* slot = staging.add<std::int64_t>(lookups, slots);
    for (const auto row : row_of_lookup_) *slot++ = static_cast<std::int64_t>(table.slot_of(row));
    auto* target = staging.add<float>(count_, targets);
    auto* weight = staging.add<float>(count_, weights);
    for (std::size_t part = 0; part < rows.size(); ++part) {
      LossSum& sum = mean->sums[part];
      sum = {};
      for (std::size_t i = rows[part].begin; i < rows[part].end; ++i) {
        const float label = rows[part].batch->labels[i];
        const float own = rows[part].batch->weights[i];
        const bool usable = mean->loss.usable(label, own);
        ++(usable ? sum.usable : sum.unusable);
        *target++ = usable ? label : 0.0F;
        *weight++ = usable ? own * mean->loss.class_weight(label) : 0.0F;
      }
    }
  }
  staging.send();
  numbers_ = staging.floats(numbers).view({signed_size(count_), signed_size(shape.numbers)});
  if (table_.defined()) {
    lookups_ = table_.index_select(0, staging.longs(indices));
    lookups_.set_requires_grad(true);
  }
  if (mean == nullptr) return;
  mean->slots = staging.longs(slots);
  mean->targets = staging.floats(targets);
  mean->weights = staging.floats(weights);
}

at::Tensor TorchNet::product(const at::Tensor& bias, const at::Tensor& x, const at::Tensor& weight) const {
  if (!bfloat16_) return at::addmm(bias, x, weight);
  return at::addmm(bias.to(at::kBFloat16), x.to(at::kBFloat16), weight.to(at::kBFloat16));
}

// [rows, input]
at::Tensor TorchNet::input() const {
  const TabularShape& shape = *shape_;
  if (shape.embedded() == 0) return numbers_;
  const auto embedded = lookups_.narrow(1, 0, signed_size(shape.embedding))
                            .reshape({signed_size(count_), signed_size(shape.embedded())});
  return shape.numbers == 0 ? embedded : at::cat({embedded, numbers_}, 1);
}

at::Tensor TorchNet::crossed(const at::Tensor& input) const {
  at::Tensor x = input;
  for (std::size_t l = 0; l < cross_up_.size(); ++l) {
    at::Tensor low = x;
    if (!cross_down_.empty()) low = bfloat16_ ? at::mm(x.to(at::kBFloat16), cross_down_[l].to(at::kBFloat16))
                                              : at::mm(x, cross_down_[l]);
    x = input * product(cross_biases_[l], low, cross_up_[l]) + x;
  }
  return x;
}

// What the first of the layers gets.
at::Tensor TorchNet::below_layers() const {
  return shape_->cross.any() && !shape_->cross.parallel ? crossed(input()) : input();
}

// Hidden layers [begin, end) over what comes into the first of them; `each` takes what each layer gave.
at::Tensor TorchNet::through_hidden(at::Tensor x, std::size_t begin, std::size_t end,
                                    std::vector<at::Tensor>* each) const {
  for (std::size_t l = begin; l < end; ++l) {
    x = at::relu(product(biases_[l], x, weights_[l]));
    if (each != nullptr) (*each)[l] = x;
  }
  return x;
}

at::Tensor TorchNet::segment_input(std::size_t segment) const {
  return segment == 0 ? below_layers() : segment_inputs_[segment - 1];
}

at::Tensor TorchNet::run() {
  const c10::AutoGradMode with_grad(true);
  const TabularShape& shape = *shape_;
  const std::int64_t rows = signed_size(count_);
  at::Tensor x;
  if (!weights_.empty()) {
    const std::size_t hidden = weights_.size() - 1;
    std::size_t begin = 0;
    segment_inputs_.clear();
    for (; segment_ > 0 && begin + segment_ < hidden; begin += segment_) {
      const c10::NoGradGuard no_grad;
      x = through_hidden(segment_input(segment_inputs_.size()), begin, begin + segment_, nullptr).detach();
      x.set_requires_grad(true);
      segment_inputs_.push_back(x);
    }
    for (auto& activations : hidden_) activations.reset();
    x = through_hidden(segment_input(segment_inputs_.size()), begin, hidden, &hidden_);
    x = product(biases_[hidden], x, weights_[hidden]).to(at::kFloat);
  }
  if (shape.cross.parallel) x = at::addmm(x, crossed(input()), cross_output_);
  if (!shape.wide) return x;
  const auto wide = at::addmm(wide_bias_, numbers_, wide_weight_);
  x = weights_.empty() ? wide : x + wide;
  if (shape.categories == 0) return x;
  const auto part = lookups_.narrow(1, signed_size(shape.embedding), signed_size(shape.outputs));
  return x + part.reshape({rows, signed_size(shape.categories), signed_size(shape.outputs)}).sum(1);
}

namespace {

// Back to the leaves from a gradient at `outputs` and those at activations in the same graph. The graph is kept: a
// strategy may send several gradients back through one forward pass.
void send_back(const at::Tensor& outputs, const at::Tensor& gradient, const std::vector<at::Tensor>& activations,
               const std::vector<at::Tensor>& gradients) {
  std::vector<at::Tensor> ends = {outputs};
  std::vector<at::Tensor> arriving = {gradient};
  for (std::size_t l = 0; l < gradients.size(); ++l) {
    if (!gradients[l].defined() || !activations[l].defined()) continue;
    ends.push_back(activations[l]);
    arriving.push_back(gradients[l].to(activations[l].scalar_type()));
  }
  torch::autograd::backward(ends, arriving, true);
}

}  // namespace

// From the gradient of what came into the last segment back through those before it, which are computed again.
void TorchNet::backward_segments(const std::vector<at::Tensor>& hidden_gradients) {
  for (std::size_t s = segment_inputs_.size(); s-- > 0;) {
    const c10::AutoGradMode with_grad(true);
    std::vector<at::Tensor> activations(hidden_.size());
    const at::Tensor outputs = through_hidden(segment_input(s), s * segment_, (s + 1) * segment_, &activations);
    send_back(outputs, segment_inputs_[s].grad(), activations, hidden_gradients);
    segment_inputs_[s].mutable_grad().reset();
  }
}

// Sums the gradients of all lookups of a row; sums of earlier passes of the step are kept.
void TorchNet::collect_row_gradients(const at::Tensor& slots) {
  if (!table_.defined()) return;
  const c10::NoGradGuard no_grad;
  const std::int64_t touched = signed_size(image_.parameters().table.touched().size());
  at::Tensor sums = at::embedding_dense_backward(lookups_.grad(), slots, touched, -1, false);
  if (row_gradients_.defined()) sums.narrow(0, 0, row_gradients_.size(0)).add_(row_gradients_);
  row_gradients_ = sums;
  lookups_.mutable_grad().reset();
}

Result<std::span<const float>> TorchNet::forward(std::span<const RowRange> rows) {
  TRY(check_rows(*shape_, rows));
  return on_device(device_, "forward pass", [&]() -> Result<std::span<const float>> {
    gather(rows, nullptr);
    outputs_ = run();
    host_outputs_.resize(count_ * shape_->outputs);
    if (count_ > 0) download(outputs_.detach().contiguous(), host_outputs_);
    return std::span<const float>(host_outputs_);
  });
}

Result<std::span<const float>> TorchNet::hidden(std::size_t layer) {
  if (layer >= hidden_layers_.size()) return out_of_range(fmt::format("the model has no hidden layer {}", layer));
  return on_device(device_, "hidden layer", [&]() -> Result<std::span<const float>> {
    host_hidden_[layer].resize(count_ * hidden_layers_[layer].width);
    at::Tensor activations = hidden_[layer];
    if (!activations.defined() && segment_ > 0) {
      const c10::NoGradGuard no_grad;
      const std::size_t segment = layer / segment_;
      activations = through_hidden(segment_input(segment), segment * segment_, layer + 1, nullptr);
    }
    if (count_ > 0) download(activations.detach().to(at::kFloat).contiguous(), host_hidden_[layer]);
    return std::span<const float>(host_hidden_[layer]);
  });
}

Status TorchNet::backward_from_hidden(std::span<const float> output_gradients,
                                      std::span<const std::span<const float>> hidden_gradients) {
  TRY(check_hidden_gradients(*this, count_, hidden_gradients));
  if (output_gradients.size() != count_ * shape_->outputs) abort_with("backward() without its forward()");
  if (count_ == 0) return Status::ok();
  return on_device(device_, "backward pass", [&] {
    squared_norm_.reset();
    std::size_t bytes = row_of_lookup_.size() * sizeof(std::int64_t) + output_gradients.size_bytes();
    for (const auto& gradient : hidden_gradients) bytes += gradient.size_bytes();
    Staging staging(bytes, 2 + hidden_gradients.size(), device_);
    Staging::Piece slots, gradients;
    std::vector<Staging::Piece> hidden(hidden_gradients.size());
    auto* slot = staging.add<std::int64_t>(row_of_lookup_.size(), slots);
    RowTable& table = image_.parameters().table;
    if (!row_of_lookup_.empty()) table.reserve_gradients(row_of_lookup_.size());
    for (const auto row : row_of_lookup_) *slot++ = static_cast<std::int64_t>(table.slot_of(row));
    std::ranges::copy(output_gradients, staging.add<float>(output_gradients.size(), gradients));
    for (std::size_t l = 0; l < hidden.size(); ++l) {
      std::ranges::copy(hidden_gradients[l], staging.add<float>(hidden_gradients[l].size(), hidden[l]));
    }
    staging.send();
    std::vector<at::Tensor> at_hidden(hidden.size());
    for (std::size_t l = 0; l < hidden.size(); ++l) {
      if (hidden_gradients[l].empty()) continue;
      at_hidden[l] = staging.floats(hidden[l]).view({signed_size(count_), signed_size(hidden_layers_[l].width)});
    }
    send_back(outputs_, staging.floats(gradients).view(outputs_.sizes()), hidden_, at_hidden);
    backward_segments(at_hidden);
    collect_row_gradients(staging.longs(slots));
    return Status::ok();
  });
}

Status TorchNet::loss_gradients(std::span<const RowRange> parts, const Loss& loss, std::span<LossSum> sums) {
  TRY(check_rows(*shape_, parts));
  if (row_count(parts) == 0) return Status::ok();
  return on_device(device_, "training pass", [&] {
    Mean mean{loss, sums};
    gather(parts, &mean);
    at::Tensor unweighted;
    at::Tensor weighted;
    {
      const c10::AutoGradMode with_grad(true);
      outputs_ = run();
      unweighted = row_losses(outputs_, mean.targets, shape_->task, loss.options());
      weighted = unweighted * mean.weights;
    }
    weighted.backward(at::full_like(weighted, static_cast<double>(1.0F / static_cast<float>(count_))));
    backward_segments({});
    outputs_ = outputs_.detach();
    for (auto& activations : hidden_) activations.reset();  // they hold the graph
    collect_row_gradients(mean.slots);
    const c10::NoGradGuard no_grad;
    const at::Tensor losses = weighted.detach();
    std::vector<at::Tensor> numbers;
    std::int64_t begin = 0;
    for (const auto& part : parts) {
      numbers.push_back(losses.narrow(0, begin, signed_size(part.size())).sum(at::kDouble));
      begin += signed_size(part.size());
    }
    numbers.push_back(squared_norm());
    at::Tensor all = at::stack(numbers);
    const bool each = std::any_of(parts.begin(), parts.end(), [](const auto& part) { return part.losses != nullptr; });
    if (each) all = at::cat({all, unweighted.detach().view({-1}).to(at::kDouble)});
    const at::Tensor host = all.cpu();  // the step's one wait
    const double* value = host.const_data_ptr<double>();
    for (auto& sum : sums) sum.weighted = *value++;
    squared_norm_ = *value++;
    for (const auto& part : parts) {
      if (!each) break;
      if (part.losses != nullptr) std::copy(value, value + part.size(), part.losses);
      value += part.size();
    }
    return Status::ok();
  });
}

void TorchNet::clear_gradients() {
  dense_gradients_.zero_();
  row_gradients_.reset();
  image_.parameters().table.clear_gradients();
  squared_norm_ = 0.0;
}

at::Tensor TorchNet::squared_norm() const {
  const c10::NoGradGuard no_grad;
  at::Tensor dense = at::dot(dense_gradients_, dense_gradients_).to(at::kDouble);
  if (!row_gradients_.defined()) return dense;
  const at::Tensor rows = row_gradients_.view({-1});
  return dense + at::dot(rows, rows).to(at::kDouble);
}

double TorchNet::squared_gradient_norm() {
  if (!squared_norm_) squared_norm_ = squared_norm().item<double>();
  return *squared_norm_;
}

void TorchNet::scale_gradients(float factor) {
  dense_gradients_.mul_(factor);
  if (row_gradients_.defined()) row_gradients_.mul_(factor);
  squared_norm_.reset();
}

}  // namespace freshet
