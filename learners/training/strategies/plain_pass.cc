#include "learners/training/strategies/plain_pass.h"

#include <array>
#include <span>

namespace freshet::strategies {

Result<StepLoss> plain_pass(Model& model, const Loss& loss, const MiniBatch& batch) {
  const std::array<RowRange, 2> parts = {batch.fresh, batch.replay};
  std::array<LossSum, 2> sums;
  const std::size_t count = batch.replay.size() > 0 ? 2 : 1;
  TRY(model.loss_gradients(std::span(parts).first(count), loss, std::span(sums).first(count)));
  return StepLoss{sums[0], sums[1]};
}

}  // namespace freshet::strategies
