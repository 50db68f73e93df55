// What every caller of a ScriptModule shares: the inputs that it is given, and the checks of what it returns.
//
//   forward(numbers)              numbers: [B, F] float32, the dense columns of EncodedLayout in their order
//   forward(numbers, categories)  categories: [B, C] int64 in [0, model.embedding_rows): each value's hash, cut to that
//   returns                       logits [B, classes] (multiclass), a logit (binary) or value (regression), [B] or
//                                 [B, 1]
//   loss(outputs, targets)        what forward returned, and [B] float32 (int64 for a multiclass task): [B] float32
//   metrics(outputs, targets)     the same inputs: a dict of texts and numbers
//
// Threads: pure functions; a module's forward may run on many threads while nobody changes it.
// Owns: nothing.  Failure: ScriptError for what a module should not return; guarded() makes a Status of it.
#pragma once

#include <span>
#include <string_view>

#include <ATen/core/Tensor.h>
#include <fmt/core.h>

#include "learners/models/model.h"
#include "learners/models/output_predictions.h"
#include "learners/modules/script_module.h"

namespace freshet {

struct ModuleContract {
  OutputKind output;
  std::size_t numbers = 0;
  std::size_t categories = 0;
  std::uint32_t embedding_rows = 1;  // a power of two
  // Rows that forward is given at a time to predict. Always as many, so that a row's prediction does not depend on the
  // batch that it came with; missing ones are zero.
  std::size_t block_rows = 1;
};

struct ModuleInputs {
  at::Tensor numbers;     // [B, F] float32
  at::Tensor categories;  // [B, C] int64
};

// Copies of `rows`, which a script may write to; zeros up to `padded` rows.
ModuleInputs gather_inputs(const ModuleContract& contract, std::span<const RowRange> rows, std::size_t padded);
Status check_rows(const ModuleContract& contract, std::span<const RowRange> rows);

// [rows] on the CPU, as loss and metrics are given them.
at::Tensor script_targets(std::span<const float> labels, Task task);

// [rows, outputs] of what forward returned for that many rows; [rows] of what loss returned.
at::Tensor checked_outputs(const ModuleContract& contract, const at::Tensor& outputs, std::size_t rows);
at::Tensor checked_losses(const at::Tensor& losses, std::size_t rows);

// What the module's metrics() says of all rows of `labelled`, which must not be empty; on the CPU, in evaluation mode.
Result<std::vector<OwnMeasure>> measure_rows(ScriptModule& module, const ModuleContract& contract,
                                             const EncodedBatch& labelled);

// Predictions for rows [begin, end) by a module in evaluation mode on the CPU.
Status predict_rows(ScriptModule& module, const ModuleContract& contract, const EncodedBatch& batch, std::size_t begin,
                    std::size_t end, Predictions& out);

// Runs `work`, which returns a Status or a Result.
template <typename Work>
auto guarded(std::string_view what, Work&& work) -> decltype(work()) {
  try {
    return std::forward<Work>(work)();
  } catch (const std::exception& error) {
    return invalid_argument(fmt::format("{}: {}", what, script_error_text(error)));
  }
}

}  // namespace freshet
