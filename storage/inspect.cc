#include "storage/inspect.h"

#include <fmt/format.h>

#include <iterator>

#include "storage/state_hash.h"

namespace freshet {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

Result<std::string> stored_state_hash(const Store& store, std::uint64_t id) {
  const auto read = store.read_checkpoint(id, kStateHashBlob);
  if (read.code() == Code::kDataLoss) return std::string();
  if (!read.is_ok()) return read.status();
  const auto blob = read->blobs.find(kStateHashBlob);
  if (blob == read->blobs.end()) return std::string();
  const auto hash = decode_state_hash(blob->second);
  return hash.is_ok() ? hash_text_of(hash->whole) : std::string();
}

void write_partition(const PartitionLedger& ledger, std::string& json) {
  auto out = std::back_inserter(json);
  fmt::format_to(out, "{{\"partition\":{},\"first_offset\":{},\"last_offset\":{},\"next_offset\":{},\"learnt\":{}",
                 ledger.partition, ledger.first_offset, ledger.last_offset, ledger.next_offset, ledger.learnt);
  fmt::format_to(out, ",\"skipped\":{},\"skipped_by_reason\":{{", ledger.skipped_total());
  bool first = true;
  for (std::size_t reason = 0; reason < kSkipReasons; ++reason) {
    if (ledger.skipped[reason] == 0 || static_cast<SkipReason>(reason) == SkipReason::kDuplicate) continue;
    fmt::format_to(out, "{}\"{}\":{}", first ? "" : ",", skip_reason_name(static_cast<SkipReason>(reason)),
                   ledger.skipped[reason]);
    first = false;
  }
  fmt::format_to(out, "}},\"duplicates\":{},\"gaps\":{},\"missing\":{},\"restarts\":{}", ledger.duplicates(),
                 ledger.gaps, ledger.missing, ledger.restarts);
  fmt::format_to(out, ",\"left_out\":{},\"hash\":\"{:016x}\"}}", ledger.left_out, ledger.hash);
}

// The capacity in events is the one that holds; in bytes it is null where there is no such limit.
void write_memory(const ReplaySummary& memory, std::string& json) {
  auto out = std::back_inserter(json);
  fmt::format_to(out, "{{\"policy\":{},\"events\":{},\"capacity_events\":{},\"ttl_ms\":{},\"seen\":{}",
                 quoted(memory.policy), memory.size, memory.capacity, memory.ttl_ms, memory.seen);
  fmt::format_to(out, ",\"bytes\":{},\"capacity_bytes\":{},\"sampling\":{},\"metadata_bytes\":{}}}",
                 memory.size * memory.record_bytes,
                 memory.capacity_bytes == 0 ? "null" : fmt::to_string(memory.capacity_bytes), quoted(memory.sampling),
                 memory.metadata_bytes);
}

}  // namespace

Result<StoreReport> inspect_store(Store& store) {
  StoreReport report;
  report.path = store.path();
  report.format = store.format();
  report.identity = store.identity();
  report.partitions = store.ledger();
  report.last_seq = store.last_seq();
  report.stored_events_estimate = store.stored_events_estimate();
  report.next_order_index = store.next_order_index();
  for (const IndexedOrderEntry& entry : TRY(store.order_since(0))) {
    ++report.order_entries;
    if (entry.entry.kind == OrderKind::kRoundCut) ++report.round_cuts;
    if (entry.entry.kind == OrderKind::kGoLive) ++report.go_lives;
  }
  const auto checkpoint = TRY(store.latest_checkpoint());
  report.checkpoints = store.checkpoints();
  for (const CheckpointInfo& info : report.checkpoints) {
    report.state_hashes.push_back(TRY(stored_state_hash(store, info.id)));
  }
  if (checkpoint.has_value()) {
    const auto header = checkpoint->blobs.find(kReplayBlob);
    if (header != checkpoint->blobs.end()) report.memory = TRY(ReplayMemory::summary(header->second));
  }
  report.bytes_on_disk = store.bytes_on_disk();
  return report;
}

std::string to_json(const StoreReport& report) {
  std::string json;
  auto out = std::back_inserter(json);
  fmt::format_to(out, "{{\"path\":{},\"format\":{},\"fingerprint\":", quoted(report.path), report.format);
  if (report.identity.has_value()) {
    fmt::format_to(out, "\"{:016x}\"", report.identity->fingerprint);
  } else {
    json += "null";
  }
  json += ",\"partitions\":[";
  for (std::size_t i = 0; i < report.partitions.size(); ++i) {
    if (i != 0) json += ',';
    write_partition(report.partitions[i], json);
  }
  fmt::format_to(out, "],\"events\":{{\"last_seq\":{},\"stored_estimate\":{}}}", report.last_seq,
                 report.stored_events_estimate);
  fmt::format_to(out, ",\"order\":{{\"next_index\":{},\"entries\":{},\"round_cuts\":{},\"go_lives\":{}}}",
                 report.next_order_index, report.order_entries, report.round_cuts, report.go_lives);
  json += ",\"memory\":";
  if (report.memory.has_value()) {
    write_memory(*report.memory, json);
  } else {
    json += "null";
  }
  json += ",\"checkpoints\":[";
  for (std::size_t i = 0; i < report.checkpoints.size(); ++i) {
    const CheckpointInfo& info = report.checkpoints[i];
    fmt::format_to(
        out,
        "{}{{\"id\":{},\"time_ms\":{},\"seq\":{},\"order_index\":{},\"round\":{},\"model_version\":{},\"bytes\":{},"
        "\"state_hash\":{}}}",
        i == 0 ? "" : ",", info.id, info.wall_ms, info.seq, info.order_index, info.round, info.model_version,
        info.bytes, report.state_hashes[i].empty() ? "null" : quoted(report.state_hashes[i]));
  }
  fmt::format_to(out, "],\"bytes_on_disk\":{}}}", report.bytes_on_disk);
  return json;
}

}  // namespace freshet
