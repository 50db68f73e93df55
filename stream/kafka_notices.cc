#include "stream/kafka_notices.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <thread>

#include "stream/kafka_client.h"

namespace freshet {
namespace {

constexpr int kPollMs = 200;
constexpr int kFlushMs = 2'000;

constexpr std::array<std::string_view, 3> kReserved = {"bootstrap.servers", "enable.idempotence", "acks"};

Counter& outcome(MetricsRegistry& metrics, std::string_view name) {
  return metrics.counter("freshet_notices_total", "Notices for Kafka, by what became of them.",
                         {{"outcome", std::string(name)}});
}

}  // namespace

class KafkaNotices::Producer {
 public:
  Producer(const KafkaNoticeOptions& options, MetricsRegistry& metrics, Log& log)
      : options_(options),
        delivered_(outcome(metrics, "delivered")),
        failed_(outcome(metrics, "failed")),
        dropped_(outcome(metrics, "dropped")),
        events_(log, metrics) {}

  ~Producer() {
    if (!client_) return;
    stopping_ = true;
    thread_.join();
    rd_kafka_flush(client_.get(), kFlushMs);
  }

  Status connect() {
    KafkaConfig config("the producer of notices");
    TRY(config.set("linger.ms", "5"));
    TRY(config.set("queue.buffering.max.messages", std::to_string(options_.waiting_max)));
    TRY(config.apply(options_.connection, kReserved));
    TRY(config.set("enable.idempotence", "true"));
    TRY(config.set("acks", "all"));
    rd_kafka_conf_set_opaque(config.conf(), this);
    rd_kafka_conf_set_dr_msg_cb(config.conf(), &Producer::on_delivery);
    rd_kafka_conf_set_error_cb(config.conf(), &Producer::on_error);
    rd_kafka_conf_set_log_cb(config.conf(), &Producer::on_log);
    client_ = TRY(config.create(RD_KAFKA_PRODUCER));
    thread_ = std::thread([this] {
      while (!stopping_) rd_kafka_poll(client_.get(), kPollMs);
    });
    return Status::ok();
  }

  void post(std::string_view key, std::string_view value) {
    KafkaRecord record;
    record.topic = options_.topic;
    record.key = &key;
    record.value = &value;
    const auto code = produce_record(client_.get(), record);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    dropped_.increment();
    events_.error(code, fmt::format("a notice for topic '{}' was dropped", options_.topic));
  }

 private:
  static void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
    auto& producer = *static_cast<Producer*>(self);
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      producer.delivered_.increment();
      return;
    }
    producer.failed_.increment();
    producer.events_.error(message->err,
                           fmt::format("a notice for topic '{}' was not delivered", producer.options_.topic));
  }
  static void on_error(rd_kafka_t*, int code, const char* reason, void* self) {
    static_cast<Producer*>(self)->events_.error(static_cast<rd_kafka_resp_err_t>(code), reason);
  }
  static void on_log(const rd_kafka_t* client, int, const char* facility, const char* text) {
    auto& producer = *static_cast<Producer*>(rd_kafka_opaque(client));
    producer.events_.log().debug("librdkafka", text, {{"facility", facility}});
  }

  const KafkaNoticeOptions options_;
  Counter& delivered_;
  Counter& failed_;
  Counter& dropped_;
  KafkaEvents events_;
  KafkaClient client_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

KafkaNotices::KafkaNotices(std::unique_ptr<Producer> producer) : producer_(std::move(producer)) {}
KafkaNotices::~KafkaNotices() = default;

Result<std::unique_ptr<KafkaNotices>> KafkaNotices::create(const KafkaNoticeOptions& options, MetricsRegistry& metrics,
                                                           Log& log) {
  if (options.topic.empty()) return invalid_argument("no topic for notices is named");
  auto producer = std::make_unique<Producer>(options, metrics, log);
  TRY(producer->connect());
  return std::unique_ptr<KafkaNotices>(new KafkaNotices(std::move(producer)));
}

void KafkaNotices::post(std::string_view key, std::string_view value) { producer_->post(key, value); }

}  // namespace freshet
