#include "daemon/pipeline/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "core/json_writer.h"
#include "daemon/pipeline/stored_losses.h"

namespace freshet {
namespace {

constexpr std::size_t kBatchEvents = 1024;
constexpr std::chrono::milliseconds kSourceWait{20};
constexpr std::chrono::milliseconds kRetryStep{50};
constexpr std::chrono::seconds kDeadLetterWait{1};
constexpr std::int64_t kStoreRetryNs = 1'000'000'000;
constexpr std::int64_t kSnapshotEveryNs = 250'000'000;

// Leaves the events from `seq` on in a sample.
void drop_before(std::uint64_t seq, ReplaySample& sample) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < sample.seqs.size(); ++i) {
    if (sample.seqs[i] < seq) continue;
    sample.seqs[kept] = sample.seqs[i];
    sample.slots[kept++] = sample.slots[i];
  }
  sample.seqs.resize(kept);
  sample.slots.resize(kept);
}

std::span<const float> rows_of(const std::vector<float>& column, std::size_t begin, std::size_t rows) {
  return {column.data() + begin, rows};
}

}  // namespace

Pipeline::Pipeline(const Config& config, const Schema& schema, const PipelineOptions& options, PipelineParts parts)
    : config_(config),
      round_every_ms_(config.learning.round.every_ms),
      checkpoint_every_ms_(config.checkpoint.every_ms),
      options_(options),
      schema_(schema),
      parts_(parts),
      metrics_(parts.metrics),
      round_log_(parts.log, parts.clock),
      batch_(schema_, kBatchEvents),
      held_out_(kBatchEvents),
      row_slices_(kBatchEvents) {}

// A stop may leave a round in training: its thread must end before the rows that it reads go.
Pipeline::~Pipeline() { trainer_.reset(); }

Result<std::unique_ptr<Pipeline>> Pipeline::open(const Config& config, const Schema& schema,
                                                 const PipelineOptions& options, PipelineParts parts) {
  std::unique_ptr<Pipeline> pipeline(new Pipeline(config, schema, options, parts));
  TRY(pipeline->restore());
  return pipeline;
}

Status Pipeline::run(const std::atomic<bool>& stop) {
  stop_ = &stop;
  Status status = redo();
  if (status.is_ok() && !stop) {
    erasure_mailbox_.open();
    publishing_mailbox_.open();
    status = learn_from_source();
    publishing_mailbox_.close();
    erasure_mailbox_.close();
  }
  update_snapshot();
  // Being stopped while waiting for room or for a broker is no failure: a restart takes up what was not recorded.
  return stop && status.code() == Code::kCancelled ? Status::ok() : status;
}

Status Pipeline::learn_from_source() {
  NextOffsets next_offsets;
  for (const PartitionLedger& ledger : parts_.store.ledger()) next_offsets[ledger.partition] = ledger.next_offset;
  TRY(parts_.source.start(next_offsets));
  last_cut_ns_ = last_checkpoint_ns_ = parts_.clock.monotonic_ns();
  while (!stopping()) {
    TRY(serve_erasures());
    serve_publishing();
    if (cut_due()) TRY(cut(true));
    if (config_.learning.round.go_live == setting::GoLive::kWhenReady && candidate_ready()) TRY(collect());
    const std::uint64_t room = config_.learning.round.every_events - gathered();
    const auto state = TRY(parts_.source.next(batch_, std::min<std::uint64_t>(kBatchEvents, room), kSourceWait));
    if (!batch_.empty()) TRY(ingest(batch_));
    update_snapshot_now_and_then();
    if (state == SourceState::kEnd) break;
  }
  return Status::ok();
}

Status Pipeline::acknowledge_dead_letters(const EventBatch& batch) {
  if (batch.dead_letter_ticket == 0) return Status::ok();
  while (!stopping()) {
    Status status = parts_.source.acknowledge_dead_letters(batch.dead_letter_ticket, kDeadLetterWait);
    if (status.code() != Code::kUnavailable) return status;
    parts_.log.warning("dead_letters_wait", fmt::format("{}; trying again", status.message()));
  }
  return cancelled("stopped before the dead letters were acknowledged; a restart reads their records again");
}

Status Pipeline::ingest(const EventBatch& batch) {
  TRY(acknowledge_dead_letters(batch));
  const std::size_t rows = batch.size();
  const std::size_t base = gathering_.size();
  TRY(learn_rows(batch));

  const std::size_t record_size = codec_->record_size();
  records_.resize(rows * record_size);
  for (std::size_t i = 0; i < rows; ++i) {
    codec_->encode(batch, i, gathering_, base + i, row_slices_[i], records_.data() + i * record_size);
  }
  AppendBatch append;
  append.first_seq = state_->counters.next_seq;
  append.records = records_;
  append.stride = record_size;
  append.positions = {batch.positions.data(), rows};
  append.value_hashes = {batch.value_hashes.data(), rows};
  append.skipped = batch.skipped;
  append.resets = batch.resets;
  TRY(append_waiting_for_room(append));
  remember(batch, base);
  tell_drift();
  metrics_.events.add(static_cast<double>(rows));
  skipped_ += batch.skipped.size();
  return Status::ok();
}

// Encodes, predicts and scores a batch's rows at the end of the round being gathered.
Status Pipeline::learn_rows(const EventBatch& batch) {
  const std::size_t rows = batch.size();
  if (rows == 0) return Status::ok();
  const std::size_t base = gathering_.size();
  for (std::size_t i = 0; i < rows; ++i) {
    held_out_[i] = static_cast<std::uint8_t>(state_->held_out_choice->purpose_of(batch.key_hashes[i]));
    row_slices_[i] = state_->slices ? state_->slices->slice_of(batch, i) : kNoSlice;
  }
  state_->encoder->encode_and_learn(batch, 0, rows, {held_out_.data(), rows}, gathering_, base);
  for (std::size_t i = 0; i < rows; ++i) gathering_.seqs[base + i] = state_->counters.next_seq + i;

  const auto served = parts_.slot.current();
  TRY(served->predict(gathering_, base, base + rows, predictions_).with_context("predicting fresh events"));
  state_->evaluation->add(predictions_, rows_of(gathering_.labels, base, rows), rows_of(gathering_.weights, base, rows),
                          served->version(), {gathering_.losses.data() + base, rows});
  if (options_.on_scored && !redoing_) options_.on_scored(batch, predictions_, served->version());
  TRY(state_->drift->observe(state_->counters.next_seq, gathering_, base, rows, predictions_));
  drift_found_ = state_->drift->found();
  studies_->note(drift_found_);
  for (const DriftNotice& notice : drift_found_) {
    if (notice.finding.kind == FindingKind::kConfirmed) gate_->note_change(notice.finding.position);
  }
  if (baseline_) {
    TRY(baseline_->observe(state_->counters.next_seq, served, batch, *state_->encoder, gathering_, base, predictions_));
  }
  return Status::ok();
}

// What was found in a batch that is in the log by now. A redo finds the same again and says nothing.
void Pipeline::tell_drift() {
  for (const DriftNotice& notice : drift_found_) {
    const DriftFinding& finding = notice.finding;
    metrics_.count_finding(finding);
    if (finding.kind == FindingKind::kConfirmed) {
      parts_.log.warning("drift", finding.cause,
                         {{"event", finding.position}, {"since", finding.since}, {"detector", finding.detector}});
      cut_now_ = cut_now_ || config_.drift.cut_round;
      if (options_.on_drift) {
        JsonWriter json(0);
        write_notice(json, notice);
        options_.on_drift(json.take());
      }
    } else if (finding.kind == FindingKind::kAlarm) {
      parts_.log.info("drift_alarm", finding.cause, {{"event", finding.position}, {"detector", finding.detector}});
    }
  }
  drift_found_.clear();
}

Status Pipeline::append_waiting_for_room(const AppendBatch& append) {
  for (bool told = false;;) {
    Status status = parts_.store.append(append);
    const bool may_pass = status.code() == Code::kResourceExhausted || status.code() == Code::kUnavailable;
    if (!may_pass) {
      if (told && status.is_ok()) parts_.log.info("store_has_room", "the store takes writes again; ingest goes on");
      return status;
    }
    if (!told) {
      parts_.log.error("store_waits", fmt::format("{}; ingest waits, serving goes on", status.message()));
      metrics_.store_waits.increment();
      told = true;
    }
    const std::int64_t until = parts_.clock.monotonic_ns() + kStoreRetryNs;
    while (!stopping() && parts_.clock.monotonic_ns() < until) std::this_thread::sleep_for(kRetryStep);
    if (stopping()) return cancelled("stopped while the store was full; a restart reads the waiting events again");
  }
}

// The batch is in the log: its rows join the memory, or the held-out sets.
void Pipeline::remember(const EventBatch& batch, std::size_t base) {
  const std::size_t rows = batch.size();
  const std::size_t record_size = codec_->record_size();
  bool any_held_out = false;
  for (std::size_t i = 0; i < rows; ++i) {
    const std::uint64_t seq = state_->counters.next_seq + i;
    if (held_out_[i] != 0) {
      any_held_out = true;
      state_->hold_out(static_cast<Purpose>(held_out_[i]), row_slices_[i], seq,
                       std::string_view(records_).substr(i * record_size, record_size));
      state_->garbage.release(seq);
    } else {
      const auto group = static_cast<std::uint16_t>(config_.model.task == Task::kRegression ? 0.0F : batch.labels[i]);
      state_->memory->insert({seq, batch.time_ms[i], group, gathering_.losses[base + i]}, released_);
      if (row_slices_[i] < kSlicesMax) gathering_slices_ |= std::uint64_t{1} << row_slices_[i];
    }
  }
  state_->garbage.release(released_);
  released_.clear();
  state_->counters.next_seq += rows;
  event_time_ms_ = rows > 0 ? batch.time_ms[rows - 1] : event_time_ms_;
  if (!any_held_out) return;
  if (held_out_scores_) {
    held_out_scores_->observe({held_out_.data(), rows}, predictions_, gathering_, base,
                              state_->counters.served_version);
  }
  drop_held_out(base, rows);
}

void Pipeline::drop_held_out(std::size_t base, std::size_t rows) {
  std::size_t kept = base;
  for (std::size_t i = 0; i < rows; ++i) {
    if (held_out_[i] != 0) continue;
    if (kept != base + i) gathering_.copy_row(base + i, kept);
    ++kept;
  }
  metrics_.events_held_out.add(static_cast<double>(base + rows - kept));
  gathering_.resize(kept);
}

bool Pipeline::cut_due() const {
  const std::uint64_t events = gathered();
  if (events >= config_.learning.round.every_events || (cut_now_ && events > 0)) return true;
  const std::int64_t every_ms = round_every_ms_;
  const bool time = every_ms > 0 && parts_.clock.monotonic_ns() - last_cut_ns_ >= every_ms * 1'000'000;
  // A key is not kept for want of events: a round without any is cut for it.
  return time && (events > 0 || (state_->counters.next_seq > 1 && checkpoint_due() && !erasures_due(true).empty()));
}

Status Pipeline::cut(bool record, bool erase_all) {
  if (trainer_->busy()) TRY(collect(record ? Recorded::kNot : Recorded::kWentLive));
  TRY(watch_served(record));
  TRY(tune_at_cut(record));
  RunCounters& counters = state_->counters;
  const std::vector<Erasure> erasures = record ? erasures_due(erase_all) : std::exchange(redo_erasures_, {});
  if (record) TRY(record_cut(erasures));
  cut_now_ = false;
  counters.round_begin_seq = counters.cut_seq;
  counters.cut_seq = counters.next_seq;
  ++counters.next_round;
  counters.round_waits = true;
  last_cut_ns_ = parts_.clock.monotonic_ns();
  std::swap(gathering_, training_);
  gathering_.clear();
  training_slices_ = std::exchange(gathering_slices_, 0);
  expire_old_events();
  TRY(apply_erasures(erasures));
  // One without any stored event can wait for the next checkpoint.
  const bool erased = !unsaved_erasures_.seqs.empty() && !options_.redo_only;
  if (erased || (record && checkpoint_due())) TRY(checkpoint());
  if (!record) TRY(rest());
  start_round();
  const std::uint64_t events = counters.next_seq - 1;
  if (options_.history_every_events > 0 &&
      events / options_.history_every_events != (counters.round_begin_seq - 1) / options_.history_every_events) {
    history_.push_back({events, event_time_ms_, state_->evaluation->report().window});
  }
  return Status::ok();
}

// Time to live runs on event time; the median of the round keeps one event from the far future from emptying the
// memory.
void Pipeline::expire_old_events() {
  if (config_.memory.ttl_ms <= 0 || training_.size() == 0) return;
  std::vector<std::int64_t> times(training_.time_ms.begin(),
                                  training_.time_ms.begin() + static_cast<std::ptrdiff_t>(training_.size()));
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  state_->memory->expire(*middle - config_.memory.ttl_ms, released_);
  state_->garbage.release(released_);
  released_.clear();
}

void Pipeline::start_round() {
  RoundJob job;
  job.round = state_->counters.next_round - 1;
  job.version = job.round + 1;
  job.fresh = &training_;
  state_->memory->sample(learner_->replay_rows_for(training_.size(), state_->memory->size()), state_->replay_rng,
                         job.replay);
  const std::uint64_t cut_seq = state_->counters.cut_seq;
  job.rate_factor = state_->drift->rate_factor(cut_seq);
  if (const std::uint64_t from = state_->drift->replay_from(cut_seq); from > 0) drop_before(from, job.replay);
  job.in_pieces = learner_->reads_memory_in_pieces();
  if (learner_->sifts()) {
    stored_losses(*state_->memory, job.replay,
                  {job.round, state_->counters.cut_seq, config_.learning.round.every_events,
                   config_.learning.sifting.loss_age_rounds_max},
                  job.replay_losses);
  }
  job.values = std::move(round_values_);
  read_stored(*state_->memory, job.replay, training_.size(), job.values);
  state_->counters.round_waits = false;
  job.challenger = studies_->challenger();
  trainer_->start(std::move(job));
}

Status Pipeline::collect(Recorded recorded) {
  RoundResult result = trainer_->wait();
  trainer_cpu_ns_ += result.cpu_ns;
  if (!result.status.is_ok()) {
    ++state_->counters.rounds_failed;
    learner_has_made_ = false;
    metrics_.rounds_failed.increment();
    parts_.log.error("round_failed",
                     fmt::format("round {}: {}; the served model stays", result.round, result.status.message()));
    // A restart redoes the round; going on without it would leave the recorded order.
    const bool ends = result.status.code() == Code::kDataLoss || result.status.code() == Code::kUnavailable;
    return ends ? result.status : Status::ok();
  }
  sifting_ = learner_->sifting_totals();
  restored_ += result.report.restored;
  metrics_.count_round(result.report, learner_->sifting_rests());
  if (result.report.restored > 0) {
    parts_.log.warning("weights_restored",
                       fmt::format("round {}: {} steps gave no finite loss or gradient; weights and optimizer went "
                                   "back to the round's beginning {} times",
                                   result.round, result.report.skipped_non_finite, result.report.restored));
  }
  metrics_.round_seconds.observe(static_cast<double>(result.duration_ns) * 1e-9);
  metrics_.replay_read_seconds.observe(static_cast<double>(result.replay_read_ns) * 1e-9);

  if (studies_->collected(result, learner_, state_->counters.next_seq - 1)) trainer_->use(*learner_);
  const std::uint64_t version = result.candidate->version();
  TRY(watch_served(recorded == Recorded::kNot));
  const bool goes_live = TRY(judge(result.candidate, result.round, recorded));
  state_->memory->note_replayed(result.replay, result.replay_losses, result.round);
  write_fresh(*state_->memory, training_, state_->counters.cut_seq, result.values);
  round_values_ = std::move(result.values);
  TRY(score_new_slices());
  for (std::uint32_t slice = 0; slice < kSlicesMax; ++slice) {
    if ((training_slices_ >> slice & 1) != 0) state_->forgetting->note_trained(slice, result.round);
  }
  if (goes_live && result.round % config_.evaluation.forgetting_every_rounds == 0) {
    if (state_->slices) TRY(score_slices(*result.candidate, result.round));
    TRY(measure_itself(*result.candidate));
  }
  round_log_.note(result, goes_live, goes_live ? version : state_->counters.served_version, redoing_);
  if (!goes_live) return Status::ok();
  gate_->published(parts_.slot.current(), result.candidate);
  go_live(std::move(result.candidate));
  const std::int64_t now = parts_.clock.monotonic_ns();
  for (std::size_t i = 0; i < training_.size(); ++i) {
    if (training_.arrival_ns[i] == 0) continue;
    metrics_.event_to_served_seconds.observe(static_cast<double>(now - training_.arrival_ns[i]) * 1e-9);
  }
  return Status::ok();
}

Status Pipeline::tune_at_cut(bool record) {
  state_->drift->at_cut(state_->counters.next_seq, parts_.slot.current());
  TRY(studies_->score(gathering_));
  if (!record) return Status::ok();
  return studies_->at_cut(moment(), [this](OrderKind kind, std::uint64_t study, std::uint64_t end) {
    return record_order(kind, study, end);
  });
}

Status Pipeline::redo_tuning(const OrderEntry& entry) {
  if (trainer_->busy()) TRY(collect(Recorded::kWentLive));
  TRY(studies_->score(gathering_));
  return studies_->redo(entry, moment());
}

Status Pipeline::record_order(OrderKind kind, std::uint64_t round, std::uint64_t version) {
  const OrderEntry entry{kind, state_->counters.next_seq - 1, round, version};
  AppendBatch append;
  append.first_seq = state_->counters.next_seq;
  append.order = {&entry, 1};
  TRY(append_waiting_for_room(append).with_context("recording the order of rounds"));
  ++state_->counters.order_next;
  return Status::ok();
}

Status Pipeline::settle() {
  if (gathered() > 0 || !parts_.store.erasures().empty()) TRY(cut(true, /*erase_all=*/true));
  if (trainer_->busy()) TRY(collect());
  return Status::ok();
}

Status Pipeline::finish() {
  TRY(settle());
  TRY(checkpoint());
  TRY(measure_itself(*parts_.slot.current()));
  update_snapshot();
  return Status::ok();
}

void Pipeline::update_snapshot_now_and_then() {
  if (parts_.clock.monotonic_ns() - last_snapshot_ns_ >= kSnapshotEveryNs) update_snapshot();
}

void Pipeline::update_snapshot() {
  last_snapshot_ns_ = parts_.clock.monotonic_ns();
  PipelineSnapshot now;
  now.events = state_->counters.next_seq - 1;
  now.skipped = skipped_;
  now.rounds = state_->counters.next_round - 1;
  now.swaps = state_->counters.swaps;
  now.served_version = state_->counters.served_version;
  now.trainer_cpu_seconds = static_cast<double>(trainer_cpu_ns_) * 1e-9;
  now.restored = restored_;
  now.sifts = learner_->sifts();
  now.sifting = sifting_;
  now.memory_events = state_->memory->size();
  now.event_time_ms = event_time_ms_;
  now.redoing = redoing_;
  now.evaluation = state_->evaluation->report();
  if (baseline_) now.baseline = baseline_->report();
  if (held_out_scores_) now.held_out = held_out_scores_->report();
  now.forgetting = state_->forgetting->report();
  now.slice_scores = state_->forgetting->history();
  now.drift = state_->drift->report();
  now.tuning = studies_->report();
  now.gate = gate_->report();
  now.history = history_;
  now.own_measures = own_measures_;
  for (std::uint32_t slice = 0; state_->slices && slice < kSlicesMax; ++slice) {
    now.slice_names.push_back(state_->slices->name(slice));
  }
  metrics_.erasures_waiting.set(static_cast<double>(parts_.store.erasures().size()));
  metrics_.replay_events.set(static_cast<double>(now.memory_events));
  metrics_.event_time.set(static_cast<double>(event_time_ms_) * 1e-3);
  metrics_.show_evaluation("stream", now.evaluation.stream);
  metrics_.show_evaluation("recent", now.evaluation.window);
  for (const SliceForgetting& slice : now.forgetting.slices) {
    metrics_.show_forgetting(now.slice_names[slice.slice], slice.now, slice.forgetting);
  }
  metrics_.show_transfer(now.forgetting);
  metrics_.show_own(now.own_measures);
  metrics_.show_drift(now.drift);
  metrics_.show_gate(now.gate);
  const std::lock_guard lock(snapshot_mutex_);
  snapshot_ = std::move(now);
}

void Pipeline::adopt(const Config& config) {
  round_every_ms_ = config.learning.round.every_ms;
  checkpoint_every_ms_ = config.checkpoint.every_ms;
}

PipelineSnapshot Pipeline::snapshot() const {
  const std::lock_guard lock(snapshot_mutex_);
  return snapshot_;
}

std::string Pipeline::learner_bytes() const {
  ByteWriter out;
  return learner_->save(out).is_ok() ? out.take() : std::string{};
}

}  // namespace freshet
