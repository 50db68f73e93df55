// What sifting may take for the losses of replayed events: those that the memory has stored, unless they are too old.
//
// Threads: pure; ingest's, as the memory is.  Owns: nothing.  Failure: none.
#pragma once

#include <cstdint>
#include <vector>

#include "storage/replay_memory.h"

namespace freshet {

struct LossAge {
  std::uint64_t round = 0;         // the one that is to be trained
  std::uint64_t cut_seq = 0;       // first event after it
  std::uint64_t round_events = 1;  // of a round, about
  std::uint64_t rounds_max = 0;    // an older loss is unknown; 0: none is too old
};

// The loss of each event of the sample, not a number where it is unknown. The age of a loss is counted in rounds: since
// the last one that replayed the event or, where none did, since it arrived.
void stored_losses(const ReplayMemory& memory, const ReplaySample& sample, const LossAge& age,
                   std::vector<float>& losses);

}  // namespace freshet
