#include "stream/produce.h"

#include <fmt/format.h>

#include <array>
#include <chrono>

#include "core/iso_time.h"
#include "stream/json_scanner.h"
#include "stream/kafka_client.h"
#include "stream/line_reader.h"

namespace freshet {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kMetadataTimeout{10'000};
constexpr std::chrono::milliseconds kProgressEvery{250};
constexpr std::chrono::milliseconds kDeliveryTimeout{120'000};
constexpr int kPollMs = 10;
constexpr std::uint32_t kDepthMax = 64;
constexpr std::array<std::string_view, 2> kReserved = {"bootstrap.servers", "enable.idempotence"};

struct Delivery {
  std::uint64_t acknowledged = 0;
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
};

// What the record of one line needs beside its value.
struct Fields {
  bool has_key = false;
  std::string key;
  std::int64_t timestamp_ms = 0;
};

class Sender {
 public:
  Sender(const ProduceOptions& options, Log& log, const std::function<bool(const ProduceReport&)>& progress)
      : options_(options),
        log_(log),
        progress_(progress),
        scanner_(options.record_bytes_max, kDepthMax),
        parses_(!options.key_field.empty() || !options.time_field.empty()) {}

  Status run(ProduceReport& report) {
    TRY(connect());
    auto lines = TRY(LineReader::open(options_.input, options_.record_bytes_max));
    report.input_bytes_total = lines->file().bytes_total();
    begun_ = SteadyClock::now();
    Line line;
    while (options_.records_max == 0 || report.sent < options_.records_max) {
      if (!TRY(lines->next(line))) break;
      report.input_bytes_read = lines->file().bytes_read();
      if (line.text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      if (line.size > options_.record_bytes_max) {
        ++report.too_large;
        continue;
      }
      if (!wait_for_turn(report)) break;
      TRY(send(line.text, report));
      if (!keep_going(report)) break;
    }
    return Status::ok();
  }

  // Waits for the acknowledgements of what was sent.
  Status finish(ProduceReport& report) {
    if (!client_) return Status::ok();
    const auto deadline = SteadyClock::now() + kDeliveryTimeout;
    while (rd_kafka_outq_len(client_.get()) > 0 && SteadyClock::now() < deadline) {
      rd_kafka_poll(client_.get(), kPollMs);
      static_cast<void>(keep_going(report));
    }
    report.acknowledged = delivery_.acknowledged;
    report.seconds = std::chrono::duration<double>(SteadyClock::now() - begun_).count();
    TRY(kafka_status(delivery_.error, fmt::format("topic '{}' did not take a record", options_.topic)));
    if (report.acknowledged == report.sent) return Status::ok();
    return unavailable(fmt::format("the brokers acknowledged {} of {} records", report.acknowledged, report.sent));
  }

 private:
  Status connect() {
    KafkaConfig config("freshet produce");
    TRY(config.set("linger.ms", "5"));
    TRY(config.set("compression.type", "lz4"));
    TRY(config.set("partitioner", "murmur2_random"));  // where Java's clients put the same key
    TRY(config.apply(options_.connection, kReserved));
    TRY(config.set("enable.idempotence", "true"));
    rd_kafka_conf_set_opaque(config.conf(), this);
    rd_kafka_conf_set_dr_msg_cb(config.conf(), [](rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
      auto& delivery = static_cast<Sender*>(self)->delivery_;
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        ++delivery.acknowledged;
      } else if (delivery.error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        delivery.error = message->err;
      }
    });
    rd_kafka_conf_set_log_cb(config.conf(), [](const rd_kafka_t* client, int, const char* facility, const char* text) {
      static_cast<Sender*>(rd_kafka_opaque(client))->log_.warning("librdkafka", text, {{"facility", facility}});
    });
    client_ = TRY(config.create(RD_KAFKA_PRODUCER));
    if (options_.create_partitions > 0) {
      TRY(create_topic(client_.get(), options_.topic, options_.create_partitions, 1, kMetadataTimeout));
    }
    auto count = partition_count(client_.get(), options_.topic, kMetadataTimeout);
    // The creation of a topic takes a moment to be known.
    for (int tries = 0; !count && count.code() == Code::kNotFound && options_.create_partitions > 0 && tries < 50;
         ++tries) {
      rd_kafka_poll(client_.get(), 100);
      count = partition_count(client_.get(), options_.topic, kMetadataTimeout);
    }
    partitions_ = TRY(std::move(count));
    return Status::ok();
  }

  // Holds the rate; serves deliveries meanwhile.
  bool wait_for_turn(ProduceReport& report) {
    if (options_.records_per_second <= 0) return true;
    const auto due = begun_ + std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(
                                  static_cast<double>(report.sent) / options_.records_per_second));
    for (auto left = due - SteadyClock::now(); left > SteadyClock::duration::zero(); left = due - SteadyClock::now()) {
      const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
      rd_kafka_poll(client_.get(), static_cast<int>(std::min<std::int64_t>(ms + 1, 50)));
      if (!keep_going(report)) return false;
    }
    return true;
  }

  Status send(std::string_view text, ProduceReport& report) {
    fields_ = {};
    if (parses_) read_fields(text);
    if (!options_.key_field.empty() && !fields_.has_key) ++report.without_key;
    KafkaRecord record;
    record.topic = options_.topic;
    record.value = &text;
    const std::string_view key = fields_.key;
    if (fields_.has_key) {
      record.key = &key;
    } else {
      record.partition = static_cast<std::int32_t>(report.sent % static_cast<std::uint64_t>(partitions_));
    }
    record.timestamp_ms = fields_.timestamp_ms;
    for (;;) {
      TRY(kafka_status(delivery_.error, fmt::format("topic '{}' did not take a record", options_.topic)));
      const auto code = produce_record(client_.get(), record);
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) break;
      if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) return kafka_status(code, "cannot send a record");
      rd_kafka_poll(client_.get(), kPollMs);  // the queue empties, or the delivery times out and says so
      if (!keep_going(report)) return Status::ok();
    }
    ++report.sent;
    report.bytes += text.size();
    constexpr std::uint64_t kPollEvery = 512;
    if (report.sent % kPollEvery == 0) rd_kafka_poll(client_.get(), 0);
    return Status::ok();
  }

  // Lines that are no JSON are sent as they are: what is wrong with them is for their reader to say.
  void read_fields(std::string_view text) {
    if (!scanner_.begin(text)) return;
    std::string_view name;
    JsonValue value;
    while (scanner_.next_key(name)) {
      const bool key = !fields_.has_key && name == options_.key_field;
      const bool time = name == options_.time_field;
      if (!key && !time) {
        if (!scanner_.skip()) return;
        continue;
      }
      if (!scanner_.value(value)) return;
      if (value.type == JsonType::kArray || value.type == JsonType::kObject) {
        if (!scanner_.skip()) return;
        continue;
      }
      if (key && value.type != JsonType::kNull) {
        fields_.has_key = true;
        fields_.key = value.type == JsonType::kNumber   ? value.number.text
                      : value.type == JsonType::kString ? value.text
                                                        : json_type_name(value.type);
      }
      if (time && value.type == JsonType::kNumber)
        static_cast<void>(json_number_integer(value.number, fields_.timestamp_ms));
      if (time && value.type == JsonType::kString) fields_.timestamp_ms = parse_iso_time(value.text).value_or(0);
    }
  }

  bool keep_going(ProduceReport& report) {
    const auto now = SteadyClock::now();
    if (now < next_progress_) return going_;
    next_progress_ = now + kProgressEvery;
    report.acknowledged = delivery_.acknowledged;
    report.seconds = std::chrono::duration<double>(now - begun_).count();
    if (progress_ && !progress_(report)) going_ = false;
    return going_;
  }

  const ProduceOptions& options_;
  Log& log_;
  const std::function<bool(const ProduceReport&)>& progress_;
  JsonScanner scanner_;
  bool parses_;
  bool going_ = true;
  std::int32_t partitions_ = 1;
  Fields fields_;
  Delivery delivery_;
  SteadyClock::time_point begun_ = SteadyClock::now();
  SteadyClock::time_point next_progress_ = SteadyClock::now() + kProgressEvery;
  KafkaClient client_;  // last: its callbacks use the others
};

}  // namespace

ProduceReport produce_lines(const ProduceOptions& options, Log& log,
                            const std::function<bool(const ProduceReport&)>& progress) {
  ProduceReport report;
  Sender sender(options, log, progress);
  report.status = sender.run(report);
  Status finished = sender.finish(report);
  if (report.status.is_ok()) report.status = std::move(finished);
  if (progress) static_cast<void>(progress(report));
  return report;
}

}  // namespace freshet
