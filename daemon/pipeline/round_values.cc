#include "daemon/pipeline/round_values.h"

#include <algorithm>

namespace freshet {

std::vector<MetadataColumn> metadata_columns(std::span<const StoredColumn> columns) {
  std::vector<MetadataColumn> metadata;
  for (const StoredColumn& column : columns) metadata.push_back({column.name, column.width});
  return metadata;
}

void read_stored(const ReplayMemory& memory, const ReplaySample& sample, std::size_t fresh_rows, RoundValues& values) {
  const auto& columns = memory.metadata().columns();
  values.stored.resize(columns.size());
  values.to_store.resize(columns.size());
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const std::size_t width = columns[c].width;
    values.stored[c].resize(sample.slots.size() * width);
    values.to_store[c].resize(fresh_rows * width);
    float* to = values.stored[c].data();
    for (const std::uint64_t slot : sample.slots) to = std::ranges::copy(memory.metadata().values(c, slot), to).out;
  }
}

void write_fresh(ReplayMemory& memory, const EncodedBatch& fresh, std::uint64_t next_seq, const RoundValues& values) {
  if (values.to_store.empty()) return;
  for (std::size_t row = 0; row < fresh.size(); ++row) {
    const auto slot = memory.slot_of(fresh.seqs[row]);
    if (!slot.has_value()) continue;
    for (std::size_t c = 0; c < values.to_store.size(); ++c) {
      const std::size_t width = memory.metadata().columns()[c].width;
      const auto row_values = std::span<const float>(values.to_store[c]).subspan(row * width, width);
      if (is_stored(row_values)) memory.set_values(c, *slot, row_values);
    }
  }
  memory.follow_from(next_seq);
}

void view_matrices(std::vector<std::vector<float>>& matrices, std::vector<std::span<float>>& views) {
  views.assign(matrices.begin(), matrices.end());
}

}  // namespace freshet
