#include "storage/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "core/hash.h"
#include "core/json_writer.h"
#include "storage/replay_memory.h"
#include "storage/state_hash.h"

namespace freshet {
namespace {

constexpr std::uint64_t kStepBytes = std::uint64_t{4} << 20;

// Tells `step` how many bytes were looked at.
class Walk {
 public:
  Walk(const WorkStep& step, std::uint64_t total) : step_(step), total_(total) {}
  Status add(std::uint64_t bytes) {
    done_ += bytes;
    if (!step_ || done_ < told_ + kStepBytes) return Status::ok();
    told_ = done_;
    return step_(std::min(done_, total_), total_) ? Status::ok() : cancelled("interrupted");
  }

 private:
  const WorkStep& step_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  std::uint64_t told_ = 0;
};

// Which of a range of sequence numbers are there.
class Presence {
 public:
  void add(std::uint64_t seq) {
    if (bits_.empty()) first_ = seq;
    bits_.resize(seq - first_ + 1, false);
    bits_[seq - first_] = true;
  }
  bool has(std::uint64_t seq) const { return seq >= first_ && seq - first_ < bits_.size() && bits_[seq - first_]; }

 private:
  std::uint64_t first_ = 0;
  std::vector<bool> bits_;
};

class Verifier {
 public:
  Verifier(const Store& store, const VerifyHooks& hooks, const WorkStep& step, std::uint64_t total)
      : store_(store), hooks_(hooks), walk_(step, total) {}

  Status tables(const std::vector<TableFile>& files);
  Status checkpoints();
  Status events();
  Status order();
  void ledger();
  VerifyReport take() { return {store_.path(), std::move(checks_)}; }

 private:
  VerifyCheck& begin(std::string name, std::string unit) {
    checks_.push_back({std::move(name), std::move(unit), 0, 0, {}});
    return checks_.back();
  }
  static void problem(VerifyCheck& check, std::string what) {
    ++check.problems;
    if (check.listed.size() < kProblemsListedMax) check.listed.push_back(std::move(what));
  }
  // Damage is a problem; anything else keeps us from looking.
  static Status judge(VerifyCheck& check, const Status& status) {
    if (status.is_ok()) return status;
    if (status.code() != Code::kDataLoss) return status;
    problem(check, status.message());
    return Status::ok();
  }
  Status one_checkpoint(VerifyCheck& check, const CheckpointInfo& info);
  Status slots(VerifyCheck& check, std::uint64_t checkpoint, std::uint64_t size);

  const Store& store_;
  const VerifyHooks& hooks_;
  Walk walk_;
  std::vector<VerifyCheck> checks_;
  Presence present_;
  std::uint64_t first_seq_ = 0;                                           // in the log; 0: none
  std::uint64_t events_ = 0;                                              // in the log
  bool origins_ = false;                                                  // of all events in the log
  std::map<std::int32_t, std::pair<std::uint64_t, std::uint64_t>> sums_;  // partition -> events, hash
};

Status Verifier::tables(const std::vector<TableFile>& files) {
  VerifyCheck& check = begin("table files", "files");
  for (const TableFile& file : files) {
    const Status status = store_.verify_table(file);
    if (status.code() != Code::kNotFound) {  // replaced by a compaction of the daemon
      ++check.checked;
      TRY(judge(check, status));
    }
    TRY(walk_.add(file.bytes));
  }
  return Status::ok();
}

Status Verifier::events() {
  VerifyCheck& check = begin("event log", "events");
  const std::uint64_t last_seq = store_.last_seq();
  std::size_t size = 0;
  origins_ = static_cast<bool>(hooks_.origin_of);
  const Status walked = store_.scan(0, UINT64_MAX, [&](std::uint64_t seq, std::string_view record) -> Status {
    ++check.checked;
    if (first_seq_ == 0) first_seq_ = seq;
    if (seq == 0 || seq > last_seq) {
      problem(check, fmt::format("event {} is beyond the end of the log, {}", seq, last_seq));
      return Status::ok();
    }
    ++events_;
    present_.add(seq);
    if (size == 0) size = record.size();
    if (record.size() != size)
      problem(check, fmt::format("event {} has {} bytes, others {}", seq, record.size(), size));
    if (hooks_.origin_of) {
      const auto origin = hooks_.origin_of(record);
      if (origin.is_ok()) {
        auto& [count, hash] = sums_[origin->position.partition];
        ++count;
        hash += ledger_mix(origin->position.offset, origin->value_hash);
      } else {
        origins_ = false;
        problem(check, fmt::format("event {}: {}", seq, origin.status().message()));
      }
    }
    return walk_.add(record.size());
  });
  TRY(judge(check, walked));

  // What is redone after the oldest checkpoint must be there without holes.
  const auto kept = store_.checkpoints();
  std::uint64_t needed = 1;
  if (!kept.empty()) {
    needed = kept.front().seq + 1;
    const auto checkpoint = store_.read_checkpoint(kept.front().id, "run");
    if (checkpoint.is_ok() && hooks_.needs_from) {
      const auto from = hooks_.needs_from(*checkpoint);
      if (from.is_ok()) needed = std::min(needed, *from);
    }
  }
  for (std::uint64_t seq = needed; seq <= last_seq; ++seq) {
    if (!present_.has(seq)) problem(check, fmt::format("event {} is missing, which a redo needs", seq));
  }
  return Status::ok();
}

Status Verifier::order() {
  VerifyCheck& check = begin("order", "entries");
  const auto entries = store_.order_since(0);
  if (!entries.is_ok()) return judge(check, entries.status());
  const auto kept = store_.checkpoints();
  const std::uint64_t needed = kept.empty() ? 0 : kept.front().order_index;
  std::uint64_t next = needed;
  std::uint64_t seq = 0;
  for (const auto& [index, entry] : *entries) {
    ++check.checked;
    if (index >= needed && index != next) problem(check, fmt::format("entry {} follows entry {}", index, next - 1));
    if (index >= needed) next = index + 1;
    if (entry.seq < seq || entry.seq > store_.last_seq()) {
      problem(check, fmt::format("entry {} stands after event {}, the one before after {}", index, entry.seq, seq));
    }
    seq = entry.seq;
  }
  if (next != std::max(needed, store_.next_order_index())) {
    problem(check, fmt::format("it ends with entry {}, {} were written", next, store_.next_order_index()));
  }
  return Status::ok();
}

Status Verifier::slots(VerifyCheck& check, std::uint64_t checkpoint, std::uint64_t size) {
  std::uint64_t seen = 0;
  TRY(judge(
      check, store_.read_pages(checkpoint, kReplaySpace, [&](std::uint64_t page, std::string_view bytes) -> Status {
        const std::uint64_t first = page * kSlotsPerPage;
        const std::uint64_t count = first < size ? std::min(kSlotsPerPage, size - first) : 0;
        if (bytes.size() < count * sizeof(std::uint64_t)) {
          problem(check, fmt::format("checkpoint {}: page {} of the replay memory is too short", checkpoint, page));
          return Status::ok();
        }
        for (std::uint64_t slot = 0; slot < count; ++slot) {
          std::uint64_t seq = 0;
          std::memcpy(&seq, bytes.data() + slot * sizeof seq, sizeof seq);
          if (present_.has(seq)) continue;
          problem(check, fmt::format("checkpoint {}: slot {} holds event {}, which is not in the log", checkpoint,
                                     first + slot, seq));
        }
        seen += count;
        return walk_.add(bytes.size());
      })));
  if (seen != size) {
    problem(check, fmt::format("checkpoint {}: the replay memory has {} of its {} slots", checkpoint, seen, size));
  }
  return Status::ok();
}

Status Verifier::one_checkpoint(VerifyCheck& check, const CheckpointInfo& info) {
  const auto read = store_.read_checkpoint(info.id);
  if (read.code() == Code::kNotFound) return Status::ok();  // retired meanwhile
  if (!read.is_ok()) return judge(check, read.status());
  // The pages that the state hash covers; what stands beyond them is left of a memory that was longer.
  std::map<std::uint32_t, std::uint64_t> counts;
  std::uint64_t size = 0;
  const auto header = read->blobs.find(kReplayBlob);
  if (header != read->blobs.end()) {
    const auto summary = ReplayMemory::summary(header->second);
    TRY(judge(check, summary.is_ok() ? Status::ok() : summary.status()));
    if (summary.is_ok()) {
      size = summary->size;
      counts = ReplayMemory::page_counts(*summary);
    }
  }
  PageHashes pages;
  for (const std::uint32_t space : store_.page_spaces()) {
    TRY(judge(check, store_.read_pages(info.id, space, [&](std::uint64_t page, std::string_view bytes) -> Status {
      if (counts.contains(space)) pages.set(space, page, bytes);
      return walk_.add(bytes.size());
    })));
  }
  StateHash found;
  if (!counts.empty()) {
    TRY(slots(check, info.id, size));
    for (const auto& [space, count] : counts) pages.resize(space, count);
    pages.add_to(found);
  }
  const auto blob = read->blobs.find(kStateHashBlob);
  if (blob == read->blobs.end()) return Status::ok();  // written by format 1
  const auto stored = decode_state_hash(blob->second);
  if (!stored.is_ok()) return judge(check, stored.status());
  for (const auto& [name, bytes] : read->blobs) {
    if (stored->parts.contains(name)) found.set(name, hash_text(bytes));
  }
  for (const auto& [name, hash] : found.parts) {
    const auto wanted = stored->parts.find(name);
    if (wanted != stored->parts.end() && wanted->second == hash) continue;
    problem(check, fmt::format("checkpoint {}: {} is not what its state hash was made of", info.id, name));
  }
  return Status::ok();
}

Status Verifier::checkpoints() {
  VerifyCheck& check = begin("checkpoints", "checkpoints");
  for (const CheckpointInfo& info : store_.checkpoints()) {
    ++check.checked;
    TRY(one_checkpoint(check, info));
  }
  return Status::ok();
}

void Verifier::ledger() {
  VerifyCheck& check = begin("ledger", "partitions");
  std::uint64_t learnt = 0;
  const bool complete = origins_ && first_seq_ == 1 && events_ == store_.last_seq();
  for (const PartitionLedger& ledger : store_.ledger()) {
    ++check.checked;
    learnt += ledger.learnt;
    const std::uint64_t accounted = ledger.learnt + ledger.skipped_total() + ledger.missing + ledger.left_out;
    const std::uint64_t offsets =
        ledger.first_offset < 0 ? 0 : static_cast<std::uint64_t>(ledger.next_offset - ledger.first_offset);
    if (accounted != offsets && ledger.restarts == 0) {  // else the counts are those of several topics
      problem(check,
              fmt::format("partition {}: {} offsets came, {} are accounted for", ledger.partition, offsets, accounted));
    }
    if (!complete) continue;
    const auto& [count, hash] = sums_[ledger.partition];
    if (count != ledger.learnt || hash != ledger.hash) {
      problem(check, fmt::format("partition {}: the log holds {} events with hash {:016x}, the ledger says {} with "
                                 "{:016x}",
                                 ledger.partition, count, hash, ledger.learnt, ledger.hash));
    }
  }
  if (learnt != store_.last_seq()) {
    problem(check, fmt::format("{} events were learnt from, {} were numbered", learnt, store_.last_seq()));
  }
}

}  // namespace

bool VerifyReport::sound() const {
  return std::all_of(checks.begin(), checks.end(), [](const VerifyCheck& check) { return check.problems == 0; });
}

Result<VerifyReport> verify_store(const Store& store, const VerifyHooks& hooks, const WorkStep& step) {
  const std::vector<TableFile> files = store.table_files();
  std::uint64_t total = 0;
  for (const TableFile& file : files) total += file.family == "events" ? 2 * file.bytes : file.bytes;
  Verifier verifier(store, hooks, step, total);
  TRY(verifier.tables(files));
  TRY(verifier.events());
  TRY(verifier.order());
  TRY(verifier.checkpoints());
  verifier.ledger();
  return verifier.take();
}

std::string to_json(const VerifyReport& report) {
  JsonWriter json(0);
  json.begin_object();
  json.field("path", report.path);
  json.field("sound", report.sound());
  json.key("checks");
  json.begin_array();
  for (const VerifyCheck& check : report.checks) {
    json.begin_object();
    json.field("name", check.name);
    json.field("unit", check.unit);
    json.field("checked", check.checked);
    json.field("problems", check.problems);
    json.key("listed");
    json.begin_array();
    for (const std::string& problem : check.listed) json.value(problem);
    json.end_array();
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return json.take();
}

}  // namespace freshet
