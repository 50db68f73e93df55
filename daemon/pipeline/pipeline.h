// Pipeline: the way of an event, from a source to a better model. The daemon, the demo and the backtest run this one.
//
//   source -> encode -> predict with the served model, score -> append -> remember -> (cut) -> train -> publish
//
// A round is cut after `learning.round.every_events` events or `learning.round.every`. With `go_live: next_cut` the
// model of a round goes live when the next round is cut, with `when_ready` as soon as it is made; either way the
// position is recorded before it takes effect, so that the recorded order can be redone. After a restart, `run` first
// redoes the log from the last checkpoint, with the recorded cuts and go-live positions, and then goes on from the
// source.
//
// Threads: `open`, `run` and `finish` from one thread (ingest); `snapshot` and `adopt` from any.
// Owns: ingest state, learner, trainer thread. Borrows everything in PipelineParts, which must outlive it.
// Failure: full disk and a broker that is away are waited out, with a log line and a metric; what cannot pass (data
// loss, a source that is gone for good) ends `run` with its Status, with everything durable so far kept.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/event_record.h"
#include "core/log.h"
#include "core/metrics.h"
#include "daemon/config/config.h"
#include "daemon/pipeline/erasure.h"
#include "daemon/pipeline/frozen_baseline.h"
#include "daemon/pipeline/gate.h"
#include "daemon/pipeline/held_out_scores.h"
#include "daemon/pipeline/ingest_state.h"
#include "daemon/pipeline/mailbox.h"
#include "daemon/pipeline/pipeline_metrics.h"
#include "daemon/pipeline/publishing.h"
#include "daemon/pipeline/round_log.h"
#include "daemon/pipeline/studies.h"
#include "daemon/pipeline/trainer_thread.h"
#include "serving/model_slot.h"
#include "storage/store.h"
#include "stream/event_source.h"

namespace freshet {

class Pipeline;

// Redoes what is recorded in memory alone, for comparing: nothing is written, the source is not asked.
struct RedoOnly {
  // Where to begin: after this checkpoint; 0: at event 1 with an untrained model.
  std::uint64_t from_checkpoint = 0;
  // Called wherever a checkpoint may stand: after the cut of a round and before its training, and when a round's model
  // went live while the trainer rests.
  std::function<Status(Pipeline&, std::uint64_t seq, std::uint64_t order_index)> at_rest;
  std::function<void(std::uint64_t seq)> redone;  // now and then: up to which event
};

struct PipelineOptions {
  // Above 0: the model served after this many events is kept and scored beside the live one.
  std::uint64_t baseline_after_events = 0;
  // Above 0: the windowed measures are kept every so many events, for curves.
  std::uint64_t history_every_events = 0;
  // Called on the ingest thread with a confirmed change, as JSON; not in a redo. Must not wait.
  std::function<void(std::string_view json)> on_drift;
  // Called on the ingest thread with each batch and what the served model said of its rows; not in a redo.
  std::function<void(const EventBatch& events, const Predictions& predictions, std::uint64_t version)> on_scored;
  bool score_held_out = false;        // held-out events, as they come, have an evaluation of their own
  std::optional<RedoOnly> redo_only;  // then `redo_log` instead of `run`
};

struct HistoryPoint {
  std::uint64_t events = 0;
  std::int64_t event_time_ms = 0;
  std::vector<MetricValue> window;
};

struct PipelineParts {
  Store& store;
  EventSource& source;
  ModelSlot& slot;
  const Clock& clock;
  Log& log;
  MetricsRegistry& metrics;
};

// What a display or a status page shows; a consistent copy.
struct PipelineSnapshot {
  std::uint64_t events = 0;
  std::uint64_t skipped = 0;
  std::uint64_t rounds = 0;
  std::uint64_t swaps = 0;
  std::uint64_t served_version = 1;
  std::uint64_t memory_events = 0;
  double trainer_cpu_seconds = 0;  // since the start, of the trainer's thread
  std::uint64_t restored = 0;      // times that training went back to a good state, since the start
  bool sifts = false;
  SiftingTotals sifting;           // of the whole run
  std::int64_t event_time_ms = 0;  // of the newest event
  bool redoing = false;            // still redoing the log after a restart
  EvaluationReport evaluation;     // served model
  EvaluationReport held_out;       // of it the held-out events, with PipelineOptions::score_held_out
  BaselineReport baseline;
  ForgettingReport forgetting;
  DriftReport drift;
  GateReport gate;
  TuningReport tuning;
  std::vector<std::string> slice_names;  // by slice number
  std::vector<ScoreRow> slice_scores;    // kept rounds
  std::vector<OwnMeasure> own_measures;  // the model's own, on the held-out events, when last scored since the start
  std::vector<HistoryPoint> history;
};

class Pipeline {
 public:
  static Result<std::unique_ptr<Pipeline>> open(const Config& config, const Schema& schema,
                                                const PipelineOptions& options, PipelineParts parts);
  ~Pipeline();

  // Redoes the log, then learns from the source until it ends or `stop` turns true.
  Status run(const std::atomic<bool>& stop);

  // With PipelineOptions::redo_only: redoes the log to its end.
  Status redo_log(const std::atomic<bool>& stop);

  // Trains on what is left of the last round and makes it live. Not while `run` is going on.
  Status settle();
  // The same, and checkpoints: the end of a backtest.
  Status finish();

  // The served model and `candidate` on the held-out events stored for the gate, or else on those for forgetting.
  Result<HeldOutComparison> compare_on_held_out(const Predictor& candidate);
  // The served model on all stored held-out events of the forgetting sets.
  Result<EvaluationReport> score_held_out();
  // After settle(): from now on the average that `state` holds (StateAverage::take(), saved) of `states` states is
  // served, until the next round's model goes live. Training goes on from its own weights. Recorded and in a checkpoint
  // when it returns ok; before that the store's checkpoints are as they were.
  Status serve_average(std::string state, std::uint64_t states);

  // Forgets the stored events of these keys: cuts a round, and returns once the checkpoint without them is written
  // (report.durable), or recorded that it is still to be done (a full disk). Not while `run` is going on.
  Result<ErasureReport> erase_now(std::span<const std::uint64_t> key_hashes);
  // The same, from any thread while `run` is going on.
  Result<ErasureReport> erase(std::vector<std::uint64_t> key_hashes, std::chrono::milliseconds timeout);

  // What an operator asks of publishing; answered once it is durable and done. From any thread while `run` is going on.
  Result<PublishingAnswer> control_publishing(PublishingRequest request, std::chrono::milliseconds timeout);

  // Takes over what may change while running: learning.round.every and checkpoint.every. From any thread.
  void adopt(const Config& config);

  // With the settings that a study found and this run took over.
  const Config& config_in_force() const { return studies_->in_force(); }

  PipelineSnapshot snapshot() const;
  const FeatureEncoding& encoding() const { return *state_->encoder; }
  // Exact bytes of the learner's state, for comparing two runs. Not while `run` is going on.
  std::string learner_bytes() const;
  // Of all that recovery must bring back, as of now; waits for the round in training, whose model does not go live by
  // that. Not while `run` is going on.
  Result<StateHash> state_hash();

 private:
  Pipeline(const Config& config, const Schema& schema, const PipelineOptions& options, PipelineParts parts);
  Status restore();
  Status redo();
  Status redo_events(std::uint64_t last_seq);
  void compare_machine(const Checkpoint& checkpoint) const;
  Status reload_last_round(const ErasedKeys* but = nullptr);
  Result<std::optional<Checkpoint>> starting_point();
  void compare_options(const Checkpoint& checkpoint) const;
  void make_room_for_rounds(const std::vector<IndexedOrderEntry>& entries);
  Result<std::shared_ptr<const Predictor>> averaged_model() const;
  Status redo_served_average(std::uint64_t index);
  Status rest();

  Status learn_from_source();
  Status ingest(const EventBatch& batch);
  Status acknowledge_dead_letters(const EventBatch& batch);
  Status learn_rows(const EventBatch& batch);
  void tell_drift();
  Status append_waiting_for_room(const AppendBatch& append);
  bool stopping() const { return stop_ != nullptr && *stop_; }
  void remember(const EventBatch& batch, std::size_t base);
  void drop_held_out(std::size_t base, std::size_t rows);

  bool cut_due() const;
  Status cut(bool record, bool erase_all = false);
  std::vector<Erasure> erasures_due(bool all) const;
  Status record_cut(std::span<const Erasure> due);
  Status note_redone_erasures(const OrderEntry& entry);
  Status apply_erasures(std::span<const Erasure> due);
  void note_learnt_by();
  void erasures_saved();
  Result<ErasureReport> erase_requested();
  Status serve_erasures();
  // What the log says of a candidate that a redo makes again.
  enum class Recorded : std::uint8_t { kNot, kWentLive, kRejected };
  Status collect(Recorded recorded = Recorded::kNot);
  Result<bool> judge(const std::shared_ptr<const Predictor>& candidate, std::uint64_t round, Recorded recorded);
  Status watch_served(bool record, std::uint64_t recorded_rollback = 0);
  Status give_way(std::uint64_t worse_version, std::uint64_t to);
  void go_live(std::shared_ptr<const Predictor> model, bool again = false);
  GateRows gate_rows(std::uint64_t round) const;
  bool candidate_ready();
  void serve_publishing();
  Result<PublishingAnswer> publish_as_asked(const PublishingRequest& request);
  Result<std::uint64_t> version_meant(const PublishingRequest& request) const;
  std::shared_ptr<const Predictor> version_at_hand(std::uint64_t version) const;
  void apply_publishing(const PublishingRequest& request);
  Studies::Moment moment() const { return {*state_, *learner_, stop_}; }
  Status tune_at_cut(bool record);
  Status redo_tuning(const OrderEntry& entry);
  Status record_order(OrderKind kind, std::uint64_t round, std::uint64_t version);
  bool checkpoint_due() const;
  Status checkpoint();
  using Blobs = std::map<std::string, std::string, std::less<>>;
  Result<Blobs> saved_parts() const;
  Status save_publishing(Blobs& parts) const;
  Status restore_publishing(const Checkpoint* checkpoint);
  StateHash hash_of(const Blobs& parts);
  void expire_old_events();
  void start_round();
  Status score_slices(const Predictor& model, std::uint64_t round);
  Result<double> score_slice(const Predictor& model, std::uint32_t slice);
  Status score_new_slices();
  Status measure_itself(const Predictor& model);
  void update_snapshot();
  void update_snapshot_now_and_then();
  std::uint64_t gathered() const { return state_->counters.next_seq - state_->counters.cut_seq; }

  const Config config_;
  std::atomic<std::int64_t> round_every_ms_;
  std::atomic<std::int64_t> checkpoint_every_ms_;
  const PipelineOptions options_;
  const Schema schema_;
  PipelineParts parts_;
  PipelineMetrics metrics_;
  RoundLog round_log_;
  std::unique_ptr<IngestState> state_;
  std::unique_ptr<EventRecordCodec> codec_;
  std::unique_ptr<Learner> learner_;
  std::unique_ptr<Gate> gate_;
  std::shared_ptr<const Predictor> made_;           // the candidate of the last round
  bool learner_has_made_ = true;                    // its state gives it again: no round failed since
  std::unique_ptr<Studies> studies_;                // changes the learner, and which settings it has
  std::string served_average_;                      // a learner's state; empty: the last round's model is served
  std::unique_ptr<FrozenBaseline> baseline_;        // null unless configured
  std::unique_ptr<HeldOutScores> held_out_scores_;  // null unless configured
  std::unique_ptr<TrainerThread> trainer_;          // the destructor ends it before anything else goes

  EventBatch batch_;
  EncodedBatch gathering_;    // the round being gathered
  EncodedBatch training_;     // the round in training
  RoundValues round_values_;  // of the round before; kept for what it has allocated
  Predictions predictions_;
  std::vector<std::uint8_t> held_out_;  // of the batch at hand, a row each: its Purpose; 0 is training
  std::vector<std::uint32_t> row_slices_;
  std::vector<std::uint64_t> released_;  // seqs that the memory let go
  std::string records_;
  std::uint64_t gathering_slices_ = 0;  // a bit for each slice with fresh events in the round
  std::uint64_t training_slices_ = 0;
  std::vector<DriftNotice> drift_found_;  // in the batch at hand
  bool cut_now_ = false;                  // a confirmed change ends the round
  EncodedBatch slice_rows_;
  std::int64_t last_snapshot_ns_ = 0;
  std::int64_t last_cut_ns_ = 0;
  std::int64_t candidate_since_ns_ = 0;  // when a round was first seen done; 0: none is
  std::int64_t last_checkpoint_ns_ = 0;
  std::uint64_t last_checkpoint_seq_ = 0;
  std::uint64_t skipped_ = 0;
  std::int64_t trainer_cpu_ns_ = 0;
  std::uint64_t restored_ = 0;
  SiftingTotals sifting_;
  std::int64_t event_time_ms_ = 0;
  std::vector<HistoryPoint> history_;
  std::vector<OwnMeasure> own_measures_;
  const std::atomic<bool>* stop_ = nullptr;  // of the current run
  bool redoing_ = false;
  std::vector<Erasure> redo_erasures_;  // of the cut that comes next in the log being redone
  ErasureReport unsaved_erasures_;      // done since the last checkpoint
  ErasureReport erased_;                // done by the last checkpoint that did any
  ErasureMailbox erasure_mailbox_;
  Mailbox<PublishingRequest, PublishingAnswer> publishing_mailbox_;

  mutable std::mutex snapshot_mutex_;
  PipelineSnapshot snapshot_;
};

}  // namespace freshet
