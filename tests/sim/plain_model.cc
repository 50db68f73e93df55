#include "tests/sim/plain_model.h"

#include <fmt/format.h>

#include <algorithm>

namespace freshet::sim {
namespace {

void account(std::map<std::int32_t, PartitionLedger>& ledger, Position at, std::optional<SkipReason> skipped,
             std::uint64_t value) {
  PartitionLedger& entry = ledger[at.partition];
  entry.partition = at.partition;
  if (entry.first_offset < 0) {
    entry.first_offset = at.offset;
  } else if (at.offset > entry.next_offset) {
    ++entry.gaps;
    entry.missing += static_cast<std::uint64_t>(at.offset - entry.next_offset);
  }
  entry.last_offset = at.offset;
  entry.next_offset = at.offset + 1;
  if (skipped) {
    ++entry.skipped[static_cast<std::size_t>(*skipped)];
  } else {
    ++entry.learnt;
    entry.hash += hash_combine(static_cast<std::uint64_t>(at.offset), value);
  }
}

}  // namespace

void PlainModel::appending(const AppendBatch& batch, const std::vector<Row>& rows) {
  Appending next{rows, {batch.order.begin(), batch.order.end()}, marks_.back()};
  std::map<Position, std::optional<SkipReason>> offsets;
  std::map<Position, std::uint64_t> values;
  for (const Row& row : rows) {
    offsets[row.event.position] = std::nullopt;
    values[row.event.position] = row.event.value;
  }
  for (const SkippedRecord& record : batch.skipped) offsets[record.position] = record.reason;
  for (const auto& [position, reason] : offsets) account(next.end.ledger, position, reason, values[position]);
  next.end.rows += rows.size();
  next.end.order += batch.order.size();
  appending_ = std::move(next);
}

void PlainModel::appended() {
  rows_.insert(rows_.end(), appending_->rows.begin(), appending_->rows.end());
  order_.insert(order_.end(), appending_->order.begin(), appending_->order.end());
  marks_.push_back(appending_->end);
  appending_.reset();
  if (rules_.sync == SyncPolicy::kEveryAppend) synced();
}

void PlainModel::checkpointing(const CheckpointWrite& write) { unsure_.push_back({0, write.seq, write.order_index}); }

void PlainModel::checkpointed(std::uint64_t id) {
  unsure_.back().id = id;
  checkpoints_.push_back(unsure_.back());
  unsure_.clear();
  synced();
}

std::int64_t PlainModel::next_offset(std::int32_t partition) const {
  const auto entry = marks_.back().ledger.find(partition);
  return entry == marks_.back().ledger.end() ? 0 : entry->second.next_offset;
}

std::vector<std::uint64_t> PlainModel::due_erasures() const {
  std::vector<std::uint64_t> keys;
  for (const Erasure& erasure : erasures_) {
    bool done = std::find(keys.begin(), keys.end(), erasure.key) != keys.end();
    for (std::size_t i = erasure.asked_at; i < order_.size(); ++i) {
      done = done || (order_[i].kind == kErase && order_[i].round == erasure.key);
    }
    if (!done) keys.push_back(erasure.key);
  }
  return keys;
}

std::string PlainModel::reopened(const Store& store, bool power_cut) {
  if (appending_) {  // it may have landed
    rows_.insert(rows_.end(), appending_->rows.begin(), appending_->rows.end());
    order_.insert(order_.end(), appending_->order.begin(), appending_->order.end());
    marks_.push_back(appending_->end);
  }
  const std::size_t last = marks_.size() - 1;
  std::size_t oldest = appending_ ? last - 1 : last;
  if (power_cut) oldest = std::min(oldest, synced_mark_);
  appending_.reset();
  std::map<std::int32_t, PartitionLedger> ledger;
  for (const PartitionLedger& entry : store.ledger()) ledger[entry.partition] = entry;
  for (std::size_t m = last + 1; m-- > oldest;) {
    if (marks_[m].rows != store.last_seq() || marks_[m].order != store.next_order_index()) continue;
    if (marks_[m].ledger != ledger) continue;
    marks_.resize(m + 1);
    rows_.resize(marks_[m].rows);
    order_.resize(marks_[m].order);
    synced_mark_ = m;
    for (Erasure& erasure : erasures_) erasure.asked_at = std::min(erasure.asked_at, order_.size());
    return {};
  }
  return fmt::format(
      "the store ends at event {} and order entry {} (or with another ledger); it must be at the end of an append, "
      "between event {}, entry {} and event {}, entry {}",
      store.last_seq(), store.next_order_index(), marks_[oldest].rows, marks_[oldest].order, marks_[last].rows,
      marks_[last].order);
}

std::string PlainModel::check_checkpoint(const std::optional<Checkpoint>& loaded) {
  const auto is = [&](const Taken& taken) {
    return loaded && loaded->info.seq == taken.seq && loaded->info.order_index == taken.order;
  };
  if (const auto landed = std::find_if(unsure_.begin(), unsure_.end(), is); landed != unsure_.end()) {
    checkpoints_.push_back({loaded->info.id, landed->seq, landed->order});
    unsure_.clear();
    return {};
  }
  unsure_.clear();
  if (checkpoints_.empty()) return loaded ? "a checkpoint is there that nobody took" : "";
  if (is(checkpoints_.back()) && loaded->info.id >= checkpoints_.back().id) return {};
  return fmt::format("the newest checkpoint is at event {}; the one that was acknowledged last is at event {}",
                     loaded ? loaded->info.seq : 0, checkpoints_.back().seq);
}

// A run over the log from its beginning, in memory alone: nothing is saved, loaded, or read from a store.
Fingerprint PlainModel::uninterrupted(const std::set<std::uint64_t>& wanted) {
  using Entry = std::pair<std::uint64_t, Row>;
  needs_.clear();
  wrong_record_.clear();
  const std::unique_ptr<ReplayMemory> memory = std::move(ReplayMemory::create(rules_.memory)).value();
  HeldOutSet held({rules_.held_out_per_slice, 3, rules_.seed ^ 11});
  Rng replay_rng(rules_.seed ^ 12);
  Fingerprint now;
  now.next_seq = now.round_begin = now.cut_seq = now.next_round = now.served_version = 1;
  std::uint64_t learner = 0;
  std::vector<std::uint64_t> released;
  std::vector<Entry> gathering;
  std::vector<Entry> fresh;
  std::vector<std::uint64_t> drawn;
  bool waits = false;
  const auto events_until = [&](std::uint64_t last) {
    for (; now.next_seq <= last; ++now.next_seq) {
      const Row& row = rows_[now.next_seq - 1];
      const bool out = held_out(rules_, row.event.key);
      const std::uint64_t encoded = hash_combine(now.encoder, row.event.value);
      if (row.encoded != encoded || row.loss != hash_combine(now.served, encoded)) {
        if (wrong_record_.empty()) wrong_record_ = fmt::format("event {} was encoded or scored wrongly", now.next_seq);
      }
      if (out) {
        held.offer(row.event.group, now.next_seq, to_bytes(row));
      } else {
        now.encoder = hash_combine(now.encoder, encoded);
        memory->insert({now.next_seq, row.event.time_ms, row.event.group, loss_of(row.event)}, released);
        gathering.emplace_back(now.next_seq, row);
      }
    }
  };
  const auto draw = [&] {
    waits = true;
    drawn.clear();
    memory->sample(rules_.replay_rows, replay_rng, drawn);
    if (!wanted.contains(now.order_next)) return;
    Needs& needs = needs_[now.order_next];
    for (std::uint64_t slot = 0; slot < memory->size(); ++slot) needs.memory.insert(memory->slots().seq(slot));
    needs.round_begin = now.round_begin;
  };
  std::uint64_t trained = 0;
  const auto train = [&] {
    trained = learner;
    for (const auto& [seq, row] : fresh) trained = hash_combine(trained, hash_combine(seq, row.encoded));
    for (const std::uint64_t seq : drawn) trained = hash_combine(trained, hash_combine(rows_[seq - 1].encoded, seq));
    trained = hash_combine(trained, now.next_round - 1);
  };
  for (std::size_t i = 0; i < order_.size(); ++i) {
    const OrderEntry& entry = order_[i];
    events_until(entry.seq);
    ++now.order_next;
    if (entry.kind == OrderKind::kGoLive) {
      train();
      learner = now.served = trained;
      now.served_version = entry.model_version;
      waits = false;
      continue;
    }
    now.round_begin = now.cut_seq;
    now.cut_seq = now.next_seq;
    ++now.next_round;
    fresh = std::move(gathering);
    gathering.clear();
    for (; i + 1 < order_.size() && order_[i + 1].kind == kErase; ++i, ++now.order_next) {
      const std::uint64_t key = order_[i + 1].round;
      std::vector<std::uint64_t> gone;
      for (std::uint64_t seq = 1; seq < now.next_seq; ++seq) {
        if (rows_[seq - 1].event.key == key) gone.push_back(seq);
      }
      memory->erase(gone, released);
      held.erase_if([&](std::uint64_t seq, std::string_view) { return rows_[seq - 1].event.key == key; });
      std::erase_if(fresh, [&](const Entry& one) { return one.second.event.key == key; });
    }
    if (rules_.memory.ttl_ms > 0 && !fresh.empty()) {
      std::vector<std::int64_t> times;
      for (const auto& [seq, row] : fresh) times.push_back(row.event.time_ms);
      std::sort(times.begin(), times.end());
      memory->expire(times[times.size() / 2] - rules_.memory.ttl_ms, released);
    }
    draw();
  }
  events_until(rows_.size());
  if (waits) {
    train();
    learner = trained;
    for (const auto& [seq, row] : fresh) now.pending.push_back(seq);
    now.pending.insert(now.pending.end(), drawn.begin(), drawn.end());
  }
  now.learner = learner;
  for (const auto& [seq, row] : gathering) now.gathering.push_back(seq);
  for (std::uint64_t slot = 0; slot < memory->size(); ++slot) now.memory.push_back(memory->slots().seq(slot));
  now.memory_header = memory->header();
  now.held_out = held.save();
  now.replay_rng = replay_rng.state();
  return now;
}

std::string PlainModel::check_run(const ToyRun& run) {
  const Fingerprint expected = uninterrupted({});
  if (!wrong_record_.empty()) return wrong_record_;
  const Fingerprint found = run.fingerprint();
  if (const std::string text = difference(expected, found); !text.empty()) {
    return "the state is not that of an uninterrupted run:\n" + text;
  }
  // The memory, by its policy's definition; and nothing in it that was erased, or that is held out.
  std::map<std::uint64_t, std::uint64_t> erased;  // key -> up to which event
  for (const OrderEntry& entry : order_) {
    if (entry.kind == kErase) erased[entry.round] = entry.seq;
  }
  std::vector<std::uint64_t> alive;
  for (std::uint64_t seq = 1; seq <= rows_.size(); ++seq) {
    const std::uint64_t key = rows_[seq - 1].event.key;
    const auto gone = erased.find(key);
    if (!held_out(rules_, key) && (gone == erased.end() || gone->second < seq)) alive.push_back(seq);
  }
  std::set<std::uint64_t> held;
  for (const std::uint64_t seq : found.memory) {
    if (!held.insert(seq).second) return fmt::format("event {} is twice in the memory", seq);
    if (!std::binary_search(alive.begin(), alive.end(), seq)) {
      return fmt::format("event {} is in the memory, but erased or held out", seq);
    }
  }
  const bool plain = rules_.memory.ttl_ms == 0 && erased.empty();
  const std::uint64_t capacity = rules_.memory.capacity_events;
  if (plain && held.size() != std::min<std::size_t>(capacity, alive.size())) {
    return fmt::format("the memory holds {} of {} events with room for {}", held.size(), alive.size(), capacity);
  }
  if (plain && rules_.memory.policy == "sliding_window") {
    const std::size_t first = alive.size() - held.size();
    if (!std::equal(held.begin(), held.end(), alive.begin() + static_cast<std::ptrdiff_t>(first))) {
      return "the sliding window does not hold the newest events";
    }
  }
  std::string wrong;
  for (const std::uint32_t slice : run.held_out_set().slices()) {
    run.held_out_set().records(slice, [&](std::uint64_t seq, std::string_view record) {
      if (seq == 0 || seq > rows_.size() || record != to_bytes(rows_[seq - 1])) {
        wrong = fmt::format("the held-out set has a wrong record for event {}", seq);
      }
      if (const auto gone = erased.find(to_row(record).event.key); gone != erased.end() && gone->second >= seq) {
        wrong = fmt::format("event {} is in the held-out set, but erased", seq);
      }
    });
  }
  return wrong;
}

std::string PlainModel::check_ledger(const Store& store) const {
  const auto& expected = marks_.back().ledger;
  const auto found = store.ledger();
  if (found.size() != expected.size()) return fmt::format("{} partitions in the ledger", found.size());
  for (const PartitionLedger& entry : found) {
    if (entry != expected.at(entry.partition))
      return fmt::format("the ledger of partition {} is wrong", entry.partition);
  }
  // Each offset of the source once: learnt if it is an event, skipped if it is not, missing if the broker lacks it.
  std::map<Position, int> learnt;
  for (const Row& row : rows_) ++learnt[row.event.position];
  for (const PartitionLedger& entry : found) {
    for (std::int64_t offset = 0; offset < entry.next_offset; ++offset) {
      const Position at{entry.partition, offset};
      const int times = learnt.contains(at) ? learnt.at(at) : 0;
      if (times != (fate_of(rules_, at) == Fate::kEvent ? 1 : 0)) {
        return fmt::format("offset {} of partition {} was learnt {} times", offset, entry.partition, times);
      }
    }
  }
  return {};
}

std::string PlainModel::check_order(const Store& store) const {
  const auto checkpoints = store.checkpoints();
  const std::uint64_t from = checkpoints.empty() ? 0 : checkpoints.front().order_index;
  const auto entries = store.order_since(from);
  if (!entries.is_ok()) return entries.status().to_string();
  if (entries->size() != order_.size() - from) return fmt::format("{} order entries after {}", entries->size(), from);
  for (const auto& [index, entry] : *entries) {
    if (entry != order_[index]) return fmt::format("order entry {} is wrong", index);
  }
  return check_counted_rounds();
}

// With counted rounds the order follows from the source alone.
std::string PlainModel::check_counted_rounds() const {
  if (rules_.timer_cuts) return {};
  std::uint64_t round = 0;
  for (const OrderEntry& entry : order_) {
    if (entry.kind == OrderKind::kRoundCut &&
        entry != OrderEntry{entry.kind, ++round * rules_.round_events, round, 0}) {
      return fmt::format("round {} was cut at event {}", entry.round, entry.seq);
    }
    if (entry.kind == OrderKind::kGoLive && !rules_.when_ready &&
        entry != OrderEntry{entry.kind, (round + 1) * rules_.round_events, round, round + 1}) {
      return fmt::format("version {} went live at event {}", entry.model_version, entry.seq);
    }
  }
  return {};
}

std::string PlainModel::check_store(const Store& store, bool tidy) {
  if (std::string text = check_ledger(store); !text.empty()) return text;
  if (std::string text = check_order(store); !text.empty()) return text;
  std::set<std::uint64_t> stored;
  std::string wrong;
  const Status scanned = store.scan(0, UINT64_MAX, [&](std::uint64_t seq, std::string_view record) {
    stored.insert(seq);
    if (seq == 0 || seq > rows_.size() || record != to_bytes(rows_[seq - 1])) {
      wrong = fmt::format("event {} has wrong bytes, or should not be there", seq);
    }
    return Status::ok();
  });
  if (!scanned.is_ok()) return scanned.to_string();
  if (!wrong.empty()) return wrong;
  const auto checkpoints = store.checkpoints();
  if (checkpoints.empty()) {
    return stored.size() == rows_.size() ? "" : "events are gone before there is a checkpoint";
  }
  std::set<std::uint64_t> wanted;
  for (const CheckpointInfo& info : checkpoints) wanted.insert(info.order_index);
  uninterrupted(wanted);
  for (const CheckpointInfo& info : checkpoints) {
    const Needs& needs = needs_.at(info.order_index);
    for (const std::uint64_t seq : needs.memory) {
      if (!stored.contains(seq))
        return fmt::format("event {} is in the memory of checkpoint {}, but gone", seq, info.id);
    }
    for (std::uint64_t seq = needs.round_begin; seq <= rows_.size(); ++seq) {
      if (!stored.contains(seq))
        return fmt::format("event {} is to be redone after checkpoint {}, but gone", seq, info.id);
    }
  }
  if (tidy) {
    const Needs& oldest = needs_.at(checkpoints.front().order_index);
    for (const std::uint64_t seq : stored) {
      if (seq < oldest.round_begin && !oldest.memory.contains(seq)) {
        return fmt::format("event {} is needed by nobody, and still there", seq);
      }
    }
  }
  return {};
}

}  // namespace freshet::sim
