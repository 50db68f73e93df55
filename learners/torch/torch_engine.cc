#include "learners/torch/torch_engine.h"

#include <optional>

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <c10/core/GradMode.h>

#include "learners/models/tabular_net.h"
#include "learners/torch/device_tensors.h"
#include "learners/torch/torch_copies.h"
#include "learners/torch/torch_ema.h"
#include "learners/torch/torch_good_state.h"
#include "learners/torch/torch_net.h"
#include "learners/torch/torch_optimizer.h"
#include "learners/training/averaging.h"
#include "learners/training/good_state.h"
#include "learners/training/native_copies.h"
#include "learners/training/publisher.h"

namespace freshet {

namespace {

class TorchEngine final : public TrainingEngine {
 public:
  TorchEngine(const LearnerOptions& options, std::unique_ptr<TabularNet> image, std::unique_ptr<Optimizer> optimizer,
              const at::Device& device, const TorchNetOptions& net_options)
      : published_(options.published),
        seed_(options.model.seed),
        embedding_scale_(options.model.embedding_scale),
        device_(device),
        image_(std::move(image)),
        image_optimizer_(std::move(optimizer)),
        net_(*image_, device, net_options),
        optimizer_(*image_optimizer_, net_),
        copies_(net_, *image_),
        publisher_(image_->shape(), image_->weights()) {
    if (published_ == PublishedWeights::kEma) {
      image_ema_.emplace(options.ema_decay, image_->parameters());
      ema_.emplace(*image_ema_, options.ema_decay, net_);
    }
    if (published_ == PublishedWeights::kAverage) average_.emplace(options.average_rounds, image_->parameters());
  }

  Model& model() override { return net_; }
  std::uint64_t parameter_count() const override { return image_->shape()->parameter_count(); }

  void clear_gradients() override { net_.clear_gradients(); }
  Result<double> squared_gradient_norm() override {
    return on_device(device_, "gradient norm", [&]() -> Result<double> { return net_.squared_gradient_norm(); });
  }
  Status scale_gradients(float factor) override {
    return on_device(device_, "clipping", [&] {
      net_.scale_gradients(factor);
      return Status::ok();
    });
  }
  Status step(float learning_rate) override {
    return on_device(device_, "optimizer step", [&] {
      RowTable& table = image_->parameters().table;
      const at::Tensor touched = send_indices(table.touched(), device_);
      copies_.before_move(table.touched());
      if (ema_) ema_->before_step(net_, touched);
      optimizer_.step(net_, touched, learning_rate);
      table.mark_changed();
      if (ema_) ema_->after_step(net_, touched);
      return Status::ok();
    });
  }
  Status end_round() override {
    if (!average_) return Status::ok();
    return on_device(device_, "average of rounds", [&] {
      net_.download_weights(image_->parameters().table.changed());
      average_->end_round(image_->parameters(), moved_);
      return Status::ok();
    });
  }

  Status mark_good() override {
    return on_device(device_, "mark of the good state", [&] {
      good_.mark(weight_tensors(), optimizer_, ema());
      return Status::ok();
    });
  }
  Result<bool> sane() override {
    return on_device(device_, "check of the weights",
                     [&]() -> Result<bool> { return TorchGoodState::sane(weight_tensors(), ema()); });
  }
  Status restore_good() override {
    return on_device(device_, "going back to the good state", [&] {
      copies_.before_move(image_->parameters().table.used());
      good_.restore(weight_tensors(), optimizer_, ema());
      return Status::ok();
    });
  }

  Result<std::shared_ptr<const Predictor>> publish(std::uint64_t version, bool again) override {
    TRY(on_device(device_, "publication", [&] {
      const RowTable& table = image_->parameters().table;
      if (!ema_ && !average_) net_.download_weights(table.changed());
      if (ema_ && !again) {
        moved_.clear();
        ema_->catch_up(net_, table, Ema::kCaughtUpRows, moved_);
      }
      return Status::ok();
    }));
    RowTable& table = image_->parameters().table;
    std::shared_ptr<const Predictor> published;
    if (ema_ || average_) {
      const AveragedWeights& weights = ema_ ? image_ema_->weights() : average_->weights();
      published = publisher_.publish({weights.dense.data(), weights.rows.data(), table.stride()}, moved_, version);
    } else {
      published = publisher_.publish(image_->weights(), table.changed(), version);
    }
    moved_.clear();
    table.forget_changed();
    return published;
  }
  std::shared_ptr<const Predictor> publish_last(std::uint64_t version) override {
    return publisher_.publish_last(version);
  }
  // The image holds the weights as save() has brought them, or as load() has read them.
  Status save_published(const Predictor& version, ByteWriter& out) override {
    return publisher_.save(version, published_weights(), out);
  }
  Result<std::shared_ptr<const Predictor>> load_published(ByteReader& in) override {
    return publisher_.load(in, published_weights());
  }
  Status evaluate(const EncodedBatch& batch, Predictions& out) override {
    TRY(on_device(device_, "copy of the weights", [&] {
      net_.download_weights(image_->parameters().table.used());
      return Status::ok();
    }));
    return tabular_predict(*image_->shape(), image_->weights(), batch, 0, batch.size(), out);
  }

  Status save(ByteWriter& out) override {
    return on_device(device_, "checkpoint", [&] {
      const Parameters& parameters = image_->parameters();
      const auto used = parameters.table.used();
      net_.download_weights(used);
      optimizer_.download_state(used);
      if (ema_) ema_->download_state(used);
      parameters.save(out);
      image_optimizer_->save(out, parameters);
      save_averages(out, published_, image_ema_, average_, parameters);
      return Status::ok();
    });
  }
  Status load(ByteReader& in, std::uint64_t seed, float embedding_scale) override {
    seed_ = seed;
    embedding_scale_ = embedding_scale;
    image_->initialise(seed, embedding_scale);
    Parameters& parameters = image_->parameters();
    TRY(parameters.load(in));
    TRY(image_optimizer_->load(in, parameters));
    TRY(load_averages(in, published_, image_ema_, average_, parameters));
    moved_.clear();
    publisher_.forget();
    return on_device(device_, "loading", [&] {
      net_.clear_gradients();
      net_.upload_weights();
      optimizer_.upload_state();
      if (ema_) ema_->upload_state();
      return Status::ok();
    });
  }

  Result<std::unique_ptr<WeightsCopy>> copy() override {
    return on_device(device_, "copy of the weights",
                     [&]() -> Result<std::unique_ptr<WeightsCopy>> { return copies_.copy(); });
  }
  Result<std::unique_ptr<QuadraticPenalty>> penalty() override {
    return on_device(device_, "quadratic penalty",
                     [&]() -> Result<std::unique_ptr<QuadraticPenalty>> { return copies_.penalty(); });
  }
  Status restore(WeightsCopy& copy) override {
    return on_device(device_, "restoring the weights", [&] {
      before_move(TorchCopies::rows_of(copy));
      TorchCopies::restore(copy);
      return Status::ok();
    });
  }
  Status begin_anew() override {
    return on_device(device_, "initial weights", [&] {
      const Parameters& parameters = image_->parameters();
      copies_.before_move(parameters.table.used());
      freshet::begin_anew(*image_, seed_, embedding_scale_);
      net_.upload_weights();
      if (image_ema_) image_ema_->reset(parameters);
      if (ema_) ema_->upload_state();
      if (average_) average_->reset(parameters);
      return Status::ok();
    });
  }
  Status reset_optimizer() override {
    return on_device(device_, "state of the optimizer", [&] {
      image_optimizer_->reset();
      optimizer_.upload_state();
      return Status::ok();
    });
  }
  // In host memory: once in a round or more seldom.
  Status shrink_and_perturb(float factor, float deviation, Rng& rng) override {
    return on_device(device_, "shrinking the weights", [&] {
      Parameters& parameters = image_->parameters();
      before_move(parameters.table.used());
      net_.download_weights(parameters.table.used());
      freshet::shrink_and_perturb(parameters, factor, deviation, rng);
      net_.upload_weights();
      return Status::ok();
    });
  }

 private:
  // What publish() copies, in host memory, and so what versions differ little from.
  TabularWeights published_weights() const {
    if (!ema_ && !average_) return image_->weights();
    const AveragedWeights& weights = ema_ ? image_ema_->weights() : average_->weights();
    return {weights.dense.data(), weights.rows.data(), image_->parameters().table.stride()};
  }
  std::vector<at::Tensor> weight_tensors() const {
    std::vector<at::Tensor> tensors = {net_.dense()};
    if (net_.table().defined()) tensors.push_back(net_.table());
    return tensors;
  }
  TorchEma* ema() { return ema_ ? &*ema_ : nullptr; }

  void before_move(std::span<const std::uint32_t> rows) {
    copies_.before_move(rows);
    if (ema_) ema_->before_step(net_, send_indices(rows, device_));
  }

  PublishedWeights published_;
  std::uint64_t seed_;  // of the initial weights
  float embedding_scale_;
  at::Device device_;
  // The image in host memory: what publications, checkpoints and the averages of rounds read.
  std::unique_ptr<TabularNet> image_;
  std::unique_ptr<Optimizer> image_optimizer_;
  std::optional<Ema> image_ema_;
  std::optional<SnapshotAverage> average_;
  TorchNet net_;
  TorchOptimizer optimizer_;
  TorchCopies copies_;
  std::optional<TorchEma> ema_;
  TorchGoodState good_;
  std::vector<std::uint32_t> moved_;  // rows of the published average that moved since publish()
  SnapshotPublisher publisher_;
};

// Whether products are to be taken in bfloat16. A CPU does so only where it is asked to: LibTorch can on any, but few
// are faster so, and what is learnt should not hang on which.
Result<bool> takes_bfloat16(Autocast wanted, const at::Device& device) {
  if (wanted == Autocast::kOff || (wanted == Autocast::kAuto && device.is_cpu())) return false;
  if (device.is_cpu()) return true;
  const auto capability = at::accelerator::getDeviceCapability(device.index());
  const bool has = capability.capability_data.supported_scalar_types.has_BFloat16;
  if (!has && wanted == Autocast::kBf16) {
    return invalid_argument("learning.autocast is bf16, which this GPU does not have");
  }
  return has;
}

}  // namespace

Result<std::unique_ptr<TrainingEngine>> make_torch_engine(const LearnerOptions& options, const EncodedLayout& layout,
                                                          const Device& device) {
  auto image = TRY(make_tabular_net(options.model, layout));
  auto optimizer = TRY(Optimizer::create(options.optimizer, image->parameters()));
  const at::Device where = device.kind == Device::Kind::kCuda
                               ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device.index))
                               : at::Device(at::kCPU);
  return on_device(where, "setting up", [&]() -> Result<std::unique_ptr<TrainingEngine>> {
    const TorchNetOptions net{options.model.recompute, TRY(takes_bfloat16(options.autocast, where))};
    return std::unique_ptr<TrainingEngine>(
        std::make_unique<TorchEngine>(options, std::move(image), std::move(optimizer), where, net));
  });
}

}  // namespace freshet
