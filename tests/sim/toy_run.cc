#include "tests/sim/toy_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace freshet::sim {
namespace {

constexpr std::uint64_t kRedoEvents = 24;

template <typename T>
void compare(std::string& text, std::string_view name, const T& expected, const T& found) {
  if (expected == found) return;
  if constexpr (std::is_same_v<T, std::string>) {
    text += fmt::format("  {}: {} and {} bytes that differ\n", name, expected.size(), found.size());
  } else {
    text += fmt::format("  {}: {} expected, {} found\n", name, expected, found);
  }
}

HeldOutOptions held_out_options(const Rules& rules) { return {rules.held_out_per_slice, 3, rules.seed ^ 11}; }

}  // namespace

std::string difference(const Fingerprint& expected, const Fingerprint& found) {
  std::string text;
  compare(text, "next_seq", expected.next_seq, found.next_seq);
  compare(text, "round_begin", expected.round_begin, found.round_begin);
  compare(text, "cut_seq", expected.cut_seq, found.cut_seq);
  compare(text, "next_round", expected.next_round, found.next_round);
  compare(text, "order_next", expected.order_next, found.order_next);
  compare(text, "served_version", expected.served_version, found.served_version);
  compare(text, "encoder", expected.encoder, found.encoder);
  compare(text, "served", expected.served, found.served);
  if (found.learner != 0 && expected.learner != 0) compare(text, "learner", expected.learner, found.learner);
  compare(text, "pending", expected.pending, found.pending);
  compare(text, "gathering", expected.gathering, found.gathering);
  compare(text, "memory", expected.memory, found.memory);
  compare(text, "memory_header", expected.memory_header, found.memory_header);
  compare(text, "held_out", expected.held_out, found.held_out);
  compare(text, "replay_rng", expected.replay_rng, found.replay_rng);
  return text;
}

ToyRun::ToyRun(const Rules& rules, Store& store)
    : rules_(rules), store_(store), replay_rng_(rules.seed ^ 12), held_out_(held_out_options(rules)) {}

Result<std::unique_ptr<ToyRun>> ToyRun::open(const Rules& rules, Store& store) {
  std::unique_ptr<ToyRun> run(new ToyRun(rules, store));
  run->memory_ = TRY(ReplayMemory::create(rules.memory));
  TRY(run->restore());
  return run;
}

std::string ToyRun::save() const {
  ByteWriter out;
  for (const std::uint64_t number : {next_seq_, round_begin_, cut_seq_, next_round_, order_next_, served_version_,
                                     std::uint64_t{round_waits_}, encoder_, learner_, served_}) {
    out.put(number);
  }
  for (const std::uint64_t word : replay_rng_.state()) out.put(word);
  out.put_span(std::span<const std::uint64_t>(erased_at_cut_));
  return out.take();
}

Status ToyRun::load(std::string_view bytes) {
  ByteReader in(bytes);
  for (std::uint64_t* number : {&next_seq_, &round_begin_, &cut_seq_, &next_round_, &order_next_, &served_version_}) {
    *number = in.get<std::uint64_t>();
  }
  round_waits_ = in.get<std::uint64_t>() != 0;
  for (std::uint64_t* number : {&encoder_, &learner_, &served_}) *number = in.get<std::uint64_t>();
  Rng::State words{};
  for (std::uint64_t& word : words) word = in.get<std::uint64_t>();
  replay_rng_.set_state(words);
  erased_at_cut_ = in.get_vector<std::uint64_t>();
  return in.at_end() ? Status::ok() : data_loss("the run's blob cannot be read");
}

Status ToyRun::restore() {
  const auto checkpoint = TRY(store_.latest_checkpoint());
  if (!checkpoint) return Status::ok();
  TRY(load(checkpoint->blobs.at("run")));
  TRY(memory_->load(checkpoint->blobs.at(std::string(kReplayBlob)),
                    [&](std::uint32_t space, const ReplayMemory::PageReader& reader) {
                      return store_.read_pages(checkpoint->info.id, space, reader);
                    }));
  TRY(held_out_.load(checkpoint->blobs.at("held_out")));
  TRY(garbage_.load(checkpoint->blobs.at(std::string(kGarbageBlob))));
  checkpoint_seq_ = next_seq_;
  return Status::ok();
}

Status ToyRun::reload_last_round() {
  training_.clear();
  return store_.scan(round_begin_, cut_seq_ - 1, [&](std::uint64_t seq, std::string_view record) {
    const Row row = to_row(record);
    const bool erased = std::find(erased_at_cut_.begin(), erased_at_cut_.end(), row.event.key) != erased_at_cut_.end();
    if (!held_out(rules_, row.event.key) && !erased) training_.emplace_back(seq, row);
    return Status::ok();
  });
}

Status ToyRun::redo() {
  const std::uint64_t last_seq = store_.last_seq();
  const auto entries = TRY(store_.order_since(order_next_));
  if (round_waits_) {
    TRY(reload_last_round());
    start_round();
  }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const OrderEntry& entry = entries[i].entry;
    if (entries[i].index != order_next_) return internal_error(fmt::format("order entry {} is missing", order_next_));
    TRY(redo_events(entry.seq));
    ++order_next_;
    if (entry.kind == OrderKind::kGoLive) {
      if (pending()) TRY(collect(false));
    } else if (entry.kind == OrderKind::kRoundCut) {
      // The erasures of a cut stand right behind it.
      std::vector<std::uint64_t> keys;
      for (; i + 1 < entries.size() && entries[i + 1].entry.kind == kErase; ++i) {
        keys.push_back(entries[i + 1].entry.round);
        ++order_next_;
      }
      TRY(close_round(keys, false, false));
    } else {
      return internal_error("an erasure without a cut");
    }
  }
  return redo_events(last_seq);
}

Status ToyRun::redo_events(std::uint64_t last_seq) {
  while (next_seq_ <= last_seq) {
    const std::uint64_t end = std::min(last_seq, next_seq_ + kRedoEvents - 1);
    std::vector<std::string> records;
    TRY(store_.scan(next_seq_, end, [&](std::uint64_t, std::string_view record) {
      records.emplace_back(record);
      return Status::ok();
    }));
    if (records.size() != end + 1 - next_seq_) {
      return data_loss(fmt::format("the log lacks some of the events {} to {}", next_seq_, end));
    }
    std::vector<Row> rows;
    for (const std::string& record : records) {
      rows.push_back(learn(to_row(record).event));
      if (to_bytes(rows.back()) != record) {
        return internal_error(fmt::format("redoing event {} came to another record", next_seq_ + rows.size() - 1));
      }
    }
    for (const Row& row : rows) remember(next_seq_++, row);
  }
  return Status::ok();
}

Row ToyRun::learn(const Event& event) {
  Row row{event, hash_combine(encoder_, event.value), 0};
  row.loss = hash_combine(served_, row.encoded);
  if (!held_out(rules_, event.key)) encoder_ = hash_combine(encoder_, row.encoded);
  return row;
}

void ToyRun::remember(std::uint64_t seq, const Row& row) {
  if (held_out(rules_, row.event.key)) {
    held_out_.offer(row.event.group, seq, to_bytes(row));
    garbage_.release(seq);
    return;
  }
  gathering_.emplace_back(seq, row);
  memory_->insert({seq, row.event.time_ms, row.event.group, loss_of(row.event)}, released_);
  garbage_.release(released_);
  released_.clear();
}

Status ToyRun::append(const AppendBatch& batch, const std::vector<Row>& rows) {
  observer_->appending(batch, rows);
  for (;;) {
    Status status = store_.append(batch);
    if (status.is_ok()) {
      observer_->appended();
      return status;
    }
    if (!observer_->try_again(status)) return status;
  }
}

Status ToyRun::ingest(const std::vector<Event>& events, const std::vector<SkippedRecord>& skipped) {
  std::vector<Row> rows;
  std::string records;
  std::vector<Position> positions;
  std::vector<std::uint64_t> hashes;
  for (const Event& event : events) {
    rows.push_back(learn(event));
    records += to_bytes(rows.back());
    positions.push_back(event.position);
    hashes.push_back(event.value);
  }
  TRY(append({next_seq_, records, kRowBytes, positions, hashes, skipped, {}, {}}, rows));
  for (const Row& row : rows) remember(next_seq_++, row);
  return Status::ok();
}

Status ToyRun::record(const OrderEntry& entry) {
  TRY(append({next_seq_, {}, 0, {}, {}, {}, {}, {&entry, 1}}, {}));
  ++order_next_;
  return Status::ok();
}

Status ToyRun::cut(const std::vector<std::uint64_t>& erased_keys, bool checkpoint_due) {
  return close_round(erased_keys, true, checkpoint_due);
}

Status ToyRun::close_round(const std::vector<std::uint64_t>& erased_keys, bool record_it, bool checkpoint_due) {
  if (pending()) TRY(collect(record_it));
  if (record_it) {  // cut and erasures in one write: no redo sees the one without the other
    std::vector<OrderEntry> entries{{OrderKind::kRoundCut, next_seq_ - 1, next_round_, 0}};
    for (const std::uint64_t key : erased_keys) entries.push_back({kErase, next_seq_ - 1, key, 0});
    TRY(append({next_seq_, {}, 0, {}, {}, {}, {}, entries}, {}));
    order_next_ += entries.size();
  }
  round_begin_ = cut_seq_;
  cut_seq_ = next_seq_;
  ++next_round_;
  round_waits_ = true;
  training_.swap(gathering_);
  gathering_.clear();
  erased_at_cut_.clear();
  for (const std::uint64_t key : erased_keys) TRY(erase(key));
  expire();
  if (record_it && checkpoint_due) TRY(checkpoint());
  start_round();
  return Status::ok();
}

// The key's events leave memory, held-out sets and the round that was just cut; its other events are garbage already.
Status ToyRun::erase(std::uint64_t key) {
  std::vector<std::uint64_t> held;
  for (std::uint64_t slot = 0; slot < memory_->size(); ++slot) held.push_back(memory_->slots().seq(slot));
  std::vector<std::uint64_t> seqs;
  for (;;) {
    seqs.clear();
    Status read = store_.read(held, [&](std::size_t i, std::string_view record) {
      if (to_row(record).event.key == key) seqs.push_back(held[i]);
    });
    if (read.is_ok()) break;
    if (observer_ == nullptr || !observer_->try_again(read)) return read;
  }
  std::sort(seqs.begin(), seqs.end());
  memory_->erase(seqs, released_);
  garbage_.release(released_);
  released_.clear();
  held_out_.erase_if([&](std::uint64_t, std::string_view record) { return to_row(record).event.key == key; });
  std::erase_if(training_, [&](const auto& entry) { return entry.second.event.key == key; });
  erased_at_cut_.push_back(key);
  return Status::ok();
}

void ToyRun::expire() {
  if (rules_.memory.ttl_ms <= 0 || training_.empty()) return;
  std::vector<std::int64_t> times;
  for (const auto& [seq, row] : training_) times.push_back(row.event.time_ms);
  std::sort(times.begin(), times.end());
  memory_->expire(times[times.size() / 2] - rules_.memory.ttl_ms, released_);
  garbage_.release(released_);
  released_.clear();
}

void ToyRun::start_round() {
  pending_ = Pending();
  Pending& job = *pending_;
  job.round = next_round_ - 1;
  job.fresh = training_;
  memory_->sample(rules_.replay_rows, replay_rng_, job.drawn);
  round_waits_ = false;
}

Status ToyRun::train() {
  if (!pending_ || pending_->trained) return Status::ok();
  std::vector<std::uint64_t> replayed(pending_->drawn.size());
  for (;;) {
    Status read = store_.read(pending_->drawn, [&](std::size_t i, std::string_view record) {
      replayed[i] = hash_combine(to_row(record).encoded, pending_->drawn[i]);
    });
    if (read.is_ok()) break;
    if (observer_ == nullptr || !observer_->try_again(read)) return read;
  }
  for (const auto& [seq, row] : pending_->fresh) learner_ = hash_combine(learner_, hash_combine(seq, row.encoded));
  for (const std::uint64_t one : replayed) learner_ = hash_combine(learner_, one);
  learner_ = hash_combine(learner_, pending_->round);
  pending_->trained = true;
  return Status::ok();
}

Status ToyRun::go_live() { return collect(true); }

Status ToyRun::collect(bool record_it) {
  TRY(train());
  const std::uint64_t version = pending_->round + 1;
  if (record_it) TRY(record({OrderKind::kGoLive, next_seq_ - 1, pending_->round, version}));
  served_ = learner_;
  served_version_ = version;
  pending_.reset();
  return Status::ok();
}

Status ToyRun::checkpoint() {
  const auto garbage = garbage_.collect(round_begin_ - 1);
  const std::string run = save();
  const std::string memory = memory_->header();
  const std::string held_out = held_out_.save();
  const std::string waiting = garbage_.save();
  const std::vector<CheckpointBlob> blobs = {
      {"run", run}, {kReplayBlob, memory}, {"held_out", held_out}, {kGarbageBlob, waiting}};
  std::vector<std::string> page_bytes;
  std::vector<CheckpointPage> pages;
  memory_->dirty_pages([&](std::uint32_t space, std::uint64_t index, std::string_view bytes) {
    page_bytes.emplace_back(bytes);
    pages.push_back({space, index, {}});
  });
  for (std::size_t i = 0; i < pages.size(); ++i) pages[i].bytes = page_bytes[i];
  CheckpointWrite write;
  write.seq = next_seq_ - 1;
  write.order_index = order_next_;
  write.round = next_round_ - 1;
  write.model_version = served_version_;
  write.blobs = blobs;
  write.pages = pages;
  write.garbage = garbage;
  write.order_keep_from = order_next_;
  observer_->checkpointing(write);
  const auto written = store_.checkpoint(write);
  if (!written.is_ok()) {
    garbage_.put_back(garbage);
    ++checkpoints_failed_;
    const bool may_pass = written.code() == Code::kResourceExhausted || written.code() == Code::kUnavailable;
    return may_pass ? Status::ok() : written.status();
  }
  observer_->checkpointed(*written);
  memory_->clear_dirty();
  checkpoint_seq_ = next_seq_;
  return Status::ok();
}

Fingerprint ToyRun::fingerprint() const {
  Fingerprint print;
  print.next_seq = next_seq_;
  print.round_begin = round_begin_;
  print.cut_seq = cut_seq_;
  print.next_round = next_round_;
  print.order_next = order_next_;
  print.served_version = served_version_;
  print.encoder = encoder_;
  print.served = served_;
  if (!pending_ || pending_->trained) print.learner = learner_;
  if (pending_) {
    for (const auto& [seq, row] : pending_->fresh) print.pending.push_back(seq);
    print.pending.insert(print.pending.end(), pending_->drawn.begin(), pending_->drawn.end());
  }
  for (const auto& [seq, row] : gathering_) print.gathering.push_back(seq);
  for (std::uint64_t slot = 0; slot < memory_->size(); ++slot) print.memory.push_back(memory_->slots().seq(slot));
  print.memory_header = memory_->header();
  print.held_out = held_out_.save();
  print.replay_rng = replay_rng_.state();
  return print;
}

}  // namespace freshet::sim
