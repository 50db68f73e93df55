// StoredSource: the events that a store holds, in their order, as a source: a model is made from scratch of them
// without reading Kafka again. Over no store it is at its end at once: a pipeline on it redoes its log and stops.
//
// Threads: one owner.  Owns: nothing; the store, which nobody may write meanwhile, must outlive it.
// Failure: what the store's scan returns.
#pragma once

#include <cstdint>
#include <map>

#include "core/event_record.h"
#include "storage/store.h"
#include "stream/event_source.h"

namespace freshet {

class StoredSource final : public EventSource {
 public:
  StoredSource(const Store* store, const EventRecordCodec* codec) : store_(store), codec_(codec) {}

  Status start(const NextOffsets&) override { return Status::ok(); }
  Result<SourceState> next(EventBatch& batch, std::size_t events_max, std::chrono::milliseconds wait) override;
  void committed(const NextOffsets&) override {}
  Status acknowledge_dead_letters(std::uint64_t, std::chrono::milliseconds) override { return Status::ok(); }
  void stop() override {}
  SourceProgress progress() const override { return {next_seq_, store_ == nullptr ? 0 : store_->last_seq()}; }

 private:
  const Store* store_;
  const EventRecordCodec* codec_;
  std::uint64_t next_seq_ = 1;
  std::map<std::int32_t, std::int64_t> next_offsets_;  // by partition
};

}  // namespace freshet
