// TrainerThread: runs one training round at a time beside ingest and hands the candidate back.
//
// The ingest thread gives it a round at a cut and collects the result at the next one (or sooner). Between `wait` and
// the next `start` the trainer is idle, which is when the learner may be checkpointed.
//
// Threads: start, done and wait from the ingest thread only; the round runs on the trainer's own thread.
// Owns: the thread and the buffer of replayed rows. Borrows the learner, the store and the fresh rows of a round, which
// must stay untouched until `wait` has returned.
// Failure: a round that fails gives its Status back in the result; the learner then stands as before its last step.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/encoded_batch.h"
#include "core/event_record.h"
#include "core/predictor.h"
#include "daemon/pipeline/round_values.h"
#include "learners/training/learner.h"
#include "storage/replay_memory.h"
#include "storage/store.h"

namespace freshet {

struct RoundJob {
  std::uint64_t round = 0;
  std::uint64_t version = 0;            // of the candidate that this round makes
  const EncodedBatch* fresh = nullptr;  // held-out rows already left out
  ReplaySample replay;                  // drawn at the cut, in any order
  std::vector<float> replay_losses;     // known of each of them, for sifting; empty without it
  bool in_pieces = false;               // replay is the whole memory, to be read as training goes through it
  float rate_factor = 1;                // of the learning rate
  RoundValues values;                   // what is stored of them, and room for the fresh rows'
  Learner* challenger = nullptr;        // learns from the same rows after the learner; null: there is none
};

struct RoundResult {
  Status status;
  std::uint64_t round = 0;
  RoundReport report;
  ReplaySample replay;                         // of the job, less what was sifted out
  std::vector<float> replay_losses;            // of each of them as it was trained on; not a number: it was not
  RoundValues values;                          // as in the job, with what is to be stored of the fresh rows
  std::shared_ptr<const Predictor> candidate;  // null when the round failed
  Status challenger_status;
  std::shared_ptr<const Predictor> challenger;  // what it made of the round; null: there is none, or it failed
  std::int64_t duration_ns = 0;
  std::int64_t cpu_ns = 0;  // of the trainer's own thread
  std::int64_t replay_read_ns = 0;
};

class TrainerThread {
 public:
  TrainerThread(Learner& learner, const Store& store, const EventRecordCodec& codec, const EncodedLayout& layout,
                const Clock& clock);
  ~TrainerThread();
  TrainerThread(const TrainerThread&) = delete;
  TrainerThread& operator=(const TrainerThread&) = delete;

  // The trainer must be idle.
  void use(Learner& learner);  // from now on
  void start(RoundJob job);
  bool busy() const;  // a round was started and its result not collected
  bool done() const;  // its result is there
  // Returns once no round is running; the result stays to be collected.
  void wait_done() const;
  // Waits for the round's result; the trainer must be busy.
  RoundResult wait();

 private:
  void loop();
  RoundResult run(RoundJob& job);
  void train_challenger(RoundJob& job, RoundInput input, RoundResult& result);
  Result<const KeptRows*> sift(RoundJob& job);
  class PieceReader;
  Status read_rows(std::span<const std::uint64_t> seqs, EncodedBatch& into);
  Status read_rows_patiently(std::span<const std::uint64_t> seqs, EncodedBatch& into);

  Learner* learner_;
  const Store& store_;
  const EventRecordCodec& codec_;
  const Clock& clock_;
  EncodedLayout layout_;
  EncodedBatch replay_;
  std::vector<std::span<float>> stored_;  // views of the round's values
  std::vector<std::span<float>> to_store_;
  std::vector<float> challenger_losses_;  // written and not read, as what the challenger would store
  std::vector<std::vector<float>> challenger_values_;
  std::vector<std::span<float>> challenger_to_store_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::optional<RoundJob> job_;
  std::optional<RoundResult> result_;
  bool busy_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace freshet
