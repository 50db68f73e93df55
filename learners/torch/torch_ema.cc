#include "learners/torch/torch_ema.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "learners/torch/device_tensors.h"

namespace freshet {

TorchEma::TorchEma(Ema& image, double decay, const DeviceWeights& net)
    : image_(image), decay_(decay), device_(net.device()), dense_(at::zeros_like(net.dense())) {
  if (net.table().defined()) {
    rows_ = at::zeros_like(net.table());
    row_log_product_ = at::zeros({net.table().size(0)}, net.dense().options().dtype(at::kDouble));
  }
  upload_state();
}

std::vector<at::Tensor> TorchEma::state_tensors() const {
  if (!rows_.defined()) return {dense_};
  return {dense_, rows_, row_log_product_};
}

void TorchEma::upload_state() {
  const EmaState state = image_.state();
  steps_ = *state.steps;
  log_product_ = *state.log_product;
  turn_ = *state.turn;
  upload(dense_, state.weights->dense.span());
  if (!rows_.defined()) return;
  upload(rows_, state.weights->rows.span());
  row_log_product_.copy_(
      at::from_blob(state.row_log_product.data(), {signed_size(state.row_log_product.size())}, at::kDouble));
}

void TorchEma::download_state(std::span<const std::uint32_t> rows) {
  const EmaState state = image_.state();
  *state.steps = steps_;
  *state.log_product = log_product_;
  *state.turn = turn_;
  download(dense_, state.weights->dense.span());
  if (rows.empty()) return;
  const at::Tensor indices = send_indices(rows, device_);
  download_rows(rows_, indices, rows, state.weights->rows.data());
  const at::Tensor products = row_log_product_.index_select(0, indices).cpu();
  const double* product = products.const_data_ptr<double>();
  for (const auto row : rows) state.row_log_product[row] = *product++;
}

// A row that steps left alone has moved towards its resting weights by the product of the decays since.
void TorchEma::before_step(const DeviceWeights& net, const at::Tensor& touched) {
  const c10::NoGradGuard no_grad;
  if (touched.numel() == 0) return;
  const at::Tensor keep = at::exp(log_product_ - row_log_product_.index_select(0, touched)).to(at::kFloat).unsqueeze(1);
  const at::Tensor weights = net.table().index_select(0, touched);
  rows_.index_copy_(0, touched, weights + keep * (rows_.index_select(0, touched) - weights));
  row_log_product_.index_fill_(0, touched, log_product_);
}

void TorchEma::after_step(const DeviceWeights& net, const at::Tensor& touched) {
  const c10::NoGradGuard no_grad;
  const double decay = Ema::decay_at(++steps_, decay_);
  log_product_ += Ema::log_of(decay);
  dense_.lerp_(net.dense(), 1.0 - decay);
  if (touched.numel() == 0) return;
  const at::Tensor rows = rows_.index_select(0, touched);
  rows_.index_copy_(0, touched, rows.lerp_(net.table().index_select(0, touched), 1.0 - decay));
  row_log_product_.index_fill_(0, touched, log_product_);
}

void TorchEma::catch_up(const DeviceWeights& net, const RowTable& table, std::size_t most,
                        std::vector<std::uint32_t>& moved) {
  moved.insert(moved.end(), table.changed().begin(), table.changed().end());
  const auto used = table.used();
  for (std::size_t i = 0; i < std::min(most, used.size()); ++i) {
    turn_ = turn_ < used.size() ? turn_ : 0;
    moved.push_back(used[turn_++]);
  }
  // Rows that stand here twice are computed twice, with the same result.
  if (!moved.empty()) before_step(net, send_indices(moved, device_));
  download_state(moved);
}

}  // namespace freshet
