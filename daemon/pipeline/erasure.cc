// The part of Pipeline that forgets keys. An erasure takes effect at a cut: the order says so first, then the memory,
// the held-out sets and the rows of the round just cut lose the key's events, and a checkpoint of that very cut takes
// them out of the log with it. So a redo either finds everything (and erases again, alike), or begins behind it.
#include "daemon/pipeline/erasure.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/json_writer.h"
#include "daemon/pipeline/pipeline.h"

namespace freshet {

// An erasure that met no event needs no checkpoint: nothing of the key can come back.
Status check_durable(const ErasureReport& report) {
  if (report.durable || report.through_id == 0 || report.seqs.empty()) return Status::ok();
  return resource_exhausted(
      "the erasure is recorded, but its checkpoint could not be written; make room, then start the daemon where it "
      "does not run, or ask again");
}

std::string to_json(const ErasureReport& report) {
  JsonWriter json;
  json.begin_object();
  json.field("keys", report.keys);
  json.field("events", static_cast<std::uint64_t>(report.seqs.size()));
  json.field("memory_events", report.memory_events);
  json.field("held_out_events", report.held_out_events);
  json.field("waiting_rows", report.waiting_rows);
  json.field("durable", report.durable);
  json.key("learnt_by");
  json.begin_object();
  for (const CheckpointInfo& info : report.learnt_by) {
    json.key(std::to_string(info.id));
    json.begin_object();
    json.field("seq", info.seq);
    json.field("round", info.round);
    json.field("model_version", info.model_version);
    json.end_object();
  }
  json.end_object();
  json.end_object();
  return json.take();
}

// Where rounds are counted in events, a tombstone takes effect at the first cut with an event after it, which does not
// depend on how the records came in batches. With rounds by time, at the first cut at which a checkpoint is due, so
// that many tombstones make no more checkpoints than there are anyway. At the end everything that waits does.
std::vector<Erasure> Pipeline::erasures_due(bool all) const {
  std::vector<Erasure> due = parts_.store.erasures();
  std::erase_if(due, [&](const Erasure& erasure) { return erasure.id <= unsaved_erasures_.through_id; });
  if (all) return due;
  if (round_every_ms_ > 0) return checkpoint_due() ? due : std::vector<Erasure>{};
  std::erase_if(due, [&](const Erasure& erasure) { return erasure.through_seq + 1 >= state_->counters.next_seq; });
  return due;
}

// One write: an erasure belongs to the cut that it comes with.
Status Pipeline::record_cut(std::span<const Erasure> due) {
  const std::uint64_t seq = state_->counters.next_seq - 1;
  std::vector<OrderEntry> entries;
  if (!due.empty()) entries.push_back({OrderKind::kErase, seq, due.front().id, due.back().id});
  entries.push_back({OrderKind::kRoundCut, seq, state_->counters.next_round, 0});
  AppendBatch append;
  append.first_seq = state_->counters.next_seq;
  append.order = entries;
  TRY(append_waiting_for_room(append).with_context("recording the order of rounds"));
  state_->counters.order_next += entries.size();
  return Status::ok();
}

// While the log is redone: the erasures that a recorded entry names. Those that a checkpoint has done are behind it.
Status Pipeline::note_redone_erasures(const OrderEntry& entry) {
  redo_erasures_ = parts_.store.erasures();
  std::erase_if(redo_erasures_,
                [&](const Erasure& erasure) { return erasure.id < entry.round || erasure.id > entry.model_version; });
  if (redo_erasures_.size() == entry.model_version + 1 - entry.round) return Status::ok();
  return data_loss(fmt::format("the erasures {} to {} that the log names are not in the store; restore a backup",
                               entry.round, entry.model_version));
}

// At a cut, with the trainer idle and the next round not begun. The checkpoint that follows makes it last.
Status Pipeline::apply_erasures(std::span<const Erasure> due) {
  if (due.empty()) return Status::ok();
  const ErasedKeys keys(due);
  const auto gone = [&](std::uint64_t seq, std::string_view record) {
    return keys.covers(record_key_hash(record), seq);
  };
  const auto found = TRY(parts_.store.find(due).with_context("looking for the events of erased keys"));
  const std::uint64_t memory_before = state_->memory->size();
  std::vector<std::uint64_t> released;  // they go by `erased`, not as garbage
  state_->memory->erase(found, released);
  std::uint64_t held_out = state_->forgetting_set->erase_if(gone);
  held_out += state_->gating_set->erase_if(gone);
  held_out += state_->tuning_set->erase_if(gone);
  studies_->erase(keys, state_->counters.next_seq - 1);
  std::uint64_t waiting = 0;
  for (std::size_t row = 0; row < training_.size(); ++row) {
    if (keys.covers(training_.key_hashes[row], training_.seqs[row])) ++waiting;
  }
  if (waiting != 0) TRY(reload_last_round(&keys));

  unsaved_erasures_.through_id = std::max(unsaved_erasures_.through_id, due.back().id);
  unsaved_erasures_.keys += due.size();
  unsaved_erasures_.memory_events += memory_before - state_->memory->size();
  unsaved_erasures_.held_out_events += held_out;
  unsaved_erasures_.waiting_rows += waiting;
  auto& seqs = unsaved_erasures_.seqs;
  seqs.insert(seqs.end(), found.begin(), found.end());
  std::sort(seqs.begin(), seqs.end());
  seqs.erase(std::unique(seqs.begin(), seqs.end()), seqs.end());
  return Status::ok();
}

// Before the checkpoint that does them: who had seen the events. Those kept are gone with it.
void Pipeline::note_learnt_by() {
  if (unsaved_erasures_.seqs.empty()) return;
  unsaved_erasures_.learnt_by = parts_.store.checkpoints();
  std::erase_if(unsaved_erasures_.learnt_by,
                [&](const CheckpointInfo& info) { return info.seq < unsaved_erasures_.seqs.front(); });
}

void Pipeline::erasures_saved() {
  if (unsaved_erasures_.through_id == 0) return;
  metrics_.erasures.add(static_cast<double>(unsaved_erasures_.keys));
  metrics_.events_erased.add(static_cast<double>(unsaved_erasures_.seqs.size()));
  erased_ = std::exchange(unsaved_erasures_, {});
  erased_.durable = true;
}

Result<ErasureReport> Pipeline::erase_now(std::span<const std::uint64_t> key_hashes) {
  erased_ = {};
  if (key_hashes.empty() || state_->counters.next_seq == 1) return erased_;
  TRY(parts_.store.request_erasures(key_hashes));
  return erase_requested();
}

Result<ErasureReport> Pipeline::erase_requested() {
  erased_ = {};
  TRY(cut(true, /*erase_all=*/true));
  return unsaved_erasures_.through_id != 0 ? unsaved_erasures_ : erased_;
}

Result<ErasureReport> Pipeline::erase(std::vector<std::uint64_t> key_hashes, std::chrono::milliseconds timeout) {
  return erasure_mailbox_.post(std::move(key_hashes), timeout);
}

// A failure to record is the asker's to see; one to cut ends the pipeline as at any other cut.
Status Pipeline::serve_erasures() {
  for (const auto& request : erasure_mailbox_.take()) {
    if (request->question.empty() || state_->counters.next_seq == 1) {
      erasure_mailbox_.answer(*request, ErasureReport{});
      continue;
    }
    if (Status asked = parts_.store.request_erasures(request->question); !asked.is_ok()) {
      erasure_mailbox_.answer(*request, std::move(asked));
      continue;
    }
    auto outcome = erase_requested();
    Status status = outcome.is_ok() ? Status::ok() : outcome.status();
    erasure_mailbox_.answer(*request, std::move(outcome));
    TRY(std::move(status));
  }
  return Status::ok();
}

}  // namespace freshet
