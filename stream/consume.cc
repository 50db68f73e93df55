#include "stream/consume.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <array>
#include <map>

#include "stream/json_text.h"
#include "stream/kafka_client.h"

namespace freshet {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kMetadataTimeout{10'000};
constexpr int kPollMs = 100;
constexpr std::array<std::string_view, 4> kReserved = {"bootstrap.servers", "enable.auto.commit",
                                                       "enable.partition.eof", "auto.offset.reset"};

std::string_view bytes_of(const void* data, std::size_t size) { return {static_cast<const char*>(data), size}; }

void fill(const rd_kafka_message_t& message, ConsumedRecord& record) {
  record.position = {message.partition, message.offset};
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  record.timestamp_ms = rd_kafka_message_timestamp(&message, &type);
  record.has_key = message.key != nullptr;
  record.has_value = message.payload != nullptr;
  record.key = bytes_of(message.key, message.key_len);
  record.value = bytes_of(message.payload, message.len);
  record.headers.clear();
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  const char* name = nullptr;
  const void* bytes = nullptr;
  std::size_t size = 0;
  while (rd_kafka_header_get_all(headers, record.headers.size(), &name, &bytes, &size) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    record.headers.emplace_back(name, bytes_of(bytes, size));
  }
}

class Reader {
 public:
  explicit Reader(const ConsumeOptions& options) : options_(options) {}
  ~Reader() {
    if (client_) rd_kafka_consumer_close(client_.get());
  }

  Status connect(Log& log) {
    KafkaConfig config("freshet consume");
    TRY(config.set("isolation.level", "read_committed"));
    TRY(config.set("group.id", "freshet-consume"));  // librdkafka wants one; nothing is committed to it
    TRY(config.apply(options_.connection, kReserved));
    TRY(config.set("enable.auto.commit", "false"));
    TRY(config.set("enable.partition.eof", "true"));
    TRY(config.set("auto.offset.reset", "earliest"));
    rd_kafka_conf_set_opaque(config.conf(), &log);
    rd_kafka_conf_set_log_cb(config.conf(), [](const rd_kafka_t* client, int, const char* facility, const char* text) {
      static_cast<Log*>(rd_kafka_opaque(client))->warning("librdkafka", text, {{"facility", facility}});
    });
    client_ = TRY(config.create(RD_KAFKA_CONSUMER));
    rd_kafka_poll_set_consumer(client_.get());
    return assign();
  }

  Result<std::uint64_t> read(const std::function<bool(const ConsumedRecord*)>& sink) {
    std::uint64_t count = 0;
    ConsumedRecord record;
    auto last = SteadyClock::now();
    while (options_.follow || !ends_.empty()) {
      const KafkaOwned<rd_kafka_message_t> message(rd_kafka_consumer_poll(client_.get(), kPollMs));
      if (!message) {
        if (!sink(nullptr)) return count;
        if (!options_.follow && SteadyClock::now() - last > options_.timeout) {
          return unavailable(fmt::format("topic '{}' gave nothing for {} s though records are left", options_.topic,
                                         options_.timeout.count() / 1000));
        }
        continue;
      }
      if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        ends_.erase(message->partition);
        continue;
      }
      if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        TRY(kafka_status(message->err, fmt::format("cannot read topic '{}'", options_.topic)));
      }
      last = SteadyClock::now();
      const auto end = ends_.find(message->partition);
      if (!options_.follow && (end == ends_.end() || message->offset >= end->second)) {
        ends_.erase(message->partition);  // came after we began
        continue;
      }
      fill(*message, record);
      ++count;
      if (!sink(&record) || count == options_.records_max) return count;
      if (end != ends_.end() && message->offset + 1 >= end->second) ends_.erase(end);
    }
    return count;
  }

 private:
  Status assign() {
    const std::int32_t partitions = TRY(partition_count(client_.get(), options_.topic, kMetadataTimeout));
    const KafkaPartitions list(rd_kafka_topic_partition_list_new(partitions));
    for (std::int32_t partition = 0; partition < partitions; ++partition) {
      std::int64_t low = 0;
      std::int64_t high = 0;
      TRY(kafka_status(rd_kafka_query_watermark_offsets(client_.get(), options_.topic.c_str(), partition, &low, &high,
                                                        static_cast<int>(kMetadataTimeout.count())),
                       "cannot ask for the end of a partition"));
      if (low < high) ends_[partition] = high;
      auto* const entry = rd_kafka_topic_partition_list_add(list.get(), options_.topic.c_str(), partition);
      entry->offset = options_.from_beginning ? low : high;
    }
    return kafka_status(rd_kafka_assign(client_.get(), list.get()), "cannot read the partitions");
  }

  const ConsumeOptions& options_;
  KafkaClient client_;
  std::map<std::int32_t, std::int64_t> ends_;  // of partitions with records left to read
};

}  // namespace

Result<std::uint64_t> consume_topic(const ConsumeOptions& options, Log& log,
                                    const std::function<bool(const ConsumedRecord*)>& sink) {
  Reader reader(options);
  TRY(reader.connect(log));
  if (!options.follow && !options.from_beginning) return std::uint64_t{0};
  return reader.read(sink);
}

std::string consumed_record_json(const ConsumedRecord& record) {
  std::string out = fmt::format("{{\"partition\":{},\"offset\":{},\"timestamp\":{}", record.position.partition,
                                record.position.offset, record.timestamp_ms);
  if (record.has_key) {
    out.push_back(',');
    append_json_bytes(out, "key", record.key);
  }
  if (!record.headers.empty()) {
    out += ",\"headers\":{";
    for (std::size_t i = 0; i < record.headers.size(); ++i) {
      if (i != 0) out.push_back(',');
      append_json_bytes(out, record.headers[i].first, record.headers[i].second);
    }
    out.push_back('}');
  }
  if (!record.has_value) return out + ",\"value\":null}";
  const simdjson::padded_string text(record.value);
  simdjson::dom::parser parser;
  simdjson::dom::element element;
  out.push_back(',');
  if (parser.parse(text).get(element) == simdjson::SUCCESS) {
    out += "\"value\":" + simdjson::minify(element);
  } else {
    append_json_bytes(out, "value", record.value);
  }
  return out + "}";
}

}  // namespace freshet
