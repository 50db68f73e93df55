#include "stream/kafka_statistics.h"

#include <simdjson.h>

#include <algorithm>

namespace freshet {
namespace {

// A broker answers a waiting fetch twice a second, with or without records.
constexpr std::int64_t kSilenceMs = 10'000;

}  // namespace

struct KafkaStatistics::Parser {
  simdjson::dom::parser json;
};

KafkaStatistics::KafkaStatistics(MetricsRegistry& metrics, std::string topic)
    : metrics_(metrics), topic_(std::move(topic)), parser_(std::make_unique<Parser>()) {}
KafkaStatistics::~KafkaStatistics() = default;

KafkaStatistics::Partition& KafkaStatistics::partition(std::int32_t id) {
  Partition& entry = partitions_[id];
  if (entry.lag_events == nullptr) {
    const MetricLabels labels = {{"partition", std::to_string(id)}};
    entry.lag_events = &metrics_.gauge("freshet_lag_events", "Records in the partition that are not yet read.", labels);
    entry.lag_seconds = &metrics_.gauge(
        "freshet_lag_seconds",
        "Age of the last record read while there are newer ones, or time since the broker was last heard if that is "
        "over 10 s; else 0.",
        labels);
  }
  return entry;
}

void KafkaStatistics::update(std::string_view json, const std::map<std::int32_t, std::int64_t>& next_offsets,
                             const std::set<std::int32_t>& assigned, std::int64_t wall_ms) {
  simdjson::dom::element root;
  if (parser_->json.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS) return;

  std::map<std::int64_t, std::int64_t> heard_ms;  // by broker; of those that are connected
  simdjson::dom::object brokers;
  if (root["brokers"].get(brokers) == simdjson::SUCCESS) {
    for (const auto& broker : brokers) {
      std::int64_t id = -1;
      std::int64_t average_us = 0;
      if (broker.value["nodeid"].get(id) != simdjson::SUCCESS || id < 0) continue;
      std::string_view state;
      std::int64_t idle_us = -1;
      if (broker.value["state"].get(state) == simdjson::SUCCESS && state == "UP" &&
          broker.value["rxidle"].get(idle_us) == simdjson::SUCCESS && idle_us >= 0) {
        std::int64_t& heard = heard_ms[id];  // the group's coordinator is told of twice
        heard = std::max(heard, wall_ms - idle_us / 1000);
      }
      if (broker.value["rtt"]["avg"].get(average_us) != simdjson::SUCCESS || average_us <= 0) continue;
      metrics_.gauge("freshet_broker_rtt_seconds", "Mean round trip to the broker.", {{"broker", std::to_string(id)}})
          .set(static_cast<double>(average_us) * 1e-6);
    }
  }

  simdjson::dom::object partitions;
  if (root["topics"][topic_]["partitions"].get(partitions) != simdjson::SUCCESS) return;
  for (const auto& entry : partitions) {
    std::int64_t id = -1;
    std::int64_t end = -1;
    if (entry.value["partition"].get(id) != simdjson::SUCCESS || id < 0) continue;
    if (entry.value["ls_offset"].get(end) != simdjson::SUCCESS || end < 0) continue;  // not fetched yet
    const auto number = static_cast<std::int32_t>(id);
    Partition& gauges = partition(number);
    if (!assigned.contains(number)) {
      gauges.lag_events->set(0);
      gauges.lag_seconds->set(0);
      gauges.heard_ms = 0;
      continue;
    }
    std::int64_t broker = -1;
    if (gauges.heard_ms == 0) gauges.heard_ms = wall_ms;
    if (entry.value["broker"].get(broker) == simdjson::SUCCESS) {
      const auto heard = heard_ms.find(broker);
      if (heard != heard_ms.end()) gauges.heard_ms = heard->second;
    }
    const std::int64_t silence_ms = wall_ms - gauges.heard_ms;
    const auto found = next_offsets.find(number);
    std::int64_t next = found == next_offsets.end() ? 0 : found->second;
    // The end of a partition may be markers of transactions, which are offsets that nobody reads.
    std::int64_t queued = 0;
    std::int64_t fetch_next = -1;
    if (entry.value["fetchq_cnt"].get(queued) == simdjson::SUCCESS && queued == 0 &&
        entry.value["next_offset"].get(fetch_next) == simdjson::SUCCESS) {
      next = std::max(next, fetch_next);
    }
    const std::int64_t lag = std::max<std::int64_t>(0, end - next);
    gauges.lag_events->set(static_cast<double>(lag));
    const auto timestamp = timestamps_.find(number);
    const bool behind = lag > 0 && timestamp != timestamps_.end() && timestamp->second > 0;
    const std::int64_t age_ms = behind ? wall_ms - timestamp->second : 0;
    const std::int64_t lag_ms = std::max(age_ms, silence_ms > kSilenceMs ? silence_ms : 0);
    gauges.lag_seconds->set(std::max(0.0, static_cast<double>(lag_ms) * 1e-3));
  }
}

}  // namespace freshet
