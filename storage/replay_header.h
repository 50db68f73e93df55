// The first part of the replay memory's header, which `freshet state inspect` shows without loading the slots.
//
// Threads: pure functions.  Failure: a header that is cut short is kDataLoss, one of a newer format
// kFailedPrecondition.
#pragma once

#include <cstdint>

#include "core/bytes.h"
#include "core/status.h"
#include "storage/replay_memory.h"

namespace freshet {

// Format 1 knew no capacity in bytes, no sampling but uniform and no metadata; it is still read.
inline constexpr std::uint32_t kReplayHeaderFormat = 2;

struct ReplayHeader {
  std::uint32_t format = 0;
  ReplaySummary summary;
};
void write_replay_header(const ReplaySummary& summary, ByteWriter& writer);
Result<ReplayHeader> read_replay_header(ByteReader& reader);

}  // namespace freshet
