#include "stream/kafka_source.h"

#include "stream/kafka_poller.h"

namespace freshet {

struct KafkaSource::Taken {
  std::unique_ptr<PolledBatch> batch;
};

KafkaSource::KafkaSource(std::unique_ptr<KafkaPoller> poller, DeadLetterSink& dead_letters)
    : poller_(std::move(poller)), dead_letters_(dead_letters), taken_(std::make_unique<Taken>()) {}

KafkaSource::~KafkaSource() = default;

Result<std::unique_ptr<KafkaSource>> KafkaSource::create(const KafkaSourceOptions& options, const Schema& schema,
                                                         DeadLetterSink& dead_letters, MetricsRegistry& metrics,
                                                         Log& log, const Clock& clock) {
  if (options.topic.empty()) return invalid_argument("no topic to read is named");
  if (options.batch_events == 0 || options.pause_at_batches == 0 ||
      options.resume_at_batches >= options.pause_at_batches) {
    return invalid_argument("batch_events must be positive and resume_at_batches less than pause_at_batches");
  }
  auto poller = std::make_unique<KafkaPoller>(options, schema, dead_letters, metrics, log, clock);
  TRY(poller->create());
  return std::unique_ptr<KafkaSource>(new KafkaSource(std::move(poller), dead_letters));
}

Status KafkaSource::start(const NextOffsets& next_offsets) { return poller_->start(next_offsets); }

Result<SourceState> KafkaSource::next(EventBatch& batch, std::size_t events_max, std::chrono::milliseconds wait) {
  batch.clear();
  if (poller_->stopped()) return SourceState::kEnd;
  if (!taken_->batch) taken_->batch = poller_->pop(wait);
  if (!taken_->batch) {
    Status failure = poller_->failure();
    if (failure.is_ok()) return SourceState::kIdle;
    // What came before the failure is handed out first: it was in the queue before the failure was told.
    taken_->batch = poller_->pop(std::chrono::milliseconds(0));
    if (!taken_->batch) return failure;
  }
  if (taken_->batch->take(batch, events_max)) poller_->recycle(std::move(taken_->batch));
  return SourceState::kEvents;
}

void KafkaSource::committed(const NextOffsets& next_offsets) { poller_->commit(next_offsets); }

Status KafkaSource::acknowledge_dead_letters(std::uint64_t ticket, std::chrono::milliseconds timeout) {
  return ticket == 0 ? Status::ok() : dead_letters_.acknowledge(ticket, timeout);
}

void KafkaSource::stop() { poller_->stop(); }

SourceProgress KafkaSource::progress() const { return {poller_->bytes(), 0}; }

std::int64_t KafkaSource::next_offset(std::int32_t partition) const { return poller_->next_offset(partition); }

}  // namespace freshet
