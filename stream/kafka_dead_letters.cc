#include "stream/kafka_dead_letters.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "stream/kafka_client.h"

namespace freshet {
namespace {

constexpr std::size_t kCutValueBytes = std::size_t{64} << 10;
constexpr int kPollMs = 50;
constexpr int kFlushMs = 5'000;
constexpr int kAttempts = 3;  // of one acknowledge at a letter that is refused

constexpr std::array<std::string_view, 4> kReserved = {"bootstrap.servers", "enable.idempotence", "acks",
                                                       "message.timeout.ms"};

// What is kept of a letter until it is delivered.
struct Letter {
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::int64_t timestamp_ms = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  bool cut = false;

  std::size_t bytes() const {
    std::size_t size = (key ? key->size() : 0) + (value ? value->size() : 0);
    for (const auto& [name, text] : headers) size += name.size() + text.size();
    return size;
  }
};

}  // namespace

class KafkaDeadLetters::Producer {
 public:
  Producer(const KafkaDeadLetterOptions& options, MetricsRegistry& metrics, Log& log)
      : options_(options), counters_(dead_letter_counters(metrics)), events_(log, metrics) {}

  ~Producer() {
    if (client_) rd_kafka_flush(client_.get(), kFlushMs);
  }

  Status connect() {
    KafkaClient fresh = TRY(make_client());
    const std::lock_guard lock(mutex_);
    client_ = std::shared_ptr<rd_kafka_t>(std::move(fresh));
    return Status::ok();
  }

  Result<KafkaClient> make_client() {
    KafkaConfig config("the producer of dead letters");
    TRY(config.set("message.max.bytes", "1000000000"));
    TRY(config.set("queue.buffering.max.kbytes", "1048576"));
    TRY(config.set("linger.ms", "5"));
    TRY(config.apply(options_.connection, kReserved));
    TRY(config.set("enable.idempotence", "true"));
    TRY(config.set("acks", "all"));
    TRY(config.set("message.timeout.ms", "0"));  // a broker that is away is waited for
    rd_kafka_conf_set_opaque(config.conf(), this);
    rd_kafka_conf_set_dr_msg_cb(config.conf(), &Producer::on_delivery);
    rd_kafka_conf_set_error_cb(config.conf(), &Producer::on_error);
    rd_kafka_conf_set_log_cb(config.conf(), &Producer::on_log);
    return config.create(RD_KAFKA_PRODUCER);
  }

  std::uint64_t submit(const DeadLetter& letter) {
    counters_.count(letter.reason);
    Letter kept;
    if (letter.key != nullptr) kept.key = std::string(*letter.key);
    if (letter.value != nullptr) kept.value = std::string(*letter.value);
    kept.timestamp_ms = letter.timestamp_ms;
    for (const auto& header : letter.headers) kept.headers.emplace_back(header.name, header.value);
    add_reason(letter, kept);
    std::uint64_t ticket = 0;
    {
      const std::lock_guard lock(mutex_);
      ticket = ++tickets_;
      pending_bytes_ += kept.bytes();
      pending_.emplace(ticket, std::move(kept));
    }
    produce(ticket);
    poll(0);
    return ticket;
  }

  Status acknowledge(std::uint64_t ticket, std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    TRY(renew_after_fatal_error());
    produce_refused();
    for (int attempts = 1;; poll(kPollMs)) {
      bool first_refused = false;
      {
        const std::lock_guard lock(mutex_);
        if (pending_.empty() || pending_.begin()->first > ticket) return Status::ok();
        first_refused = std::find(refused_.begin(), refused_.end(), pending_.begin()->first) != refused_.end();
        if (first_refused && attempts == kAttempts) {
          return kafka_status(last_error_, fmt::format("the dead-letter topic '{}' refuses a record", options_.topic));
        }
      }
      if (std::chrono::steady_clock::now() >= deadline) {
        return unavailable(fmt::format("dead letters for topic '{}' are not acknowledged yet", options_.topic));
      }
      if (first_refused) {
        ++attempts;
        produce_refused();
      }
    }
  }

  bool backlogged() const {
    const std::lock_guard lock(mutex_);
    return pending_bytes_ > options_.backlog_bytes_max;
  }
  void poll(int timeout_ms) { rd_kafka_poll(client().get(), timeout_ms); }

 private:
  // The client may be made anew while another thread uses it.
  std::shared_ptr<rd_kafka_t> client() const {
    const std::lock_guard lock(mutex_);
    return client_;
  }

  void produce_refused() {
    std::vector<std::uint64_t> refused;
    {
      const std::lock_guard lock(mutex_);
      refused.swap(refused_);
    }
    for (const std::uint64_t ticket : refused) produce(ticket);
  }

  void add_reason(const DeadLetter& letter, Letter& kept) const {
    const std::string reason(skip_reason_name(letter.reason));
    const std::pair<std::string_view, std::string> headers[] = {
        {"topic", std::string(letter.topic)},
        {"partition", std::to_string(letter.position.partition)},
        {"offset", std::to_string(letter.position.offset)},
        {"connector.name", options_.connector_name},
        {"task.id", "0"},
        {"stage", "VALUE_CONVERTER"},
        {"class.name", "freshet.JsonDecoder"},
        {"exception.class.name", "freshet." + reason},
        {"exception.message", std::string(letter.detail)}};
    for (const auto& [name, value] : headers)
      kept.headers.emplace_back(fmt::format("__connect.errors.{}", name), value);
  }

  void produce(std::uint64_t ticket) {
    const std::lock_guard lock(mutex_);
    const auto found = pending_.find(ticket);
    if (found == pending_.end()) return;
    const Letter& letter = found->second;
    KafkaOwned<rd_kafka_headers_t> headers(rd_kafka_headers_new(letter.headers.size()));
    for (const auto& [name, value] : letter.headers) {
      rd_kafka_header_add(headers.get(), name.data(), static_cast<ssize_t>(name.size()), value.data(),
                          static_cast<ssize_t>(value.size()));
    }
    KafkaRecord record;
    record.topic = options_.topic;
    const std::string_view key = letter.key ? *letter.key : std::string_view();
    const std::string_view value = letter.value ? *letter.value : std::string_view();
    record.key = letter.key ? &key : nullptr;
    record.value = letter.value ? &value : nullptr;
    record.timestamp_ms = letter.timestamp_ms;
    record.headers = headers.get();
    record.opaque = reinterpret_cast<void*>(ticket);  // NOLINT: a number that librdkafka carries for us
    const auto code = produce_record(client_.get(), record);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      static_cast<void>(headers.release());
    } else {
      refuse(ticket, code);
    }
  }

  // With mutex_ held.
  void refuse(std::uint64_t ticket, rd_kafka_resp_err_t code) {
    last_error_ = code;
    refused_.push_back(ticket);
    const auto found = pending_.find(ticket);
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && found != pending_.end() && !found->second.cut &&
        found->second.value) {
      Letter& letter = found->second;
      pending_bytes_ -= letter.bytes();
      letter.headers.emplace_back("freshet.value.bytes", std::to_string(letter.value->size()));
      letter.value->resize(std::min(letter.value->size(), kCutValueBytes));
      letter.cut = true;
      pending_bytes_ += letter.bytes();
    }
  }

  Status renew_after_fatal_error() {
    std::array<char, 512> why{};
    const auto old = client();
    if (rd_kafka_fatal_error(old.get(), why.data(), why.size()) == RD_KAFKA_RESP_ERR_NO_ERROR) return Status::ok();
    events_.log().warning("dead_letters", "the producer met a fatal error; it is made anew", {{"why", why.data()}});
    rd_kafka_purge(old.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(old.get(), kFlushMs);  // their reports put all letters among the refused
    return connect();
  }

  static void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
    auto& producer = *static_cast<Producer*>(self);
    const auto ticket = reinterpret_cast<std::uint64_t>(message->_private);  // NOLINT: see produce
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      producer.events_.error(message->err, "a dead letter was not delivered; it will be tried again");
    }
    const std::lock_guard lock(producer.mutex_);
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      producer.refuse(ticket, message->err);
      return;
    }
    const auto found = producer.pending_.find(ticket);
    if (found == producer.pending_.end()) return;
    producer.pending_bytes_ -= found->second.bytes();
    producer.pending_.erase(found);
  }

  static void on_error(rd_kafka_t*, int code, const char* reason, void* self) {
    static_cast<Producer*>(self)->events_.error(static_cast<rd_kafka_resp_err_t>(code), reason);
  }

  static void on_log(const rd_kafka_t* client, int, const char* facility, const char* text) {
    auto& producer = *static_cast<Producer*>(rd_kafka_opaque(client));
    producer.events_.log().debug("librdkafka", text, {{"facility", facility}});
  }

  const KafkaDeadLetterOptions options_;
  ReasonCounters counters_;
  KafkaEvents events_;
  mutable std::mutex mutex_;
  std::shared_ptr<rd_kafka_t> client_;
  std::uint64_t tickets_ = 0;
  std::map<std::uint64_t, Letter> pending_;  // submitted and not delivered, by ticket
  std::size_t pending_bytes_ = 0;
  std::vector<std::uint64_t> refused_;  // of pending_: to be produced again
  rd_kafka_resp_err_t last_error_ = RD_KAFKA_RESP_ERR_NO_ERROR;
};

KafkaDeadLetters::KafkaDeadLetters(std::unique_ptr<Producer> producer) : producer_(std::move(producer)) {}
KafkaDeadLetters::~KafkaDeadLetters() = default;

Result<std::unique_ptr<KafkaDeadLetters>> KafkaDeadLetters::create(const KafkaDeadLetterOptions& options,
                                                                   MetricsRegistry& metrics, Log& log) {
  if (options.topic.empty()) return invalid_argument("no dead-letter topic is named");
  auto producer = std::make_unique<Producer>(options, metrics, log);
  TRY(producer->connect());
  return std::unique_ptr<KafkaDeadLetters>(new KafkaDeadLetters(std::move(producer)));
}

std::uint64_t KafkaDeadLetters::submit(const DeadLetter& letter) { return producer_->submit(letter); }

Status KafkaDeadLetters::acknowledge(std::uint64_t ticket, std::chrono::milliseconds timeout) {
  return producer_->acknowledge(ticket, timeout);
}

bool KafkaDeadLetters::backlogged() const {
  producer_->poll(0);
  return producer_->backlogged();
}

}  // namespace freshet
