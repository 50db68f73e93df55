// IngestState: all that the ingest thread knows and a checkpoint keeps, apart from the learner: encoder statistics,
// replay memory, held-out sets, evaluation, generators and counters.
//
// Threads: ingest thread only (the encoder's read side is also used by serving, see FeatureEncoder).
// Owns: its parts.  Failure: blobs that do not parse are data_loss; the state is then unusable and must be thrown away.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/rng.h"
#include "daemon/config/config.h"
#include "daemon/pipeline/drift_response.h"
#include "learners/evaluation/forgetting.h"
#include "learners/evaluation/progressive_evaluation.h"
#include "learners/evaluation/slices.h"
#include "learners/features/feature_encoder.h"
#include "storage/held_out.h"
#include "storage/held_out_sample.h"
#include "storage/payload_garbage.h"
#include "storage/replay_memory.h"
#include "storage/state_hash.h"
#include "storage/store.h"

namespace freshet {

// Where the run stands. Rounds count from 1; the model made by round r is version r + 1; version 1 is the untrained
// one.
struct RunCounters {
  std::uint64_t next_seq = 1;         // sequence number of the next event
  std::uint64_t round_begin_seq = 1;  // first event of the round that was cut last
  std::uint64_t cut_seq = 1;          // where that round ends and the round being gathered begins
  std::uint64_t next_round = 1;
  std::uint64_t order_next = 0;  // index of the next order entry
  std::uint64_t served_version = 1;
  std::uint64_t swaps = 0;
  std::uint64_t rounds_failed = 0;
  bool round_waits = false;  // the round that was cut last has not been trained yet
};

// The first event that a checkpoint's state still takes from the log: that of the round which waits to be trained.
Result<std::uint64_t> first_event_needed(const Checkpoint& checkpoint);

class IngestState {
 public:
  static Result<std::unique_ptr<IngestState>> create(const Config& config, const Schema& schema);

  // What the memory is to keep with each event beside its own metadata; before load() and the first event.
  Status store_with_events(std::vector<MetadataColumn> columns);

  // Everything but the memory's slot table, which goes into a checkpoint by pages; garbage as it is after collecting.
  std::map<std::string, std::string, std::less<>> save() const;
  // Adds the parts of the state hash that are ours, but for the blobs: of the paged tables.
  void hash_pages(StateHash& hash);
  // Reads the slot table from the store as well.
  Status load(const Checkpoint& checkpoint, const Store& store);

  // Puts an event that is not for training where its purpose says.
  void hold_out(Purpose purpose, std::uint32_t slice, std::uint64_t seq, std::string_view record);

  RunCounters counters;
  Rng replay_rng;
  std::unique_ptr<FeatureEncoder> encoder;
  std::unique_ptr<ReplayMemory> memory;
  PayloadGarbage garbage;
  std::unique_ptr<HeldOutChoice> held_out_choice;
  std::unique_ptr<HeldOutSet> forgetting_set;
  std::unique_ptr<HeldOutSample> gating_set;
  std::unique_ptr<HeldOutSample> tuning_set;
  std::unique_ptr<Slices> slices;  // null: events have no slices
  std::unique_ptr<ProgressiveEvaluation> evaluation;
  std::unique_ptr<Forgetting> forgetting;
  std::unique_ptr<DriftResponse> drift;

 private:
  PageHashes page_hashes_;
  ReplayOptions memory_options_;
  Status load_held_out_samples(const Checkpoint& checkpoint);
  HeldOutShares shares_;
  explicit IngestState(std::uint64_t seed) : replay_rng(seed) {}
};

}  // namespace freshet
