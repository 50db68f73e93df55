#include "stream/kafka_poller.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <future>
#include <memory>
#include <system_error>
#include <thread>

#include "stream/record_identity.h"
#include "stream/stream_metrics.h"

namespace freshet {
namespace {

constexpr int kPollMs = 100;
constexpr int kFinalCommitMs = 3'000;
constexpr std::chrono::seconds kDestroyPatience{5};
constexpr std::size_t kQueueSlack = 4;  // batches that may still come after the partitions were paused

// Freshet keeps the positions and decides what happens to lost ones, so these are not the user's to change.
constexpr std::array<std::string_view, 8> kReserved = {
    "group.id",          "enable.auto.commit",   "enable.auto.offset.store",      "auto.offset.reset",
    "bootstrap.servers", "enable.partition.eof", "partition.assignment.strategy", "statistics.interval.ms"};

std::string_view bytes_of(const void* data, std::size_t size) { return {static_cast<const char*>(data), size}; }

}  // namespace

KafkaPoller::KafkaPoller(const KafkaSourceOptions& options, const Schema& schema, DeadLetterSink& dead_letters,
                         MetricsRegistry& metrics, Log& log, const Clock& clock)
    : options_(options),
      schema_(schema),
      dead_letters_(dead_letters),
      log_(log),
      clock_(clock),
      events_(log, metrics),
      statistics_(metrics, options.topic),
      decoder_(schema, options.decoder),
      skipped_(skipped_counters(metrics)),
      consumed_(consumed_counter(metrics)),
      decoded_(decoded_counter(metrics)),
      gaps_(metrics.counter("freshet_offset_gaps_total", "Places where offsets are missing between two records read.")),
      lost_(metrics.counter("freshet_offsets_lost_total", "Records that the broker deleted before they were read.")),
      rebalances_(metrics.counter("freshet_rebalances_total", "Times that partitions were assigned or revoked.")),
      paused_gauge_(
          metrics.gauge("freshet_consumer_paused", "1 while the pipeline cannot keep up and fetching rests.")),
      assigned_gauge_(metrics.gauge("freshet_assigned_partitions", "Partitions that this process reads.")),
      queue_(options.pause_at_batches + kQueueSlack),
      free_(options.pause_at_batches + kQueueSlack) {}

KafkaPoller::~KafkaPoller() {
  stop();
  if (!client_) return;
  // The consumer was closed by close(), as far as it can be: destroying it must not wait for a broker once more. And
  // not for itself: after its topic was deleted and made anew, librdkafka 2.0.2 may wait for ever for a broker's thread
  // that still counts a reference of the old topic. Such a client is left behind, mute; its other callbacks come from
  // polls.
  rd_kafka_set_log_level(client_.get(), 0);
  auto destroyed = std::make_shared<std::promise<void>>();
  const auto done = destroyed->get_future();
  rd_kafka_t* const client = client_.release();
  try {
    std::thread([client, destroyed] {
      rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
      destroyed->set_value();
    }).detach();
  } catch (const std::system_error& error) {
    log_.warning("consumer_left", "the Kafka client is left behind: there is no thread to end it",
                 {{"error", error.what()}});
    return;
  }
  if (done.wait_for(kDestroyPatience) != std::future_status::ready) {
    log_.warning("consumer_left", "the Kafka client does not end; it is left behind");
  }
}

Status KafkaPoller::create() {
  KafkaConfig config("the consumer of the stream");
  TRY(config.set("isolation.level", "read_committed"));
  TRY(config.set("fetch.error.backoff.ms", "100"));
  TRY(config.set("queued.max.messages.kbytes", "16384"));
  TRY(config.set("topic.metadata.refresh.interval.ms", "30000"));  // how soon new partitions are noticed
  TRY(config.apply(options_.connection, kReserved));
  TRY(config.set("group.id", options_.group));
  TRY(config.set("enable.auto.commit", "false"));
  TRY(config.set("enable.auto.offset.store", "false"));
  TRY(config.set("enable.partition.eof", "false"));
  TRY(config.set("auto.offset.reset", "error"));
  TRY(config.set("partition.assignment.strategy", "cooperative-sticky"));
  TRY(config.set("statistics.interval.ms", std::to_string(options_.statistics_every.count())));
  rd_kafka_conf_set_opaque(config.conf(), this);
  rd_kafka_conf_set_rebalance_cb(config.conf(), &KafkaPoller::on_rebalance);
  rd_kafka_conf_set_error_cb(config.conf(), &KafkaPoller::on_error);
  rd_kafka_conf_set_log_cb(config.conf(), &KafkaPoller::on_log);
  rd_kafka_conf_set_stats_cb(config.conf(), &KafkaPoller::on_statistics);
  rd_kafka_conf_set_offset_commit_cb(config.conf(), &KafkaPoller::on_commit);
  client_ = TRY(config.create(RD_KAFKA_CONSUMER));
  rd_kafka_poll_set_consumer(client_.get());
  return Status::ok();
}

Status KafkaPoller::start(const NextOffsets& next_offsets) {
  if (thread_.joinable() || stopping_) return failed_precondition("a Kafka source is started once");
  next_offsets_ = next_offsets;
  topic_is_new_ = next_offsets.empty();
  batch_ = std::make_unique<PolledBatch>(schema_, options_.batch_events);
  const KafkaPartitions topics(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(topics.get(), options_.topic.c_str(), RD_KAFKA_PARTITION_UA);
  TRY(kafka_status(rd_kafka_subscribe(client_.get(), topics.get()),
                   fmt::format("cannot subscribe to topic '{}'", options_.topic)));
  thread_ = std::thread([this] { run(); });
  return Status::ok();
}

void KafkaPoller::run() {
  const auto linger_ms = static_cast<int>(options_.linger.count());
  const auto linger_ns = std::chrono::nanoseconds(options_.linger).count();
  while (!stopping_) {
    const bool holding = !batch_->events.empty();
    const KafkaOwned<rd_kafka_message_t> message(rd_kafka_consumer_poll(client_.get(), holding ? linger_ms : kPollMs));
    if (message) handle(*message);
    if (batch_->full()) {
      hand_over(true);
      steer_flow();
    } else if (!batch_->events.empty() && (!message || clock_.monotonic_ns() - batch_begun_ns_ >= linger_ns)) {
      hand_over(false);
      steer_flow();
    } else if (!message || paused_) {
      steer_flow();
    }
  }
  close();
}

void KafkaPoller::handle(const rd_kafka_message_t& message) {
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    handle_error(message);
    return;
  }
  handle_record(message);
}

void KafkaPoller::handle_record(const rd_kafka_message_t& message) {
  const Position position = {message.partition, message.offset};
  std::int64_t expected = -1;
  {
    const std::lock_guard lock(mutex_);
    if (!failure_.is_ok()) return;  // positions stand still; the record will be read again
    const auto [entry, fresh] = next_offsets_.try_emplace(position.partition, position.offset);
    if (!fresh) expected = entry->second;
    if (position.offset >= entry->second) entry->second = position.offset + 1;
  }
  if (position.offset < expected) {
    skipped_.count(SkipReason::kDuplicate);
    return;
  }
  if (expected >= 0 && position.offset > expected) {
    gaps_.increment();
    if (options_.fail_on_gap) {
      fail(data_loss(fmt::format("partition {} goes from offset {} to {}: records are missing", position.partition,
                                 expected, position.offset)));
      return;
    }
  }
  if (batch_->full()) hand_over(true);
  const std::int64_t now_ns = clock_.monotonic_ns();
  if (batch_->events.empty()) batch_begun_ns_ = now_ns;
  rd_kafka_timestamp_type_t timestamp_type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  const std::int64_t timestamp_ms = std::max<std::int64_t>(0, rd_kafka_message_timestamp(&message, &timestamp_type));
  statistics_.read(position.partition, timestamp_ms);
  consumed_.increment();
  bytes_.fetch_add(message.len + message.key_len, std::memory_order_relaxed);
  if (message.payload == nullptr) {
    skip(message, SkipReason::kTombstone, "the record has no value", erasure_of(message));
    return;
  }
  EventBatch& events = batch_->events;
  const std::string_view value = bytes_of(message.payload, message.len);
  const DecodeOutcome outcome = decoder_.decode(value, events);
  if (!outcome) {
    skip(message, outcome.reason, outcome.detail);
    return;
  }
  const EventSpec& spec = schema_.spec();
  const std::size_t row = events.size();
  events.positions[row] = position;
  events.arrival_ns[row] = now_ns;
  events.value_hashes[row] = hash_text(value);
  if (spec.time_field.empty()) events.time_ms[row] = timestamp_ms;
  if (events.key_hashes[row] == 0) {
    events.key_hashes[row] = spec.key_field.empty() && message.key != nullptr
                                 ? hash_category(0, bytes_of(message.key, message.key_len))
                                 : hash_position(position);
  }
  events.commit_row();
  decoded_.increment();
}

// A key without a value says: forget what is known of the key.
std::uint64_t KafkaPoller::erasure_of(const rd_kafka_message_t& message) const {
  if (!options_.erase_on_tombstone || message.key == nullptr) return 0;
  return hash_category(0, bytes_of(message.key, message.key_len));
}

void KafkaPoller::skip(const rd_kafka_message_t& message, SkipReason reason, std::string_view detail,
                       std::uint64_t erased_key) {
  skipped_.count(reason);
  const Position position = {message.partition, message.offset};
  std::uint64_t ticket = 0;
  if (is_dead_letter(reason)) {
    const std::string_view key = bytes_of(message.key, message.key_len);
    const std::string_view value = bytes_of(message.payload, message.len);
    std::vector<RecordHeader> headers;
    rd_kafka_headers_t* found = nullptr;
    if (rd_kafka_message_headers(&message, &found) == RD_KAFKA_RESP_ERR_NO_ERROR) {
      const char* name = nullptr;
      const void* bytes = nullptr;
      std::size_t size = 0;
      while (rd_kafka_header_get_all(found, headers.size(), &name, &bytes, &size) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        headers.push_back({name, bytes_of(bytes, size)});
      }
    }
    DeadLetter letter;
    letter.topic = options_.topic;
    letter.position = position;
    letter.reason = reason;
    letter.detail = detail;
    letter.key = message.key != nullptr ? &key : nullptr;
    letter.value = message.payload != nullptr ? &value : nullptr;
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    letter.timestamp_ms = rd_kafka_message_timestamp(&message, &type);
    letter.headers = headers;
    ticket = dead_letters_.submit(letter);
  }
  batch_->skip({position, reason, erased_key}, ticket);
}

// Gives the batch to the queue. Without `wait` a full queue leaves it here, to be tried again.
void KafkaPoller::hand_over(bool wait) {
  if (!queue_.try_push(std::move(batch_))) {
    if (!wait && !stopping_) return;
    if (!queue_.push(std::move(batch_))) {  // closed: nobody wants it
      batch_->clear();
      return;
    }
  }
  auto recycled = free_.pop_for(std::chrono::nanoseconds(0));
  batch_ = recycled ? std::move(*recycled) : std::make_unique<PolledBatch>(schema_, options_.batch_events);
}

void KafkaPoller::steer_flow() {
  const std::size_t queued = queue_.size();
  const bool backlogged = dead_letters_.backlogged();
  if (!paused_ && (queued >= options_.pause_at_batches || backlogged)) pause(true);
  if (paused_ && queued <= options_.resume_at_batches && !backlogged) pause(false);
}

void KafkaPoller::pause(bool paused) {
  const KafkaPartitions partitions = assigned_partitions();
  const auto code = paused ? rd_kafka_pause_partitions(client_.get(), partitions.get())
                           : rd_kafka_resume_partitions(client_.get(), partitions.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) events_.error(code, "cannot pause or resume partitions");
  paused_ = paused;
  paused_gauge_.set(paused ? 1 : 0);
}

void KafkaPoller::fail(Status status) {
  log_.error("stream_failed", status.message());
  if (!batch_->events.empty()) hand_over(true);
  const std::lock_guard lock(mutex_);
  if (failure_.is_ok()) failure_ = std::move(status);
}

Status KafkaPoller::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::unique_ptr<PolledBatch> KafkaPoller::pop(std::chrono::milliseconds wait) {
  auto batch = queue_.pop_for(wait);
  return batch ? std::move(*batch) : nullptr;
}

void KafkaPoller::recycle(std::unique_ptr<PolledBatch> batch) {
  batch->clear();
  static_cast<void>(free_.try_push(std::move(batch)));
}

std::int64_t KafkaPoller::next_offset(std::int32_t partition) const {
  const std::lock_guard lock(mutex_);
  const auto found = next_offsets_.find(partition);
  return found == next_offsets_.end() ? 0 : found->second;
}

KafkaPartitions KafkaPoller::assigned_partitions() const {
  const std::lock_guard lock(mutex_);
  KafkaPartitions list(rd_kafka_topic_partition_list_new(static_cast<int>(assigned_.size())));
  for (const std::int32_t partition : assigned_) {
    rd_kafka_topic_partition_list_add(list.get(), options_.topic.c_str(), partition);
  }
  return list;
}

KafkaPartitions KafkaPoller::committable(const NextOffsets& next_offsets) const {
  const std::lock_guard lock(mutex_);
  KafkaPartitions list(rd_kafka_topic_partition_list_new(static_cast<int>(assigned_.size())));
  for (const auto& [partition, offset] : next_offsets) {
    if (!assigned_.contains(partition)) continue;  // another member's now
    rd_kafka_topic_partition_list_add(list.get(), options_.topic.c_str(), partition)->offset = offset;
  }
  return list;
}

void KafkaPoller::commit(const NextOffsets& next_offsets) {
  {
    const std::lock_guard lock(mutex_);
    durable_ = next_offsets;
  }
  const KafkaPartitions list = committable(next_offsets);
  if (list->cnt == 0 || stopping_) return;
  const auto code = rd_kafka_commit(client_.get(), list.get(), 1);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) events_.error(code, "cannot show the committed positions to the broker");
}

void KafkaPoller::stop() {
  stopping_ = true;
  queue_.close();
  if (thread_.joinable()) thread_.join();
}

// Shows the last durable positions, leaves the group and frees the client, all within stop_timeout or nearly so.
void KafkaPoller::close() {
  const KafkaOwned<rd_kafka_queue_t> queue(rd_kafka_queue_new(client_.get()));
  if (const KafkaPartitions list = committable(durable_); list->cnt > 0) {
    if (rd_kafka_commit_queue(client_.get(), list.get(), queue.get(), nullptr, nullptr) == RD_KAFKA_RESP_ERR_NO_ERROR) {
      rd_kafka_event_t* const event = rd_kafka_queue_poll(queue.get(), kFinalCommitMs);
      if (event != nullptr) rd_kafka_event_destroy(event);
    }
  }
  const auto deadline = std::chrono::steady_clock::now() + options_.stop_timeout;
  const KafkaOwned<rd_kafka_error_t> error(rd_kafka_consumer_close_queue(client_.get(), queue.get()));
  while (!error && rd_kafka_consumer_closed(client_.get()) == 0 && std::chrono::steady_clock::now() < deadline) {
    // Records that were fetched before come this way too; rd_kafka_queue_poll_callback would abort on them.
    const KafkaOwned<rd_kafka_message_t> unread(rd_kafka_consume_queue(queue.get(), kPollMs));
  }
  if (rd_kafka_consumer_closed(client_.get()) == 0) {
    log_.warning("consumer_close", "the broker did not answer in time; the group will notice by its session timeout");
  }
}

}  // namespace freshet
