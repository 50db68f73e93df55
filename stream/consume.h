// consume_topic: reads a topic from its beginning to where it ends now, or on and on, without a consumer group and
// without committing anything.
//
// Threads: the caller's.  Owns: nothing.
// Failure: a topic that is not there is not_found; brokers that are away are waited for up to the time-out.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/log.h"
#include "core/position.h"
#include "core/status.h"
#include "stream/kafka_options.h"

namespace freshet {

struct ConsumeOptions {
  KafkaConnection connection{};
  std::string topic{};
  bool follow = false;  // true: goes on at the end, and begins there if `from_beginning` is false
  bool from_beginning = true;
  std::uint64_t records_max = 0;              // 0: all
  std::chrono::milliseconds timeout{30'000};  // without a record while records are known to be there
};

// Borrowed for the call.
struct ConsumedRecord {
  Position position;
  std::int64_t timestamp_ms = 0;
  bool has_key = false;
  bool has_value = false;
  std::string_view key;
  std::string_view value;
  std::vector<std::pair<std::string_view, std::string_view>> headers;
};

// `sink` gets each record; with null when nothing is at hand, a few times a second. False ends the reading.
// Gives the number of records.
Result<std::uint64_t> consume_topic(const ConsumeOptions& options, Log& log,
                                    const std::function<bool(const ConsumedRecord*)>& sink);

// One line of JSON: partition, offset, timestamp, key, headers, and the value, as it is if it is JSON itself, else as
// text.
std::string consumed_record_json(const ConsumedRecord& record);

}  // namespace freshet
