#include "learners/modules/module_publisher.h"

#include <atomic>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "learners/modules/stored_buffers.h"
#include "learners/torch/device_tensors.h"

namespace freshet {

void fill_parameters(const ScriptModule& module, std::span<const DenseTensor> places, const float* dense) {
  const c10::NoGradGuard no_grad;
  module.for_each_parameter([&](std::size_t number, const at::Tensor& parameter) {
    const DenseTensor& place = places[number];
    // from_blob takes no const; nothing writes through it.
    parameter.copy_(
        at::from_blob(const_cast<float*>(dense + place.offset), {signed_size(place.columns)}).view(parameter.sizes()));
  });
}

// One copy.
class ModuleSnapshot final : public Predictor {
 public:
  ModuleSnapshot(std::unique_ptr<ScriptModule> module, const ModuleContract& contract)
      : module_(std::move(module)), contract_(contract) {}

  std::uint64_t version() const override { return version_; }
  Task task() const override { return contract_.output.task; }
  std::uint32_t outputs() const override { return static_cast<std::uint32_t>(contract_.output.width); }
  // A module in evaluation mode changes nothing in itself: its forward is as good as const.
  Status predict(const EncodedBatch& batch, std::size_t begin, std::size_t end, Predictions& out) const override {
    return predict_rows(*module_, contract_, batch, begin, end, out);
  }

  bool has_measures() const override { return module_->has_metrics(); }
  Result<std::vector<OwnMeasure>> measures(const EncodedBatch& labelled) const override {
    return measure_rows(*module_, contract_, labelled);
  }

  void fill(std::span<const DenseTensor> places, const float* dense, std::span<const at::Tensor> buffers,
            std::uint64_t version) {
    fill_parameters(*module_, places, dense);
    for (std::size_t i = 0; i < buffers.size(); ++i) module_->set_buffer(i, buffers[i]);
    version_ = version;
  }
  void save(std::span<const DenseTensor> places, ByteWriter& out) const {
    out.put(version_);
    std::vector<at::Tensor> weights(places.size());
    module_->for_each_parameter(
        [&](std::size_t number, const at::Tensor& parameter) { weights[number] = parameter.contiguous(); });
    for (std::size_t number = 0; number < places.size(); ++number) {
      out.append(weights[number].const_data_ptr<float>(), places[number].columns * sizeof(float));
    }
    std::vector<at::Tensor> buffers;
    for (std::size_t i = 0; i < module_->buffers(); ++i) buffers.push_back(module_->buffer(i));
    save_buffers(out, buffers);
  }
  const ScriptModule& module() const { return *module_; }
  std::atomic<bool> in_use{false};

 private:
  std::unique_ptr<ScriptModule> module_;
  ModuleContract contract_;
  std::uint64_t version_ = 0;
};

ModulePublisher::ModulePublisher(const ScriptModule& original, std::span<const DenseTensor> places,
                                 const ModuleContract& contract)
    : original_(original), places_(places), contract_(contract) {}
ModulePublisher::~ModulePublisher() = default;

std::shared_ptr<const Predictor> ModulePublisher::publish(const float* dense, std::span<const at::Tensor> buffers,
                                                          std::uint64_t version) {
  auto snapshot = pool_.idle([&] { return std::make_shared<ModuleSnapshot>(original_.copy(), contract_); },
                             [](const auto&, const auto&) { return false; });  // all are filled whole
  snapshot->fill(places_, dense, buffers, version);
  return SnapshotPool<ModuleSnapshot>::hand_out(std::move(snapshot));
}

Status ModulePublisher::save(const Predictor& copy, ByteWriter& out) const {
  const auto* snapshot = dynamic_cast<const ModuleSnapshot*>(&copy);
  if (snapshot == nullptr) return failed_precondition("this version is no copy of the module");
  snapshot->save(places_, out);
  return Status::ok();
}

const ScriptModule* ModulePublisher::module_of(const Predictor& copy) {
  const auto* snapshot = dynamic_cast<const ModuleSnapshot*>(&copy);
  return snapshot == nullptr ? nullptr : &snapshot->module();
}

Result<std::shared_ptr<const Predictor>> ModulePublisher::load(ByteReader& in, std::size_t weights) {
  const auto version = in.get<std::uint64_t>();
  std::vector<float> dense(weights);
  for (const DenseTensor& place : places_) in.read(dense.data() + place.offset, place.columns * sizeof(float));
  if (!in.ok()) return data_loss("a stored model version is cut short");
  const auto buffers = TRY(load_buffers(in, original_));
  return publish(dense.data(), buffers, version);
}

}  // namespace freshet
