// KafkaStatistics: the lag of each partition and the round trip of each broker, as metrics, from the statistics that
// librdkafka emits.
//
// Where a partition ends is only known as of the last answer of its broker. A broker that is heard no more may hold any
// number of new records, so the time since then counts as lag.
//
// Threads: one owner (the poll thread).  Owns: its handles.  Failure: statistics that cannot be read change nothing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "core/metrics.h"

namespace freshet {

class KafkaStatistics {
 public:
  KafkaStatistics(MetricsRegistry& metrics, std::string topic);
  ~KafkaStatistics();

  // A record of `partition` was read that was produced at `timestamp_ms`.
  void read(std::int32_t partition, std::int64_t timestamp_ms) { timestamps_[partition] = timestamp_ms; }

  // `assigned`: the partitions that this process is to read, those that it lost with its broker included.
  void update(std::string_view json, const std::map<std::int32_t, std::int64_t>& next_offsets,
              const std::set<std::int32_t>& assigned, std::int64_t wall_ms);

 private:
  struct Partition {
    Gauge* lag_events = nullptr;
    Gauge* lag_seconds = nullptr;
    std::int64_t heard_ms = 0;  // when its broker last said anything; 0: not yet
  };
  Partition& partition(std::int32_t id);

  MetricsRegistry& metrics_;
  std::string topic_;
  std::map<std::int32_t, Partition> partitions_;
  std::map<std::int32_t, std::int64_t> timestamps_;
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace freshet
