// produce_lines: sends the lines of a file to a topic, one record a line, and waits until the brokers have them all.
//
// Threads: the caller's.  Owns: nothing.
// Failure: a file or topic that is not there, or a record that the brokers refuse, ends it; the report says how far it
// came.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/log.h"
#include "core/status.h"
#include "stream/kafka_options.h"

namespace freshet {

struct ProduceOptions {
  KafkaConnection connection{};
  std::string topic{};
  std::string input{};                 // JSON lines; plain, gzip or zstd; "-": standard input
  std::string key_field{};             // the record's key, and so its partition; empty: no keys, round robin
  std::string time_field{};            // the record's timestamp; empty: now
  double records_per_second = 0;       // 0: as fast as it goes
  std::uint64_t records_max = 0;       // 0: all
  std::int32_t create_partitions = 0;  // > 0: creates the topic with so many if it is not there
  std::size_t record_bytes_max = std::size_t{1} << 20;
};

struct ProduceReport {
  std::uint64_t sent = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t without_key = 0;  // lines where key_field was absent: sent without a key
  std::uint64_t too_large = 0;    // lines left out
  std::uint64_t bytes = 0;
  std::uint64_t input_bytes_read = 0;
  std::uint64_t input_bytes_total = 0;
  double seconds = 0;
  Status status;  // ok when everything read was acknowledged
};

// `progress` is called a few times a second; false stops the sending, and what was sent is still waited for.
ProduceReport produce_lines(const ProduceOptions& options, Log& log,
                            const std::function<bool(const ProduceReport&)>& progress);

}  // namespace freshet
