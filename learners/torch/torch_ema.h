// TorchEma: an Ema on a device, with the same lazy catching up of rows; an Ema in host memory is the image that is
// published, saved and loaded.
//
// Threads: the trainer.  Owns: the averages on the device.  Failure: throws what LibTorch throws.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "learners/torch/device_weights.h"
#include "learners/training/averaging.h"

namespace freshet {

class TorchEma {
 public:
  // Starts from the state of `image`, which outlives it.
  TorchEma(Ema& image, double decay, const DeviceWeights& net);

  // Around each optimizer step, for the rows that it touches, [touched] int64.
  void before_step(const DeviceWeights& net, const at::Tensor& touched);
  void after_step(const DeviceWeights& net, const at::Tensor& touched);

  // Like Ema::catch_up(); then copies the dense average and the rows of `moved` to the image.
  void catch_up(const DeviceWeights& net, const RowTable& table, std::size_t most, std::vector<std::uint32_t>& moved);

  // What a step changes: tensors, and how far the average is.
  struct Progress {
    std::uint64_t steps = 0;
    double log_product = 0.0;
  };
  std::vector<at::Tensor> state_tensors() const;
  Progress progress() const { return {steps_, log_product_}; }
  void set_progress(const Progress& progress) {
    steps_ = progress.steps;
    log_product_ = progress.log_product;
  }

  void upload_state();
  void download_state(std::span<const std::uint32_t> rows);

 private:
  Ema& image_;
  double decay_;
  at::Device device_;
  std::uint64_t steps_ = 0;
  double log_product_ = 0.0;
  std::size_t turn_ = 0;
  at::Tensor dense_;            // [dense_size]
  at::Tensor rows_;             // [rows, stride]; undefined without a table
  at::Tensor row_log_product_;  // [rows] float64
};

}  // namespace freshet
