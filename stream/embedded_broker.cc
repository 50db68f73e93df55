#include "stream/embedded_broker.h"

#include <fmt/format.h>

#include "stream/kafka_client.h"

#include <librdkafka/rdkafka_mock.h>  // wants rdkafka.h before it

namespace freshet {
namespace {
constexpr std::size_t kRecordOverhead = 80;  // bytes that the broker counts beside the value, generously
constexpr int kWaitMs = 2;
}  // namespace

struct EmbeddedBroker::Cluster {
  KafkaClient handle;
  rd_kafka_mock_cluster_t* mock = nullptr;
  ~Cluster() {
    if (mock != nullptr) rd_kafka_mock_cluster_destroy(mock);
  }
};

EmbeddedBroker::EmbeddedBroker() : cluster_(std::make_unique<Cluster>()) {}
EmbeddedBroker::~EmbeddedBroker() = default;

Result<std::unique_ptr<EmbeddedBroker>> EmbeddedBroker::start() {
  std::unique_ptr<EmbeddedBroker> broker(new EmbeddedBroker());
  KafkaConfig config("the embedded broker");
  TRY(config.set("client.id", "freshet-embedded-broker"));
  rd_kafka_conf_set_log_cb(config.conf(), [](const rd_kafka_t*, int, const char*, const char*) {});
  broker->cluster_->handle = TRY(config.create(RD_KAFKA_PRODUCER));
  broker->cluster_->mock = rd_kafka_mock_cluster_new(broker->cluster_->handle.get(), 1);
  if (broker->cluster_->mock == nullptr) return unavailable("the embedded broker cannot open a port on 127.0.0.1");
  broker->brokers_ = rd_kafka_mock_cluster_bootstraps(broker->cluster_->mock);
  return broker;
}

Status EmbeddedBroker::create_topic(const std::string& topic, std::int32_t partitions) {
  return kafka_status(rd_kafka_mock_topic_create(cluster_->mock, topic.c_str(), partitions, 1),
                      fmt::format("the embedded broker cannot create topic '{}'", topic));
}

struct PacedProducer::Client {
  KafkaClient handle;
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;  // the first delivery that failed
};

PacedProducer::PacedProducer(PacedProducerOptions options, std::function<std::int64_t(std::int32_t)> next_offset)
    : options_(std::move(options)),
      next_offset_(std::move(next_offset)),
      unread_(static_cast<std::size_t>(options_.partitions)),
      client_(std::make_unique<Client>()) {}

PacedProducer::~PacedProducer() {
  if (client_->handle) rd_kafka_purge(client_->handle.get(), RD_KAFKA_PURGE_F_QUEUE);
}

Result<std::unique_ptr<PacedProducer>> PacedProducer::create(const PacedProducerOptions& options,
                                                             std::function<std::int64_t(std::int32_t)> next_offset) {
  if (options.partitions <= 0) return invalid_argument("a topic has one partition at least");
  std::unique_ptr<PacedProducer> producer(new PacedProducer(options, std::move(next_offset)));
  KafkaConfig config("the demo's producer");
  TRY(config.set("bootstrap.servers", options.brokers));
  TRY(config.set("linger.ms", "5"));
  TRY(config.set("acks", "all"));
  TRY(config.set("enable.idempotence", "true"));  // retries keep the order, so offsets can be counted here
  rd_kafka_conf_set_opaque(config.conf(), producer->client_.get());
  rd_kafka_conf_set_log_cb(config.conf(), [](const rd_kafka_t*, int, const char*, const char*) {});
  rd_kafka_conf_set_dr_msg_cb(config.conf(), [](rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
    auto& client = *static_cast<Client*>(self);
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && client.error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      client.error = message->err;
    }
  });
  producer->client_->handle = TRY(config.create(RD_KAFKA_PRODUCER));
  return producer;
}

bool PacedProducer::has_room(std::int32_t partition) {
  Unread& unread = unread_[static_cast<std::size_t>(partition)];
  if (unread.bytes < options_.unread_bytes_max) return true;
  const std::int64_t read = next_offset_(partition);
  while (!unread.sizes.empty() && unread.next_offset - static_cast<std::int64_t>(unread.sizes.size()) < read) {
    unread.bytes -= unread.sizes.front();
    unread.sizes.pop_front();
  }
  return unread.bytes < options_.unread_bytes_max;
}

Status PacedProducer::send(std::int32_t partition, std::string_view value, std::int64_t timestamp_ms) {
  if (partition < 0 || partition >= options_.partitions) {
    return invalid_argument(fmt::format("topic '{}' has no partition {}", options_.topic, partition));
  }
  rd_kafka_t* const handle = client_->handle.get();
  KafkaRecord record;
  record.topic = options_.topic;
  record.partition = partition;
  record.value = &value;
  record.timestamp_ms = timestamp_ms;
  for (;;) {
    if (cancelled_) return cancelled("the producer was told to stop");
    TRY(kafka_status(client_->error, "a record was not delivered to the embedded broker"));
    if (has_room(partition)) {
      const auto code = produce_record(handle, record);
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) break;
      if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) return kafka_status(code, "cannot send to the embedded broker");
    }
    rd_kafka_poll(handle, kWaitMs);
  }
  Unread& unread = unread_[static_cast<std::size_t>(partition)];
  const std::size_t size = value.size() + kRecordOverhead;
  unread.sizes.push_back(static_cast<std::uint32_t>(size));
  unread.bytes += size;
  ++unread.next_offset;
  constexpr std::uint64_t kPollEvery = 256;
  if (++sent_ % kPollEvery == 0) rd_kafka_poll(handle, 0);
  return Status::ok();
}

Status PacedProducer::flush(std::int64_t timeout_ms) {
  TRY(kafka_status(rd_kafka_flush(client_->handle.get(), static_cast<int>(timeout_ms)),
                   "the embedded broker did not acknowledge everything"));
  return kafka_status(client_->error, "a record was not delivered to the embedded broker");
}

}  // namespace freshet
