// What an erasure did, and the way of one into a running pipeline.
//
// Threads: values; for the mailbox see mailbox.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "daemon/pipeline/mailbox.h"
#include "storage/store.h"

namespace freshet {

struct ErasureReport {
  std::uint64_t through_id = 0;     // the last erasure that was done; 0: none
  std::uint64_t keys = 0;           // erasures, a key each
  std::vector<std::uint64_t> seqs;  // of the stored events that went, ascending
  std::uint64_t memory_events = 0;  // of them in the replay memory
  std::uint64_t held_out_events = 0;
  std::uint64_t waiting_rows = 0;         // of them in the round that had been cut and was not trained yet
  std::vector<CheckpointInfo> learnt_by;  // checkpoints that had seen them; they are gone with the events
  bool durable = false;                   // the checkpoint without them is written
};

// kResourceExhausted when the checkpoint without the events could not be written.
Status check_durable(const ErasureReport& report);

// {"keys", "events", "memory_events", "held_out_events", "waiting_rows", "durable", "learnt_by": {ID: {"seq", "round",
// "model_version"}}}.
std::string to_json(const ErasureReport& report);

using ErasureMailbox = Mailbox<std::vector<std::uint64_t>, ErasureReport>;  // hashes of keys

}  // namespace freshet
