#include "daemon/pipeline/stored_losses.h"

namespace freshet {

void stored_losses(const ReplayMemory& memory, const ReplaySample& sample, const LossAge& age,
                   std::vector<float>& losses) {
  losses.clear();
  losses.reserve(sample.slots.size());
  const ReplayMetadata& known = memory.metadata();
  for (std::size_t i = 0; i < sample.slots.size(); ++i) {
    float loss = known.loss(sample.slots[i]);
    if (age.rounds_max > 0) {
      const std::uint64_t seen = known.last_seen(sample.slots[i]);
      const std::uint64_t rounds = seen > 0 ? age.round - seen : (age.cut_seq - 1 - sample.seqs[i]) / age.round_events;
      if (rounds > age.rounds_max) loss = kUnknownLoss;
    }
    losses.push_back(loss);
  }
}

}  // namespace freshet
