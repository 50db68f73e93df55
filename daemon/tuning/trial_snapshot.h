// TrialSnapshot: what the trials of a study learn from and are judged by: events of the replay memory as they were
// encoded when they came, in the order in which they came, and held-out events.
//
// Taken after a change of the stream, it knows which events came since: trials are then judged by how well they follow
// it, event by event. Else held-out events judge; where the stream keeps none back for tuning
// (evaluation.held_out.tuning_share), the newest tenth of the snapshot is kept from training and judges.
//
// Threads: made by one, then read by any.  Owns: copies of all rows, in main memory: `events_max` bounds them.
// Failure: kFailedPrecondition where there is too little to learn from; data_loss for damaged records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/encoded_batch.h"
#include "core/event_record.h"
#include "core/feature_spec.h"
#include "daemon/config/config.h"
#include "daemon/pipeline/ingest_state.h"
#include "storage/store.h"

namespace freshet {

inline constexpr std::size_t kSnapshotEventsMin = 200;
inline constexpr std::size_t kEventsSinceChangeMin = 500;

struct TrialSnapshot {
  EventSpec spec;
  EncodedLayout layout;
  EncodedBatch training;             // by seq
  EncodedBatch judging;              // recent held-out events
  std::vector<EncodedBatch> slices;  // held-out events of each slice that has any: what forgetting is measured on
  bool judged_by_newest = false;     // `judging` is the newest tenth
  // Rows [since_change, size) of `training` came since the change; size() or more where none is known, or too few came.
  std::size_t since_change = SIZE_MAX;
  // Events of the stream for each of these rows; 1 where the memory has all of them.
  double events_a_row = 1;

  bool knows_change() const { return since_change < training.size(); }
};

// Of what a running pipeline holds: `memory`, `forgetting_set` and `tuning_set` of `state`.
// events_max: of a larger memory a uniform sample is taken, the same for the same seed; of the events since a change
// all are, up to half of so many.
struct SnapshotPlan {
  std::uint64_t events_max = 0;
  std::uint64_t seed = 1;
  std::uint64_t change_seq = 0;  // the first event after the change; 0: none is known
};
Result<TrialSnapshot> take_snapshot(const IngestState& state, const Store& store, const EventSpec& spec,
                                    const SnapshotPlan& plan);

// How many of the memory's events are this one or came after it.
std::size_t events_since(const ReplayMemory& memory, std::uint64_t seq);

// Of the newest checkpoint of a store, which a daemon may go on writing to.
Result<TrialSnapshot> read_snapshot(const Config& config, Store& store, const SnapshotPlan& plan);

// All but spec and layout, which are the store's.
void save(const TrialSnapshot& snapshot, ByteWriter& out);
Result<TrialSnapshot> load_snapshot(ByteReader& in, const EventSpec& spec, const EncodedLayout& layout);

// What a study's data is like, for finding earlier studies that are alike: logarithms of the number of events and of
// their rate; mean and spread of the label, of the loss under the models that were served, and of the first dense
// features.
std::vector<double> meta_features(const TrialSnapshot& snapshot);

}  // namespace freshet
