// What all Kafka clients of this room share: configuring librdkafka, owning its objects, producing one record. Included
// by sources of this room and their tests only.
//
// Threads: KafkaConfig has one owner; the rest are functions and handles of librdkafka, which is thread-safe.
// Owns: KafkaConfig its conf until a client takes it.  Failure: wrong properties are invalid_argument and name
// themselves.
#pragma once

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/log.h"
#include "core/status.h"
#include "stream/dead_letters.h"
#include "stream/kafka_options.h"

namespace freshet {

struct KafkaDeleter {
  void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
  void operator()(rd_kafka_error_t* error) const { rd_kafka_error_destroy(error); }
  void operator()(rd_kafka_headers_t* headers) const { rd_kafka_headers_destroy(headers); }
  void operator()(rd_kafka_topic_partition_list_t* list) const { rd_kafka_topic_partition_list_destroy(list); }
  void operator()(const rd_kafka_metadata_t* metadata) const { rd_kafka_metadata_destroy(metadata); }
};
template <typename T>
using KafkaOwned = std::unique_ptr<T, KafkaDeleter>;
using KafkaClient = KafkaOwned<rd_kafka_t>;
using KafkaPartitions = KafkaOwned<rd_kafka_topic_partition_list_t>;

class KafkaConfig {
 public:
  explicit KafkaConfig(std::string role);  // "the consumer of stream", for messages

  // A default, which the user's properties may change.
  Status set(const std::string& name, const std::string& value);

  // The user's properties. Those in `reserved` are Freshet's own to set and are refused.
  Status apply(const KafkaConnection& connection, std::span<const std::string_view> reserved);

  rd_kafka_conf_t* conf() { return conf_.get(); }
  Result<KafkaClient> create(rd_kafka_type_t type);

 private:
  std::string role_;
  KafkaOwned<rd_kafka_conf_t> conf_;
};

// Passes librdkafka's own messages and errors to `log`; they must outlive the client.
class KafkaEvents {
 public:
  KafkaEvents(Log& log, MetricsRegistry& metrics) : log_(log), metrics_(metrics) {}
  Log& log() { return log_; }

  // Counts in freshet_kafka_errors_total{error}, and logs the same error every ten seconds at most.
  void error(rd_kafka_resp_err_t code, std::string_view what);

 private:
  Log& log_;
  MetricsRegistry& metrics_;
  std::mutex mutex_;
  std::map<int, std::chrono::steady_clock::time_point> logged_;
};

// One record to produce; borrowed for the call, librdkafka copies it.
struct KafkaRecord {
  std::string_view topic;
  std::int32_t partition = RD_KAFKA_PARTITION_UA;
  const std::string_view* key = nullptr;
  const std::string_view* value = nullptr;
  std::int64_t timestamp_ms = 0;          // 0: now
  rd_kafka_headers_t* headers = nullptr;  // taken over if the call succeeds
  void* opaque = nullptr;
};
rd_kafka_resp_err_t produce_record(rd_kafka_t* client, const KafkaRecord& record);

Status kafka_status(rd_kafka_resp_err_t code, std::string_view what);
Status kafka_status(KafkaOwned<rd_kafka_error_t> error, std::string_view what);  // ok for null

// The number of partitions of `topic`; not_found when there is no such topic.
Result<std::int32_t> partition_count(rd_kafka_t* client, const std::string& topic, std::chrono::milliseconds timeout);

// Creates `topic` unless it is there.
Status create_topic(rd_kafka_t* client, const std::string& topic, std::int32_t partitions, std::int32_t replicas,
                    std::chrono::milliseconds timeout);

}  // namespace freshet
