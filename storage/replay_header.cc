#include "storage/replay_header.h"

#include <fmt/format.h>

namespace freshet {
namespace {

constexpr std::uint64_t kColumnsMax = 1024;

}  // namespace

void write_replay_header(const ReplaySummary& summary, ByteWriter& writer) {
  writer.put(kReplayHeaderFormat);
  writer.put_text(summary.policy);
  writer.put(summary.capacity);
  writer.put(summary.ttl_ms);
  writer.put(summary.size);
  writer.put(summary.seen);
  writer.put(summary.capacity_bytes);
  writer.put(summary.record_bytes);
  writer.put_text(summary.sampling);
  writer.put(summary.metadata_bytes);
  writer.put<std::uint64_t>(summary.columns.size());
  for (const MetadataColumn& column : summary.columns) {
    writer.put_text(column.name);
    writer.put(column.width);
  }
}

Result<ReplayHeader> read_replay_header(ByteReader& reader) {
  ReplayHeader header;
  header.format = reader.get<std::uint32_t>();
  if (!reader.ok()) return data_loss("the replay memory's header is too short");
  if (header.format == 0 || header.format > kReplayHeaderFormat) {
    return failed_precondition(
        fmt::format("the replay memory has format {}, this build reads up to {}", header.format, kReplayHeaderFormat));
  }
  ReplaySummary& summary = header.summary;
  summary.policy = reader.get_text();
  summary.capacity = reader.get<std::uint64_t>();
  summary.ttl_ms = reader.get<std::int64_t>();
  summary.size = reader.get<std::uint64_t>();
  summary.seen = reader.get<std::uint64_t>();
  if (header.format >= 2) {
    summary.capacity_bytes = reader.get<std::uint64_t>();
    summary.record_bytes = reader.get<std::uint64_t>();
    summary.sampling = reader.get_text();
    summary.metadata_bytes = reader.get<std::uint64_t>();
    const auto columns = reader.get<std::uint64_t>();
    if (columns > kColumnsMax) return data_loss("the replay memory's header has too many columns of metadata");
    for (std::uint64_t i = 0; i < columns; ++i) {
      MetadataColumn column;
      column.name = reader.get_text();
      column.width = reader.get<std::uint32_t>();
      summary.columns.push_back(std::move(column));
    }
  }
  if (!reader.ok()) return data_loss("the replay memory's header is too short");
  return header;
}

}  // namespace freshet
