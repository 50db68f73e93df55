// What an erasure did, and the way of one into a running pipeline.
//
// Threads: ErasureMailbox is thread-safe: any thread posts, ingest takes.  Owns: the requests that wait, at most
// kRequestsMax.  Failure: a request that the pipeline cannot serve in time is told so; what was recorded is done
// anyway.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
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

class ErasureMailbox {
 public:
  static constexpr std::size_t kRequestsMax = 16;

  struct Request {
    std::vector<std::uint64_t> key_hashes;
    std::optional<Result<ErasureReport>> outcome;
  };

  // Posts a request and waits for its outcome: kUnavailable when none came in time, or when the mailbox is closed.
  Result<ErasureReport> post(std::vector<std::uint64_t> key_hashes, std::chrono::milliseconds timeout);

  std::vector<std::shared_ptr<Request>> take();
  void answer(Request& request, Result<ErasureReport> outcome);
  // Opened by ingest while it can serve; closing answers what waits.
  void open();
  void close();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Request>> waiting_;
  bool open_ = false;
};

}  // namespace freshet
