#include "learners/modules/module_trial.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <fmt/ranges.h>

#include "core/rng.h"

namespace freshet {

namespace {

constexpr std::size_t kBlockRows = 16;
constexpr std::size_t kTrainedRows = 3;
constexpr std::size_t kMeasuresMax = 100;  // each is a time series of its own

// Made-up rows: numbers in [-1, 1], categories over their whole range.
EncodedBatch made_up_rows(const ModuleContract& contract) {
  EncodedBatch batch(static_cast<std::uint32_t>(contract.numbers), static_cast<std::uint32_t>(contract.categories),
                     kBlockRows);
  batch.resize(kBlockRows);
  Rng rng(1);
  for (std::size_t i = 0; i < kBlockRows; ++i) {
    for (float& number : batch.dense_row(i)) number = static_cast<float>(2.0 * rng.uniform() - 1.0);
    for (auto& hash : batch.hash_row(i)) {
      hash = i == 0 ? contract.embedding_rows - 1 : static_cast<std::uint32_t>(rng.next());
    }
  }
  return batch;
}

ModuleInputs first_rows(const ModuleInputs& inputs, std::int64_t rows) {
  return {inputs.numbers.narrow(0, 0, rows).clone(), inputs.categories.narrow(0, 0, rows).clone()};
}

// Whether a row's outputs are the same to the bit wherever it stands among `kBlockRows` rows and whatever the others
// are.
bool rows_are_independent(ScriptModule& module, const ModuleContract& contract, const ModuleInputs& inputs) {
  const c10::InferenceMode inference;
  const auto run = [&](const at::Tensor& numbers, const at::Tensor& categories) {
    return checked_outputs(contract, module.forward(numbers.clone(), categories.clone()), kBlockRows).contiguous();
  };
  const at::Tensor plain = run(inputs.numbers, inputs.categories);
  for (const std::int64_t by : {1, 3, 6, 8, 11}) {
    if (!at::equal(run(inputs.numbers.roll(by, 0), inputs.categories.roll(by, 0)), plain.roll(by, 0))) return false;
  }
  const ModuleInputs padded{inputs.numbers.clone(), inputs.categories.clone()};
  padded.numbers.narrow(0, 5, kBlockRows - 5).zero_();
  padded.categories.narrow(0, 5, kBlockRows - 5).zero_();
  return at::equal(run(padded.numbers, padded.categories).narrow(0, 0, 5), plain.narrow(0, 0, 5));
}

at::Tensor training_loss(ScriptModule& module, const ModuleContract& contract, const ModuleInputs& inputs) {
  const auto rows = static_cast<std::size_t>(inputs.numbers.size(0));
  const at::Tensor raw = module.forward(inputs.numbers, inputs.categories);
  const at::Tensor outputs = checked_outputs(contract, raw, rows);
  if (!module.has_loss()) return outputs.sum();
  const std::vector<float> labels(rows, 0.0F);
  return checked_losses(module.loss(raw, script_targets(labels, contract.output.task)), rows).sum();
}

Status check_inputs(const ScriptModule& module, const EncodedLayout& layout) {
  const std::size_t inputs = module.inputs();
  if (inputs != 1 && inputs != 2) {
    return invalid_argument(
        fmt::format("forward takes {} inputs; it must be forward(numbers) or forward(numbers, categories)", inputs));
  }
  if (inputs == 1 && layout.categorical() > 0) {
    return invalid_argument(
        fmt::format("forward takes numbers alone, but these features are categories: {}; let it take (numbers, "
                    "categories) or leave them out",
                    fmt::join(layout.categorical_names, ", ")));
  }
  if (inputs == 1 && layout.dense() == 0) return invalid_argument("forward takes numbers, but no feature is one");
  return Status::ok();
}

Status check_parameters(const ScriptModule& module) {
  if (module.parameters() == 0) {
    return invalid_argument(
        "the module has no parameter that asks for gradients: there is nothing to train. A module "
        "that was frozen or traced without its parameters is such a one");
  }
  for (std::size_t i = 0; i < module.parameters(); ++i) {
    if (module.parameter(i).scalar_type() == at::kFloat) continue;
    return invalid_argument(fmt::format("the parameter {} is {}; parameters must be float32", module.parameter_name(i),
                                        at::toString(module.parameter(i).scalar_type())));
  }
  return Status::ok();
}

}  // namespace

Result<ModuleTraits> try_module(const ScriptModule& module, const ModuleContract& contract,
                                const EncodedLayout& layout) {
  TRY(check_inputs(module, layout));
  TRY(check_parameters(module));
  const EncodedBatch rows = made_up_rows(contract);
  const RowRange range{&rows, 0, rows.size()};
  const std::string given =
      fmt::format("tried with numbers [{}, {}]{}", kBlockRows, contract.numbers,
                  module.inputs() == 2 ? fmt::format(" and categories [{}, {}] below model.embedding_rows ({})",
                                                     kBlockRows, contract.categories, contract.embedding_rows)
                                       : "");
  ModuleTraits traits;
  TRY(guarded(given, [&] {
    const auto served = module.copy();
    const ModuleInputs inputs = gather_inputs(contract, {&range, 1}, kBlockRows);
    const c10::InferenceMode inference;
    const at::Tensor outputs = served->forward(inputs.numbers.clone(), inputs.categories.clone());
    checked_outputs(contract, outputs, kBlockRows);
    traits.flat_outputs = outputs.dim() == 1;
    if (served->has_metrics()) {
      const std::vector<float> labels(kBlockRows, 0.0F);
      const auto measured = served->metrics(outputs, script_targets(labels, contract.output.task));
      if (measured.size() > kMeasuresMax) {
        throw ScriptError(fmt::format("metrics returns {} measures; {} at most", measured.size(), kMeasuresMax));
      }
    }
    // A convolution costs as much for one image as for each of many: blocks would only make a lone row dear.
    if (!module.convolves() && rows_are_independent(*served, contract, inputs)) traits.block_rows = kBlockRows;
    return Status::ok();
  }));
  return guarded(fmt::format("a training step, {}", given), [&]() -> Result<ModuleTraits> {
    const auto trained = module.copy();
    trained->for_each_parameter([](std::size_t, const at::Tensor& tensor) { tensor.set_requires_grad(true); });
    trained->set_training(true);
    const c10::AutoGradMode with_gradients(true);
    const ModuleInputs inputs = gather_inputs(contract, {&range, 1}, kBlockRows);
    const auto& generator = at::detail::getDefaultCPUGenerator();
    const at::Tensor before = generator.get_state();
    const at::Tensor loss = training_loss(*trained, contract, first_rows(inputs, kTrainedRows));
    traits.draws = !at::equal(before, generator.get_state());
    if (!loss.requires_grad())
      return invalid_argument("no parameter has a part in the loss: there is nothing to train");
    loss.backward();
    try {
      training_loss(*trained, contract, first_rows(inputs, 1));
    } catch (const std::exception&) {
      traits.single_rows_as_served = true;
    }
    return traits;
  });
}

}  // namespace freshet
