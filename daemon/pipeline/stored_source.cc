#include "daemon/pipeline/stored_source.h"

#include <algorithm>

namespace freshet {

Result<SourceState> StoredSource::next(EventBatch& batch, std::size_t events_max, std::chrono::milliseconds) {
  batch.clear();
  if (store_ == nullptr) return SourceState::kEnd;
  const std::size_t wanted = std::min(events_max, batch.capacity());
  if (wanted == 0) return SourceState::kIdle;
  const Status scanned =
      store_->scan(next_seq_, store_->last_seq(), [&](std::uint64_t seq, std::string_view record) -> Status {
        if (batch.size() == wanted) return cancelled("the batch is full");
        const Position at = TRY(codec_->origin_of(record)).position;
        std::int64_t& next_offset = next_offsets_[at.partition];
        if (at.offset < next_offset) {  // the topic was made anew here; a batch says so ahead of its events
          if (!batch.empty()) return cancelled("the offsets begin anew");
          batch.resets.push_back({at.partition, at.offset});
        }
        next_offset = at.offset + 1;
        next_seq_ = seq + 1;
        return codec_->decode_raw(record, batch);
      });
  if (scanned.code() == Code::kCancelled) return SourceState::kEvents;
  TRY(Status(scanned));
  return SourceState::kEnd;
}

}  // namespace freshet
