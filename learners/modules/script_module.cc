#include "learners/modules/script_module.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include <caffe2/serialize/inline_container.h>
#include <fmt/core.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

#include "core/hash.h"

namespace freshet {

namespace {

constexpr std::string_view kExtra = "extra/";

std::string_view trimmed(std::string_view line) {
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
  return line;
}

// Everything of an archive that says what is computed, but for the names of its sources' lines.
bool tells_the_computation(std::string_view record) {
  return (record.starts_with("code/") && !record.ends_with(".debug_pkl")) || record.starts_with("constants");
}

// What a method may read beside tensors, as text; the mode and what has no short text are left out.
std::string attribute_text(const std::string& name, const c10::IValue& value) {
  const bool plain = value.isBool() || value.isInt() || value.isDouble() || value.isString() || value.isNone() ||
                     value.isBoolList() || value.isIntList() || value.isDoubleList();
  if (!plain || name == "training" || name.ends_with(".training")) return "";
  std::ostringstream text;
  text << name << '=' << value << '\n';
  return text.str();
}

}  // namespace

std::string script_error_text(const std::exception& error) {
  const auto* of_torch = dynamic_cast<const c10::Error*>(&error);
  const std::string text = of_torch != nullptr ? of_torch->what_without_backtrace() : error.what();
  std::string_view last;  // the backtrace of LibTorch's own functions left out
  std::string_view before;
  std::string_view source;
  const std::size_t size = std::min(text.find("\nException raised from"), text.size());
  for (std::size_t begin = 0; begin < size;) {
    const std::size_t end = std::min(text.find('\n', begin), size);
    const std::string_view line = trimmed(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
    if (line.find("<--- HERE") != std::string_view::npos) {
      source = before;
    } else if (!line.empty()) {
      before = line;
      last = line;
    }
  }
  constexpr std::size_t kLongest = 500;
  std::string shown(last.substr(0, kLongest));
  if (!source.empty() && source != last) shown += fmt::format(" (at: {})", source.substr(0, kLongest));
  return shown;
}

struct ScriptModule::Impl {
  // Where a tensor hangs: an assignment in the script may put another one there.
  struct Slot {
    c10::intrusive_ptr<c10::ivalue::Object> owner;
    std::size_t index = 0;
    std::size_t number = 0;
    at::Tensor tensor() const { return owner->getSlot(index).toTensor(); }
  };

  torch::jit::Module module;
  torch::jit::ExtraFilesMap extra;
  std::uint64_t fingerprint = 0;
  std::vector<std::string> parameter_names;
  std::vector<std::string> buffer_names;
  std::vector<Slot> parameter_slots;     // all
  std::vector<std::size_t> first_slots;  // of each parameter
  std::vector<Slot> buffer_slots;

  using Seen = std::set<std::pair<const void*, std::size_t>>;
  // Weights that share their memory are one parameter; an archive keeps that, though not that they are one tensor.
  using Place = std::pair<const void*, std::int64_t>;
  using Known = std::map<Place, std::size_t>;
  static Place place_of(const at::Tensor& tensor) {
    if (tensor.numel() == 0) return {tensor.unsafeGetTensorImpl(), 0};
    return {tensor.const_data_ptr(), tensor.numel()};
  }

  // `trained`: the names of parameters, by number, where the tensors themselves do not tell (in a copy).
  void collect(const torch::jit::Module& part, const std::string& prefix,
               const std::map<std::string, std::size_t>* trained, Seen& seen, Known& known) {
    const auto type = part.type();
    const auto object = part._ivalue();
    for (std::size_t i = 0; i < type->numAttributes(); ++i) {
      const std::string name = prefix + type->getAttributeName(i);
      const c10::IValue& value = object->getSlot(i);
      attributes += attribute_text(name, value);
      if (!seen.insert({object.get(), i}).second) continue;
      if (value.isModule()) {
        collect(value.toModule(), name + ".", trained, seen, known);
      } else if (value.isTensor() && value.toTensor().defined()) {
        const at::Tensor tensor = value.toTensor();
        const bool moves =
            trained == nullptr ? type->is_parameter(i) && tensor.requires_grad() : trained->contains(name);
        if (!moves) {
          buffer_slots.push_back({object, i, buffer_names.size()});
          buffer_names.push_back(name);
          continue;
        }
        const std::size_t number =
            trained != nullptr ? trained->at(name) : known.try_emplace(place_of(tensor), known.size()).first->second;
        if (number >= first_slots.size()) {
          first_slots.resize(number + 1, parameter_slots.size());
          parameter_names.resize(number + 1);
        }
        if (parameter_names[number].empty()) {
          parameter_names[number] = name;
          first_slots[number] = parameter_slots.size();
        }
        numbers[name] = number;
        parameter_slots.push_back({object, i, number});
      }
    }
  }
  std::map<std::string, std::size_t> numbers;  // of the parameters by every name
  std::string attributes;

  void list_tensors(const std::map<std::string, std::size_t>* trained) {
    Seen seen;
    Known known;
    collect(module, "", trained, seen, known);
  }
};

ScriptModule::ScriptModule(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ScriptModule::~ScriptModule() = default;

Result<std::unique_ptr<ScriptModule>> ScriptModule::load(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return not_found(fmt::format("there is no file {}", path));
  auto impl = std::make_unique<Impl>();
  try {
    caffe2::serialize::PyTorchStreamReader reader(path);
    auto records = reader.getAllRecords();
    std::ranges::sort(records);
    for (const auto& record : records) {
      if (record.starts_with(kExtra)) impl->extra[record.substr(kExtra.size())] = "";
      if (!tells_the_computation(record)) continue;
      const auto [data, size] = reader.getRecord(record);
      impl->fingerprint = hash_text({static_cast<const char*>(data.get()), size}, hash_text(record, impl->fingerprint));
    }
    impl->module = torch::jit::load(path, at::kCPU, impl->extra);
  } catch (const std::exception& error) {
    return invalid_argument(
        fmt::format("{} is no TorchScript module, such as torch.jit.script(model).save(\"{}\") writes: {}", path,
                    std::filesystem::path(path).filename().string(), script_error_text(error)));
  }
  if (!impl->module.find_method("forward"))
    return invalid_argument(fmt::format("the module in {} has no forward", path));
  impl->list_tensors(nullptr);
  impl->fingerprint = hash_text(impl->attributes, impl->fingerprint);
  return std::unique_ptr<ScriptModule>(new ScriptModule(std::move(impl)));
}

std::unique_ptr<ScriptModule> ScriptModule::define(const std::string& name,
                                                   const std::vector<std::pair<std::string, at::Tensor>>& parameters,
                                                   const std::string& code) {
  auto impl = std::make_unique<Impl>();
  impl->module = torch::jit::Module(c10::QualifiedName("__torch__." + name));
  impl->module.register_attribute("training", c10::BoolType::get(), true);
  impl->fingerprint = hash_text(code);
  for (const auto& [key, tensor] : parameters) {
    at::Tensor leaf = tensor.detach();
    leaf.set_requires_grad(true);
    impl->module.register_parameter(key, leaf, false);
  }
  impl->module.define(code);
  impl->list_tensors(nullptr);
  return std::unique_ptr<ScriptModule>(new ScriptModule(std::move(impl)));
}

std::size_t ScriptModule::inputs() const { return impl_->module.get_method("forward").num_inputs() - 1; }
bool ScriptModule::has_loss() const { return impl_->module.find_method("loss").has_value(); }
bool ScriptModule::has_metrics() const { return impl_->module.find_method("metrics").has_value(); }
std::uint64_t ScriptModule::fingerprint() const { return impl_->fingerprint; }

bool ScriptModule::convolves() const {
  const auto graph = impl_->module.get_method("forward").graph()->copy();
  torch::jit::Inline(*graph);
  const std::string text = graph->toString(false);
  return text.find("aten::conv") != std::string::npos || text.find("aten::_convolution") != std::string::npos;
}

std::size_t ScriptModule::parameters() const { return impl_->parameter_names.size(); }
std::size_t ScriptModule::buffers() const { return impl_->buffer_names.size(); }
const std::string& ScriptModule::parameter_name(std::size_t number) const { return impl_->parameter_names[number]; }
const std::string& ScriptModule::buffer_name(std::size_t number) const { return impl_->buffer_names[number]; }
at::Tensor ScriptModule::parameter(std::size_t number) const {
  return impl_->parameter_slots[impl_->first_slots[number]].tensor();
}
at::Tensor ScriptModule::buffer(std::size_t number) const { return impl_->buffer_slots[number].tensor(); }
void ScriptModule::set_buffer(std::size_t number, const at::Tensor& value) {
  const c10::NoGradGuard no_grad;
  at::Tensor present = buffer(number);
  if (present.sizes() == value.sizes() && present.dtype() == value.dtype() && !present.requires_grad()) {
    present.copy_(value);
    return;
  }
  const Impl::Slot& slot = impl_->buffer_slots[number];
  slot.owner->setSlot(slot.index, value.detach().to(present.device()).clone());
}
void ScriptModule::for_each_parameter(
    const std::function<void(std::size_t number, const at::Tensor& tensor)>& visit) const {
  for (const auto& slot : impl_->parameter_slots) visit(slot.number, slot.tensor());
}

void ScriptModule::to(const at::Device& device) {
  if (device.is_cpu()) return;
  impl_->module.to(device);
}
void ScriptModule::set_training(bool training) {
  for (const auto& part : impl_->module.modules()) {
    if (part.hasattr("training")) torch::jit::Module(part).setattr("training", training);
  }
}

at::Tensor ScriptModule::forward(const at::Tensor& numbers, const at::Tensor& categories) {
  const torch::jit::GraphOptimizerEnabledGuard plain(false);
  std::vector<c10::IValue> inputs = {numbers};
  if (this->inputs() > 1) inputs.emplace_back(categories);
  const c10::IValue outputs = impl_->module.forward(std::move(inputs));
  if (!outputs.isTensor()) throw ScriptError(fmt::format("forward returns {}, not a tensor", outputs.tagKind()));
  return outputs.toTensor();
}

at::Tensor ScriptModule::loss(const at::Tensor& outputs, const at::Tensor& targets) {
  const torch::jit::GraphOptimizerEnabledGuard plain(false);
  const c10::IValue losses = impl_->module.get_method("loss")({outputs, targets});
  if (!losses.isTensor()) throw ScriptError(fmt::format("loss returns {}, not a tensor", losses.tagKind()));
  return losses.toTensor();
}

std::vector<std::pair<std::string, double>> ScriptModule::metrics(const at::Tensor& outputs,
                                                                  const at::Tensor& targets) {
  const torch::jit::GraphOptimizerEnabledGuard plain(false);
  const c10::IValue measured = impl_->module.get_method("metrics")({outputs, targets});
  if (!measured.isGenericDict()) throw ScriptError(fmt::format("metrics returns {}, not a dict", measured.tagKind()));
  std::vector<std::pair<std::string, double>> values;
  for (const auto& entry : measured.toGenericDict()) {
    if (!entry.key().isString()) throw ScriptError("metrics returns a dict whose keys are not texts");
    const c10::IValue& value = entry.value();
    if (!value.isDouble() && !value.isInt() && !(value.isTensor() && value.toTensor().numel() == 1)) {
      throw ScriptError(fmt::format("metrics gives no number for {}", entry.key().toStringRef()));
    }
    values.emplace_back(entry.key().toStringRef(), value.isTensor() ? value.toTensor().to(at::kDouble).item<double>()
                                                                    : value.toScalar().toDouble());
  }
  return values;
}

std::unique_ptr<ScriptModule> ScriptModule::copy() const {
  const c10::NoGradGuard no_grad;
  auto impl = std::make_unique<Impl>();
  impl->module = impl_->module.deepcopy();
  impl->module.to(at::kCPU);
  impl->extra = impl_->extra;
  impl->fingerprint = impl_->fingerprint;
  impl->list_tensors(&impl_->numbers);
  auto made = std::unique_ptr<ScriptModule>(new ScriptModule(std::move(impl)));
  made->for_each_parameter([](std::size_t, const at::Tensor& tensor) { tensor.set_requires_grad(false); });
  made->set_training(false);
  return made;
}

void ScriptModule::save(const std::string& path, const std::vector<std::pair<std::string, std::string>>& more) const {
  auto extra = impl_->extra;
  for (const auto& [name, text] : more) extra[name] = text;
  impl_->module.save(path, extra);
}

}  // namespace freshet
