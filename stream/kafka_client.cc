#include "stream/kafka_client.h"

#include <fmt/format.h>

#include <array>
#include <fstream>
#include <iterator>
#include <vector>

namespace freshet {
namespace {

constexpr std::chrono::seconds kLogEvery{10};
constexpr std::string_view kFileSuffix = "_file";

bool is_secret(std::string_view name) {
  for (const std::string_view part : {"password", "secret", "token", "sasl.oauthbearer.config", ".pem", "sasl.jaas"}) {
    if (name.find(part) != std::string_view::npos) return true;
  }
  return false;
}

Result<std::string> read_secret(const std::string& name, const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return not_found(fmt::format("cannot read the file '{}' that property {} names", path, name));
  std::string text{std::istreambuf_iterator<char>(in), {}};
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (text.empty()) return invalid_argument(fmt::format("the file '{}' that property {} names is empty", path, name));
  return text;
}

}  // namespace

KafkaConfig::KafkaConfig(std::string role) : role_(std::move(role)), conf_(rd_kafka_conf_new()) {}

Status KafkaConfig::set(const std::string& name, const std::string& value) {
  std::array<char, 512> why{};
  const auto result = rd_kafka_conf_set(conf_.get(), name.c_str(), value.c_str(), why.data(), why.size());
  if (result == RD_KAFKA_CONF_OK) return Status::ok();
  if (result == RD_KAFKA_CONF_UNKNOWN) {
    return invalid_argument(
        fmt::format("'{}' is not a property of Kafka clients (librdkafka {})", name, rd_kafka_version_str()));
  }
  // librdkafka quotes the value in its reason.
  return invalid_argument(is_secret(name) ? fmt::format("Kafka property '{}' has a value that is not accepted", name)
                                          : fmt::format("Kafka property '{}': {}", name, why.data()));
}

Status KafkaConfig::apply(const KafkaConnection& connection, std::span<const std::string_view> reserved) {
  TRY(set("bootstrap.servers", connection.brokers));
  TRY(set("client.id", connection.client_id));
  for (const auto& [written, value] : connection.properties) {
    std::string name = written;
    const bool from_file = name.size() > kFileSuffix.size() && name.ends_with(kFileSuffix);
    if (from_file) name.resize(name.size() - kFileSuffix.size());
    for (const std::string_view own : reserved) {
      if (name == own) {
        return invalid_argument(
            fmt::format("Kafka property '{}' is set by Freshet itself in {}; remove it", name, role_));
      }
    }
    const std::string used = from_file ? TRY(read_secret(written, value)) : value;
    TRY(set(name, used));
  }
  return Status::ok();
}

Result<KafkaClient> KafkaConfig::create(rd_kafka_type_t type) {
  std::array<char, 512> why{};
  rd_kafka_t* const client = rd_kafka_new(type, conf_.get(), why.data(), why.size());
  if (client == nullptr) return invalid_argument(fmt::format("{} cannot be made: {}", role_, why.data()));
  static_cast<void>(conf_.release());  // the client's now
  return KafkaClient(client);
}

void KafkaEvents::error(rd_kafka_resp_err_t code, std::string_view what) {
  const std::string_view name = rd_kafka_err2name(code);
  metrics_
      .counter("freshet_kafka_errors_total", "Errors that Kafka clients met, by kind.", {{"error", std::string(name)}})
      .increment();
  {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    const auto found = logged_.find(code);
    if (found != logged_.end() && now - found->second < kLogEvery) return;
    logged_[code] = now;
  }
  log_.warning("kafka_error", what, {{"error", name}});
}

rd_kafka_resp_err_t produce_record(rd_kafka_t* client, const KafkaRecord& record) {
  const std::string topic(record.topic);
  std::array<rd_kafka_vu_t, 8> parts{};
  std::size_t count = 0;
  const auto add = [&](rd_kafka_vtype_t type) -> rd_kafka_vu_t& {
    parts[count].vtype = type;
    return parts[count++];
  };
  const auto bytes = [](const std::string_view& text) {
    // Null means "no value" to librdkafka, so an empty one needs an address.
    return const_cast<char*>(text.data() == nullptr ? "" : text.data());  // NOLINT: librdkafka's C interface; it copies
  };
  add(RD_KAFKA_VTYPE_TOPIC).u.cstr = topic.c_str();
  add(RD_KAFKA_VTYPE_PARTITION).u.i32 = record.partition;
  add(RD_KAFKA_VTYPE_MSGFLAGS).u.i = RD_KAFKA_MSG_F_COPY;
  add(RD_KAFKA_VTYPE_OPAQUE).u.ptr = record.opaque;
  if (record.timestamp_ms > 0) add(RD_KAFKA_VTYPE_TIMESTAMP).u.i64 = record.timestamp_ms;
  if (record.key != nullptr) {
    auto& part = add(RD_KAFKA_VTYPE_KEY);
    part.u.mem.ptr = bytes(*record.key);
    part.u.mem.size = record.key->size();
  }
  if (record.value != nullptr) {
    auto& part = add(RD_KAFKA_VTYPE_VALUE);
    part.u.mem.ptr = bytes(*record.value);
    part.u.mem.size = record.value->size();
  }
  if (record.headers != nullptr) add(RD_KAFKA_VTYPE_HEADERS).u.headers = record.headers;
  const KafkaOwned<rd_kafka_error_t> error(rd_kafka_produceva(client, parts.data(), count));
  return error ? rd_kafka_error_code(error.get()) : RD_KAFKA_RESP_ERR_NO_ERROR;
}

Status kafka_status(rd_kafka_resp_err_t code, std::string_view what) {
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return Status::ok();
  std::string message = fmt::format("{}: {} ({})", what, rd_kafka_err2str(code), rd_kafka_err2name(code));
  switch (code) {
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      return not_found(std::move(message));
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
      return failed_precondition(std::move(message));
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
      return invalid_argument(std::move(message));
    default:
      return unavailable(std::move(message));
  }
}

Status kafka_status(KafkaOwned<rd_kafka_error_t> error, std::string_view what) {
  if (!error) return Status::ok();
  return kafka_status(rd_kafka_error_code(error.get()),
                      fmt::format("{}: {}", what, rd_kafka_error_string(error.get())));
}

Result<std::int32_t> partition_count(rd_kafka_t* client, const std::string& topic, std::chrono::milliseconds timeout) {
  // Asked for all topics: to ask for one by name may create it.
  const rd_kafka_metadata_t* found = nullptr;
  TRY(kafka_status(rd_kafka_metadata(client, 1, nullptr, &found, static_cast<int>(timeout.count())),
                   "cannot ask the brokers for their topics"));
  const KafkaOwned<const rd_kafka_metadata_t> metadata(found);
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const auto& entry = metadata->topics[i];
    if (topic == entry.topic && entry.partition_cnt > 0) return static_cast<std::int32_t>(entry.partition_cnt);
  }
  return not_found(fmt::format("there is no topic '{}' on the brokers", topic));
}

Status create_topic(rd_kafka_t* client, const std::string& topic, std::int32_t partitions, std::int32_t replicas,
                    std::chrono::milliseconds timeout) {
  std::array<char, 512> why{};
  rd_kafka_NewTopic_t* request = rd_kafka_NewTopic_new(topic.c_str(), partitions, replicas, why.data(), why.size());
  if (request == nullptr) return invalid_argument(fmt::format("topic '{}': {}", topic, why.data()));
  const KafkaOwned<rd_kafka_queue_t> queue(rd_kafka_queue_new(client));
  rd_kafka_CreateTopics(client, &request, 1, nullptr, queue.get());
  rd_kafka_NewTopic_destroy(request);
  rd_kafka_event_t* const event = rd_kafka_queue_poll(queue.get(), static_cast<int>(timeout.count()));
  if (event == nullptr) return unavailable(fmt::format("the brokers did not answer the creation of topic '{}'", topic));
  auto code = rd_kafka_event_error(event);
  if (const auto* result = rd_kafka_event_CreateTopics_result(event); result != nullptr) {
    std::size_t count = 0;
    const auto* topics = rd_kafka_CreateTopics_result_topics(result, &count);
    if (count > 0) code = rd_kafka_topic_result_error(topics[0]);
  }
  rd_kafka_event_destroy(event);
  if (code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) return Status::ok();
  return kafka_status(code, fmt::format("cannot create topic '{}'", topic));
}

}  // namespace freshet
