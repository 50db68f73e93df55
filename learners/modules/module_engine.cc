#include "learners/modules/module_engine.h"

#include <algorithm>
#include <bit>
#include <optional>

#include <ATen/ATen.h>

#include "core/json_writer.h"
#include "learners/modules/convnet.h"
#include "learners/modules/module_copies.h"
#include "learners/modules/module_net.h"
#include "learners/modules/module_publisher.h"
#include "learners/modules/stored_buffers.h"
#include "learners/torch/device_tensors.h"
#include "learners/torch/torch_ema.h"
#include "learners/torch/torch_good_state.h"
#include "learners/torch/torch_optimizer.h"
#include "learners/training/averaging.h"
#include "learners/training/native_copies.h"

namespace freshet {

namespace {

constexpr std::uint32_t kStateFormat = 1;

class ModuleEngine final : public TrainingEngine {
 public:
  ModuleEngine(const LearnerOptions& options, const EncodedLayout& layout, std::shared_ptr<ScriptModule> module,
               const ModuleContract& contract, const ModuleTraits& traits, const at::Device& device)
      : options_(options),
        layout_(layout),
        device_(device),
        original_(module->copy()),
        net_(std::move(module), contract, traits, options.model.seed, device),
        publisher_(*original_, net_.image().tensors, contract) {}

  Status set_up() {
    image_optimizer_ = TRY(Optimizer::create(options_.optimizer, net_.image()));
    return on_device(device_, "setting up", [&] {
      optimizer_.emplace(*image_optimizer_, net_);
      if (options_.published == PublishedWeights::kEma) {
        image_ema_.emplace(options_.ema_decay, net_.image());
        ema_.emplace(*image_ema_, options_.ema_decay, net_);
      }
      if (options_.published == PublishedWeights::kAverage) average_.emplace(options_.average_rounds, net_.image());
      net_.download_buffers();
      return Status::ok();
    });
  }

  Model& model() override { return net_; }
  std::uint64_t parameter_count() const override {
    std::uint64_t count = 0;
    for (const auto& tensor : net_.image().tensors) count += tensor.columns;
    return count;
  }

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
      optimizer_->step(net_, none_, learning_rate);
      net_.step_taken();
      if (ema_) ema_->after_step(net_, none_);
      return Status::ok();
    });
  }
  Status end_round() override {
    return on_device(device_, "end of the round", [&] {
      net_.settle();
      if (!average_) return Status::ok();
      net_.download_weights();
      average_->end_round(net_.image(), moved_);
      return Status::ok();
    });
  }

  Status mark_good() override {
    return on_device(device_, "mark of the good state", [&] {
      net_.settle();
      good_.mark({net_.dense()}, *optimizer_, ema());
      good_buffers_ = net_.copy_buffers();
      return Status::ok();
    });
  }
  Result<bool> sane() override {
    return on_device(device_, "check of the weights", [&]() -> Result<bool> {
      if (!TorchGoodState::sane({net_.dense()}, ema())) return false;
      return std::ranges::all_of(net_.copy_buffers(), [](const at::Tensor& buffer) {
        return !buffer.is_floating_point() || at::all(at::isfinite(buffer)).item<bool>();
      });
    });
  }
  Status restore_good() override {
    return on_device(device_, "going back to the good state", [&] {
      good_.restore({net_.dense()}, *optimizer_, ema());
      net_.set_buffers(good_buffers_);
      return Status::ok();
    });
  }

  Result<std::shared_ptr<const Predictor>> publish(std::uint64_t version, bool /*again*/) override {
    return on_device(device_, "publication", [&]() -> Result<std::shared_ptr<const Predictor>> {
      net_.settle();
      latest_ = published_weights();
      net_.download_buffers();
      return publish_last(version);
    });
  }
  std::shared_ptr<const Predictor> publish_last(std::uint64_t version) override {
    const float* dense = latest_ == nullptr ? net_.image().dense.data() : latest_;
    return publisher_.publish(dense, net_.host_buffers(), version);
  }
  Status save_published(const Predictor& version, ByteWriter& out) override { return publisher_.save(version, out); }
  Result<std::shared_ptr<const Predictor>> load_published(ByteReader& in) override {
    return on_device(device_, "reading a version", [&] { return publisher_.load(in, net_.image().dense.size()); });
  }
  Status evaluate(const EncodedBatch& batch, Predictions& out) override {
    return on_device(device_, "evaluation", [&] {
      net_.settle();
      net_.download_weights();
      if (evaluated_ == nullptr) evaluated_ = original_->copy();
      fill_parameters(*evaluated_, net_.image().tensors, net_.image().dense.data());
      const auto& buffers = net_.download_buffers();
      for (std::size_t i = 0; i < buffers.size(); ++i) evaluated_->set_buffer(i, buffers[i]);
      return predict_rows(*evaluated_, net_.contract(), batch, 0, batch.size(), out);
    });
  }

  Result<std::unique_ptr<WeightsCopy>> copy() override {
    return on_device(device_, "copy of the weights",
                     [&]() -> Result<std::unique_ptr<WeightsCopy>> { return copy_of(net_); });
  }
  Result<std::unique_ptr<QuadraticPenalty>> penalty() override {
    return on_device(device_, "quadratic penalty",
                     [&]() -> Result<std::unique_ptr<QuadraticPenalty>> { return penalty_of(net_); });
  }
  Status restore(WeightsCopy& copy) override {
    return on_device(device_, "restoring the weights", [&] {
      restore_weights(net_, copy);
      return Status::ok();
    });
  }
  // Those of the file, or of the seed.
  Status begin_anew() override {
    return on_device(device_, "initial weights", [&]() -> Status {
      if (options_.model.architecture == Architecture::kConvnet) {
        const auto anew = TRY(make_convnet(options_.model, layout_));
        net_.read_weights(*anew);
      } else {
        net_.read_weights(*original_);
      }
      if (image_ema_) image_ema_->reset(net_.image());
      if (ema_) ema_->upload_state();
      if (average_) average_->reset(net_.image());
      return Status::ok();
    });
  }
  Status reset_optimizer() override {
    return on_device(device_, "state of the optimizer", [&] {
      image_optimizer_->reset();
      optimizer_->upload_state();
      return Status::ok();
    });
  }
  // In host memory: once in a round or more seldom.
  Status shrink_and_perturb(float factor, float deviation, Rng& rng) override {
    return on_device(device_, "shrinking the weights", [&] {
      net_.download_weights();
      freshet::shrink_and_perturb(net_.image(), factor, deviation, rng);
      net_.upload_weights();
      return Status::ok();
    });
  }

  Status save(ByteWriter& out) override {
    return on_device(device_, "checkpoint", [&] {
      net_.settle();
      net_.download_weights();
      optimizer_->download_state({});
      if (ema_) ema_->download_state({});
      out.put(kStateFormat);
      out.put(original_->fingerprint());
      out.put<std::uint64_t>(net_.image().tensors.size());
      for (const auto& tensor : net_.image().tensors) {
        out.put_text(tensor.name);
        out.put<std::uint64_t>(tensor.columns);
      }
      out.put(net_.passes());
      net_.image().save(out);
      save_buffers(out, net_.download_buffers());
      image_optimizer_->save(out, net_.image());
      save_averages(out, options_.published, image_ema_, average_, net_.image());
      return Status::ok();
    });
  }
  Status load(ByteReader& in, std::uint64_t seed, float /*embedding_scale*/) override {
    return on_device(device_, "loading", [&]() -> Status {
      TRY(check_identity(in));
      const auto passes = in.get<std::uint64_t>();
      TRY(net_.image().load(in));
      net_.set_buffers(TRY(load_buffers(in, net_.module())));
      TRY(image_optimizer_->load(in, net_.image()));
      TRY(load_averages(in, options_.published, image_ema_, average_, net_.image()));
      net_.set_passes(passes);
      net_.set_seed(seed);
      options_.model.seed = seed;
      net_.upload_weights();
      optimizer_->upload_state();
      if (ema_) ema_->upload_state();
      return Status::ok();
    });
  }

  // Float buffers (running means) are averaged as the weights are.
  Status copy_weights(std::vector<float>& to) override {
    return on_device(device_, "copy of the weights", [&] {
      net_.settle();
      net_.download_weights();
      to.assign(net_.image().dense.span().begin(), net_.image().dense.span().end());
      for (const auto& buffer : net_.download_buffers()) {
        if (buffer.scalar_type() != at::kFloat) continue;
        const auto* values = buffer.const_data_ptr<float>();
        to.insert(to.end(), values, values + buffer.numel());
      }
      return Status::ok();
    });
  }
  Status take_weights(std::span<const float> weights) override {
    return on_device(device_, "taking weights", [&]() -> Status {
      const auto dense = net_.image().dense.span();
      std::vector<at::Tensor> buffers = net_.download_buffers();
      std::size_t size = dense.size();
      for (const auto& buffer : buffers) {
        if (buffer.scalar_type() == at::kFloat) size += static_cast<std::size_t>(buffer.numel());
      }
      if (weights.size() != size) {
        return invalid_argument(fmt::format("{} weights for a model of {}", weights.size(), size));
      }
      std::copy_n(weights.data(), dense.size(), dense.data());
      const float* from = weights.data() + dense.size();
      for (auto& buffer : buffers) {
        if (buffer.scalar_type() != at::kFloat) continue;
        std::copy_n(from, buffer.numel(), buffer.mutable_data_ptr<float>());
        from += buffer.numel();
      }
      net_.set_buffers(buffers);
      net_.upload_weights();
      if (image_ema_) image_ema_->reset(net_.image());
      if (ema_) ema_->upload_state();
      if (average_) average_->reset(net_.image());
      return Status::ok();
    });
  }

  Status export_model(const std::string& path, std::string_view about, const Predictor& version) override {
    const ScriptModule* module = ModulePublisher::module_of(version);
    if (module == nullptr) return failed_precondition("this version is no copy of the module");
    return on_device(device_, "export", [&] {
      const auto exported = module->copy();
      exported->for_each_parameter([](std::size_t, const at::Tensor& tensor) { tensor.set_requires_grad(true); });
      exported->save(path, {{"freshet.json", description(about)}});
      return Status::ok();
    });
  }

 private:
  // In host memory, up to date.
  const float* published_weights() {
    if (average_) return average_->weights().dense.data();
    if (!ema_) {
      net_.download_weights();
      return net_.image().dense.data();
    }
    ema_->download_state({});
    return image_ema_->weights().dense.data();
  }

  TorchEma* ema() { return ema_ ? &*ema_ : nullptr; }

  Status check_identity(ByteReader& in) const {
    const auto format = in.get<std::uint32_t>();
    const auto fingerprint = in.get<std::uint64_t>();
    const auto count = in.get<std::uint64_t>();
    const auto& tensors = net_.image().tensors;
    if (!in.ok() || format != kStateFormat || count > in.remaining()) {
      return failed_precondition(fmt::format("the stored model is not one of the architecture {}",
                                             architecture_name(options_.model.architecture)));
    }
    bool same = count == tensors.size();
    for (std::size_t i = 0; i < count && in.ok(); ++i) {
      const std::string name = in.get_text();
      const auto columns = in.get<std::uint64_t>();
      if (!same) continue;
      same = name == tensors[i].name && columns == tensors[i].columns;
      if (!same) {
        return failed_precondition(fmt::format("the stored model has {} weights in {} where this one has {} in {}",
                                               columns, name, tensors[i].columns, tensors[i].name));
      }
    }
    if (!in.ok()) return data_loss("the state of the learner is cut short");
    if (!same) {
      return failed_precondition(fmt::format("the stored model has {} parameters, this one {}", count, tensors.size()));
    }
    if (fingerprint != original_->fingerprint()) {
      return failed_precondition(
          options_.model.architecture == Architecture::kTorchScript
              ? fmt::format(
                    "the code of the module in {} is not the one that the stored model was learnt with; put the "
                    "former file back, or begin anew with another memory.path",
                    options_.model.path)
              : "the stored model was learnt with other model.image, model.filters, model.kernel or model.hidden");
    }
    return Status::ok();
  }

  // For who loads the exported file: what its inputs are.
  std::string description(std::string_view about) const {
    JsonWriter json;
    json.begin_object();
    json.field("model", about);
    json.field("task", task_name(options_.model.task));
    json.key("numbers");
    json.begin_array();
    for (const auto& name : layout_.dense_names) json.value(name);
    json.end_array();
    json.key("categories");
    json.begin_array();
    for (const auto& name : layout_.categorical_names) json.value(name);
    json.end_array();
    json.field("embedding_rows", std::uint64_t{options_.model.embedding_rows});
    json.end_object();
    return json.take();
  }

  LearnerOptions options_;
  EncodedLayout layout_;
  at::Device device_;
  std::unique_ptr<ScriptModule> original_;  // on the CPU, what copies are made of
  ModuleNet net_;
  ModulePublisher publisher_;
  std::unique_ptr<Optimizer> image_optimizer_;
  std::optional<Ema> image_ema_;
  std::optional<SnapshotAverage> average_;
  std::optional<TorchOptimizer> optimizer_;
  std::optional<TorchEma> ema_;
  std::unique_ptr<ScriptModule> evaluated_;
  const float* latest_ = nullptr;  // what was published last; null: nothing yet
  std::vector<std::uint32_t> moved_;
  TorchGoodState good_;
  std::vector<at::Tensor> good_buffers_;
  at::Tensor none_ = at::empty({0}, at::kLong);
};

}  // namespace

Result<std::unique_ptr<TrainingEngine>> make_module_engine(const LearnerOptions& options, const EncodedLayout& layout,
                                                           const Device& device) {
  const ModelOptions& model = options.model;
  if (!std::has_single_bit(model.embedding_rows))
    return invalid_argument("model.embedding_rows must be a power of two");
  if (model.task == Task::kMulticlass && model.classes < 2) {
    return invalid_argument("model.classes must be 2 or more for a multiclass task");
  }
  const bool script = model.architecture == Architecture::kTorchScript;
  if (script && model.path.empty()) return invalid_argument("model.path must name the file of the TorchScript module");
  std::shared_ptr<ScriptModule> module = TRY((script ? ScriptModule::load(model.path) : make_convnet(model, layout))
                                                 .with_context(script ? "model.path" : "model"));
  ModuleContract contract;
  contract.output = {model.task, model.link, model.task == Task::kMulticlass ? model.classes : 1};
  contract.numbers = layout.dense();
  contract.categories = layout.categorical();
  contract.embedding_rows = model.embedding_rows;
  const auto traits = TRY(try_module(*module, contract, layout).with_context(script ? model.path : "the convnet"));
  contract.block_rows = traits.block_rows;
  const at::Device where = device.kind == Device::Kind::kCuda
                               ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device.index))
                               : at::Device(at::kCPU);
  return on_device(where, "setting up", [&]() -> Result<std::unique_ptr<TrainingEngine>> {
    auto engine = std::make_unique<ModuleEngine>(options, layout, std::move(module), contract, traits, where);
    TRY(engine->set_up());
    return std::unique_ptr<TrainingEngine>(std::move(engine));
  });
}

}  // namespace freshet
