// The part of Pipeline that brings a run back: restore from the last checkpoint, redo the log, write checkpoints.
#include <fmt/format.h>

#include <algorithm>

#include "core/hash.h"
#include "daemon/config/learning_config.h"
#include "daemon/pipeline/pipeline.h"
#include "daemon/pipeline/served_average.h"
#include "daemon/room_options.h"
#include "learners/device.h"

namespace freshet {
namespace {

constexpr std::size_t kRedoEvents = 1024;

std::string machine_description(const Config& config) {
  return fmt::format("{} thread(s), {}", config.learning.threads, cpu_capability());
}

}  // namespace

Status Pipeline::restore() {
  state_ = TRY(IngestState::create(config_, schema_));
  const EncodedLayout& layout = state_->encoder->layout();
  codec_ = std::make_unique<EventRecordCodec>(schema_, layout);
  const Device device = TRY(choose_device(config_.learning.device).with_context("learning.device"));
  parts_.log.info("device", fmt::format("training on {}: {}", device.name(), device.reason));
  const auto checkpoint = TRY(starting_point());
  const bool redo_only = options_.redo_only.has_value();
  studies_ =
      std::make_unique<Studies>(Studies::Parts{config_, schema_, parts_.store, parts_.log, parts_.metrics, redo_only});
  if (checkpoint) TRY(studies_->load(*checkpoint));
  const LearnerOptions options = TRY(learner_options(studies_->in_force(), schema_.spec()));
  learner_ = TRY(Learner::create(options, layout, device));
  TRY(state_->store_with_events(metadata_columns(learner_->stored_columns())));
  const std::size_t capacity = config_.learning.round.every_events;
  gathering_ = EncodedBatch(layout.dense(), layout.categorical(), capacity);
  training_ = EncodedBatch(layout.dense(), layout.categorical(), capacity);
  if (options_.baseline_after_events > 0) {
    baseline_ =
        std::make_unique<FrozenBaseline>(options_.baseline_after_events, evaluation_options(config_, schema_.spec()));
  }
  if (options_.score_held_out) {
    held_out_scores_ = std::make_unique<HeldOutScores>(evaluation_options(config_, schema_.spec()));
  }
  gate_ = std::make_unique<Gate>(gate_options(config_, schema_.spec()));
  if (checkpoint) {
    TRY(state_->load(*checkpoint, parts_.store).with_context("reading the checkpoint"));
    const auto found = checkpoint->blobs.find("learner");
    if (found == checkpoint->blobs.end()) return data_loss("the checkpoint has no model");
    ByteReader learner(found->second);
    TRY(learner_->load(learner).with_context("reading the checkpoint's model"));
    const auto average = checkpoint->blobs.find(kServedAverageBlob);
    if (average != checkpoint->blobs.end()) served_average_ = average->second;
    TRY(restore_publishing(&*checkpoint));
    compare_machine(*checkpoint);
    compare_options(*checkpoint);
    parts_.log.info("checkpoint_loaded", fmt::format("resuming after event {} with model version {}",
                                                     state_->counters.next_seq - 1, state_->counters.served_version));
  }
  sifting_ = learner_->sifting_totals();
  if (!learner_->stored_columns().empty()) state_->memory->follow_from(state_->counters.round_begin_seq);
  if (made_ == nullptr) TRY(restore_publishing(nullptr));
  metrics_.model_version.set(static_cast<double>(state_->counters.served_version));
  metrics_.live_since.set(static_cast<double>(parts_.clock.wall_ms()) * 1e-3);
  metrics_.replay_capacity.set(static_cast<double>(state_->memory->capacity()));
  studies_->begin_anew(device);
  if (checkpoint) TRY(studies_->resume(*checkpoint, *state_, device, *learner_));
  trainer_ = std::make_unique<TrainerThread>(*learner_, parts_.store, *codec_, layout, parts_.clock);
  update_snapshot();
  return Status::ok();
}

// The round that was cut just before the checkpoint has not been trained yet: its rows are read back as encoded then,
// but for those that are being erased.
Status Pipeline::reload_last_round(const ErasedKeys* but) {
  training_.clear();
  training_slices_ = 0;
  const RunCounters& counters = state_->counters;
  return parts_.store.scan(counters.round_begin_seq, counters.cut_seq - 1,
                           [&](std::uint64_t seq, std::string_view record) -> Status {
                             if (but != nullptr && but->covers(record_key_hash(record), seq)) return Status::ok();
                             const std::size_t row = training_.size();
                             training_.resize(row + 1);
                             TRY(codec_->decode_encoded(record, training_, row));
                             training_.seqs[row] = seq;
                             if (state_->held_out_choice->purpose_of(training_.key_hashes[row]) != Purpose::kTraining) {
                               training_.resize(row);
                               return Status::ok();
                             }
                             const std::uint32_t slice = TRY(codec_->slice_of(record));
                             if (slice < kSlicesMax) training_slices_ |= std::uint64_t{1} << slice;
                             return Status::ok();
                           });
}

Status Pipeline::redo() {
  const std::uint64_t last_seq = parts_.store.last_seq();
  const auto entries = TRY(parts_.store.order_since(state_->counters.order_next));
  if (last_seq == 0) return Status::ok();
  make_room_for_rounds(entries);
  redoing_ = true;
  metrics_.redoing.set(1);
  const std::uint64_t begin_seq = state_->counters.next_seq;
  parts_.log.info("redo_begins", fmt::format("redoing {} events and {} order entries of the log",
                                             last_seq + 1 - begin_seq, entries.size()));
  if (state_->counters.round_waits) {
    TRY(reload_last_round());
    start_round();
  }
  for (const auto& [index, entry] : entries) {
    TRY(redo_events(entry.seq));
    if (stopping()) return Status::ok();
    ++state_->counters.order_next;
    switch (entry.kind) {
      case OrderKind::kGoLive:
        if (trainer_->busy()) TRY(collect(Recorded::kWentLive));
        break;
      case OrderKind::kRejected:
        if (trainer_->busy()) TRY(collect(Recorded::kRejected));
        break;
      case OrderKind::kRolledBack:
        TRY(watch_served(false, entry.model_version));
        break;
      case OrderKind::kPublishing:
        apply_publishing({static_cast<PublishingAction>(entry.round), entry.model_version});
        break;
      case OrderKind::kErase:
        TRY(note_redone_erasures(entry));
        break;
      case OrderKind::kRoundCut:
        TRY(cut(false));
        break;
      case OrderKind::kServeAverage:
        TRY(redo_served_average(index));
        break;
      case OrderKind::kStudyBegins:
      case OrderKind::kStudyEnds:
      case OrderKind::kChallengerEnds:
        TRY(redo_tuning(entry));
        break;
    }
    if (!trainer_->busy()) TRY(rest());
  }
  TRY(redo_events(last_seq));
  if (stopping()) return Status::ok();
  redoing_ = false;
  metrics_.redoing.set(0);
  update_snapshot();
  parts_.log.info("redo_done", fmt::format("redid events {} to {}; model version {} is live", begin_seq, last_seq,
                                           state_->counters.served_version));
  return Status::ok();
}

Status Pipeline::redo_events(std::uint64_t last_seq) {
  while (state_->counters.next_seq <= last_seq && !stopping()) {
    const std::uint64_t begin = state_->counters.next_seq;
    const std::uint64_t end = std::min<std::uint64_t>(last_seq, begin + kRedoEvents - 1);
    batch_.clear();
    records_.clear();
    TRY(parts_.store.scan(begin, end, [&](std::uint64_t, std::string_view record) {
      records_.append(record);
      return codec_->decode_raw(record, batch_);
    }));
    if (batch_.size() != end + 1 - begin) {
      return data_loss(fmt::format("the event log lacks {} of the events {} to {}; restore a backup, or start anew",
                                   end + 1 - begin - batch_.size(), begin, end));
    }
    const std::size_t base = gathering_.size();
    TRY(learn_rows(batch_));
    remember(batch_, base);
    drift_found_.clear();
    if (options_.redo_only && options_.redo_only->redone) options_.redo_only->redone(end);
  }
  return Status::ok();
}

Status Pipeline::redo_log(const std::atomic<bool>& stop) {
  if (!options_.redo_only) abort_with("redo_log of a pipeline that was opened to learn");
  stop_ = &stop;
  TRY(rest());
  TRY(redo());
  return stop ? cancelled("interrupted") : Status::ok();
}

// A checkpoint could stand here.
Status Pipeline::rest() {
  if (!options_.redo_only || !options_.redo_only->at_rest) return Status::ok();
  return options_.redo_only->at_rest(*this, state_->counters.next_seq - 1, state_->counters.order_next);
}

// Rounds that were recorded under another learning.round.every_events may be longer than those to come.
void Pipeline::make_room_for_rounds(const std::vector<IndexedOrderEntry>& entries) {
  const RunCounters& counters = state_->counters;
  std::uint64_t longest = counters.cut_seq - counters.round_begin_seq;
  std::uint64_t begin = counters.cut_seq;
  for (const auto& [index, entry] : entries) {
    if (entry.kind != OrderKind::kRoundCut) continue;
    longest = std::max(longest, entry.seq + 1 - begin);
    begin = entry.seq + 1;
  }
  longest = std::max(longest, parts_.store.last_seq() + 1 - begin);
  if (longest <= gathering_.capacity()) return;
  const EncodedLayout& layout = state_->encoder->layout();
  gathering_ = EncodedBatch(layout.dense(), layout.categorical(), longest);
  training_ = EncodedBatch(layout.dense(), layout.categorical(), longest);
}

bool Pipeline::checkpoint_due() const {
  const std::int64_t every_ms = checkpoint_every_ms_;
  if (every_ms > 0) return parts_.clock.monotonic_ns() - last_checkpoint_ns_ >= every_ms * 1'000'000;
  return state_->counters.next_seq - last_checkpoint_seq_ >= config_.checkpoint.every_events;
}

Result<std::optional<Checkpoint>> Pipeline::starting_point() {
  if (!options_.redo_only) return parts_.store.latest_checkpoint();
  if (options_.redo_only->from_checkpoint == 0) return std::optional<Checkpoint>();
  return std::optional<Checkpoint>(TRY(parts_.store.read_checkpoint(options_.redo_only->from_checkpoint)));
}

// A changed option is taken up where the checkpoint stands: what was learnt after it is redone with the new value.
void Pipeline::compare_options(const Checkpoint& checkpoint) const {
  const auto found = checkpoint.blobs.find(kConfigBlob);
  if (found == checkpoint.blobs.end() || options_.redo_only) return;
  const auto before = parse_learning_config(found->second);
  if (!before.is_ok()) return;  // options of another version
  const std::string changes = learning_differences(*before, config_);
  if (changes.empty()) return;
  parts_.log.warning("options_changed",
                     fmt::format("since the checkpoint these options changed: {}; the model goes on with the new ones, "
                                 "from event {}",
                                 changes, checkpoint.info.seq + 1));
}

// Bit-identical continuation needs the same kernels and thread count; other machines continue, but say so.
void Pipeline::compare_machine(const Checkpoint& checkpoint) const {
  const auto found = checkpoint.blobs.find("machine");
  const std::string now = machine_description(config_);
  if (found == checkpoint.blobs.end() || found->second == now) return;
  parts_.log.warning(
      "machine_differs",
      fmt::format("the checkpoint was written with {}, this run has {}: the model goes on, but not to the "
                  "bit as it would have there",
                  found->second, now));
}

Result<Pipeline::Blobs> Pipeline::saved_parts() const {
  Blobs parts = state_->save();
  ByteWriter learner;
  TRY(learner_->save(learner).with_context("saving the model"));
  parts["learner"] = learner.take();
  studies_->save(parts);
  if (!served_average_.empty()) parts[std::string(kServedAverageBlob)] = served_average_;
  TRY(save_publishing(parts));
  return parts;
}

// Which payloads wait to be deleted depends on when checkpoints were written, and on nothing else does their state.
StateHash Pipeline::hash_of(const Blobs& parts) {
  StateHash hash;
  for (const auto& [name, bytes] : parts) {
    if (name != kGarbageBlob) hash.set(name, hash_text(bytes));
  }
  state_->hash_pages(hash);
  return hash;
}

Result<StateHash> Pipeline::state_hash() {
  trainer_->wait_done();
  const Blobs parts = TRY(saved_parts());
  return hash_of(parts);
}

// The trainer is idle; the last round is cut but not started, so its rows must stay in the log.
Status Pipeline::checkpoint() {
  const std::int64_t begin = parts_.clock.monotonic_ns();
  const RunCounters& counters = state_->counters;
  const auto garbage = state_->garbage.collect(counters.round_begin_seq - 1);
  Blobs parts = TRY(saved_parts());
  parts[std::string(kStateHashBlob)] = encode_state_hash(hash_of(parts));
  parts["machine"] = machine_description(config_);
  parts[std::string(kConfigBlob)] = learning_config_text(config_);
  std::vector<CheckpointBlob> blobs;
  for (const auto& [name, bytes] : parts) blobs.push_back({name, bytes});
  note_learnt_by();
  CheckpointWrite write;
  write.erasures_through = unsaved_erasures_.through_id;
  write.erased = unsaved_erasures_.seqs;
  write.seq = counters.next_seq - 1;
  write.order_index = counters.order_next;
  write.round = counters.next_round - 1;
  write.model_version = counters.served_version;
  write.wall_ms = parts_.clock.wall_ms();
  write.blobs = blobs;
  write.visit_pages = [this](const std::function<void(const CheckpointPage&)>& put) {
    state_->memory->dirty_pages([&](std::uint32_t space, std::uint64_t index, std::string_view bytes) {
      put({space, index, bytes});
    });
  };
  write.garbage = garbage;
  write.order_keep_from = counters.order_next;
  const auto written = parts_.store.checkpoint(write);
  last_checkpoint_ns_ = parts_.clock.monotonic_ns();
  if (!written.is_ok()) {
    state_->garbage.put_back(garbage);
    const bool may_pass = written.code() == Code::kResourceExhausted || written.code() == Code::kUnavailable;
    if (!may_pass) return written.status();
    parts_.log.error("checkpoint_failed", fmt::format("{}; learning goes on, the next try is in {} ms",
                                                      written.status().message(), checkpoint_every_ms_.load()));
    return Status::ok();
  }
  state_->memory->clear_dirty();
  if (unsaved_erasures_.through_id != 0) TRY(studies_->erased());
  erasures_saved();
  parts_.source.committed(parts_.store.synced_positions());
  last_checkpoint_seq_ = counters.next_seq;
  metrics_.checkpoint_seconds.observe(static_cast<double>(last_checkpoint_ns_ - begin) * 1e-9);
  return Status::ok();
}

}  // namespace freshet
