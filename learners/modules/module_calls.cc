#include "learners/modules/module_calls.h"

#include <algorithm>
#include <cstring>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

namespace freshet {

namespace {

std::string shape_text(const at::Tensor& tensor) {
  std::string text = "[";
  for (std::int64_t d = 0; d < tensor.dim(); ++d) text += fmt::format("{}{}", d == 0 ? "" : ", ", tensor.size(d));
  return text + "]";
}

void check_type(const at::Tensor& tensor, std::string_view what) {
  if (!tensor.defined()) throw ScriptError(fmt::format("{} returns no tensor", what));
  if (tensor.scalar_type() != at::kFloat) {
    throw ScriptError(fmt::format("{} returns {}; it must be float32", what, at::toString(tensor.scalar_type())));
  }
}

}  // namespace

Status check_rows(const ModuleContract& contract, std::span<const RowRange> rows) {
  for (const auto& range : rows) {
    if (range.size() == 0) continue;
    if (range.batch->dense_width() != contract.numbers || range.batch->categorical_width() != contract.categories) {
      return invalid_argument(fmt::format("rows of {} numbers and {} categories for a model of {} and {}",
                                          range.batch->dense_width(), range.batch->categorical_width(),
                                          contract.numbers, contract.categories));
    }
  }
  return Status::ok();
}

ModuleInputs gather_inputs(const ModuleContract& contract, std::span<const RowRange> rows, std::size_t padded) {
  const auto height = static_cast<std::int64_t>(padded);
  ModuleInputs inputs{at::empty({height, static_cast<std::int64_t>(contract.numbers)}, at::kFloat),
                      at::empty({height, static_cast<std::int64_t>(contract.categories)}, at::kLong)};
  auto* number = inputs.numbers.mutable_data_ptr<float>();
  auto* category = inputs.categories.mutable_data_ptr<std::int64_t>();
  const std::uint32_t mask = contract.embedding_rows - 1;
  std::size_t used = 0;
  for (const auto& range : rows) {
    const std::size_t numbers = range.size() * contract.numbers;
    if (numbers > 0) {
      std::memcpy(number, range.batch->dense() + range.begin * contract.numbers, numbers * sizeof(float));
      number += numbers;
    }
    const std::uint32_t* hashes = range.batch == nullptr ? nullptr : range.batch->hashes();
    for (std::size_t i = range.begin * contract.categories; i < range.end * contract.categories; ++i) {
      *category++ = static_cast<std::int64_t>(hashes[i] & mask);
    }
    used += range.size();
  }
  std::fill_n(number, (padded - used) * contract.numbers, 0.0F);
  std::fill_n(category, (padded - used) * contract.categories, 0);
  return inputs;
}

at::Tensor checked_outputs(const ModuleContract& contract, const at::Tensor& outputs, std::size_t rows) {
  check_type(outputs, "forward");
  const auto height = static_cast<std::int64_t>(rows);
  const auto width = static_cast<std::int64_t>(contract.output.width);
  const bool column = contract.output.task != Task::kMulticlass && outputs.dim() == 1 && outputs.size(0) == height;
  if (column) return outputs.unsqueeze(1);
  if (outputs.dim() == 2 && outputs.size(0) == height && outputs.size(1) == width) return outputs;
  throw ScriptError(fmt::format("forward returns {} for {} rows; a {} task needs {}", shape_text(outputs), rows,
                                task_name(contract.output.task),
                                contract.output.task == Task::kMulticlass ? fmt::format("[{}, {}]", rows, width)
                                                                          : fmt::format("[{0}] or [{0}, 1]", rows)));
}

at::Tensor checked_losses(const at::Tensor& losses, std::size_t rows) {
  check_type(losses, "loss");
  if (losses.dim() == 1 && losses.size(0) == static_cast<std::int64_t>(rows)) return losses;
  throw ScriptError(fmt::format("loss returns {} for {} rows; it must be [{}], a loss for each row, not their mean",
                                shape_text(losses), rows, rows));
}

at::Tensor script_targets(std::span<const float> labels, Task task) {
  const at::Tensor targets = at::empty({static_cast<std::int64_t>(labels.size())}, at::kFloat);
  std::copy(labels.begin(), labels.end(), targets.mutable_data_ptr<float>());
  return targets.to(task == Task::kMulticlass ? at::kLong : at::kFloat);
}

Result<std::vector<OwnMeasure>> measure_rows(ScriptModule& module, const ModuleContract& contract,
                                             const EncodedBatch& labelled) {
  const RowRange all{&labelled, 0, labelled.size()};
  TRY(check_rows(contract, {&all, 1}));
  return guarded("metrics", [&]() -> Result<std::vector<OwnMeasure>> {
    const c10::InferenceMode inference;
    std::vector<at::Tensor> outputs;
    for (std::size_t row = 0; row < labelled.size(); row += contract.block_rows) {
      const RowRange block{&labelled, row, std::min(row + contract.block_rows, labelled.size())};
      const ModuleInputs inputs = gather_inputs(contract, {&block, 1}, contract.block_rows);
      const at::Tensor given = module.forward(inputs.numbers, inputs.categories);
      checked_outputs(contract, given, contract.block_rows);
      outputs.push_back(given.narrow(0, 0, static_cast<std::int64_t>(block.size())));
    }
    const at::Tensor targets =
        script_targets(std::span<const float>(labelled.labels).first(labelled.size()), contract.output.task);
    std::vector<OwnMeasure> measures;
    for (auto& [name, value] : module.metrics(at::cat(outputs), targets)) measures.push_back({name, value});
    return measures;
  });
}

Status predict_rows(ScriptModule& module, const ModuleContract& contract, const EncodedBatch& batch, std::size_t begin,
                    std::size_t end, Predictions& out) {
  const RowRange all{&batch, begin, end};
  TRY(check_rows(contract, {&all, 1}));
  const std::size_t width = contract.output.width;
  out.rows = end - begin;
  out.width = static_cast<std::uint32_t>(width);
  if (out.values.size() < out.rows * width) out.values.resize(out.rows * width);
  return guarded("predicting", [&] {
    const c10::InferenceMode inference;
    for (std::size_t row = begin; row < end; row += contract.block_rows) {
      const RowRange block{&batch, row, std::min(row + contract.block_rows, end)};
      const ModuleInputs inputs = gather_inputs(contract, {&block, 1}, contract.block_rows);
      const at::Tensor outputs =
          checked_outputs(contract, module.forward(inputs.numbers, inputs.categories), contract.block_rows)
              .contiguous();
      outputs_to_predictions(contract.output, outputs.const_data_ptr<float>(), block.size(), width,
                             out.values.data() + (row - begin) * width);
    }
    return Status::ok();
  });
}

}  // namespace freshet
