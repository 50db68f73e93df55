// The arguments by which commands without a configuration file reach a cluster.
//
// Threads: pure.  Failure: a property that is not name=value is named.
#pragma once

#include <string>
#include <vector>

#include "core/status.h"
#include "stream/kafka_options.h"

namespace freshet {

Result<KafkaConnection> kafka_connection_of(const std::string& brokers, const std::vector<std::string>& properties);

}  // namespace freshet
