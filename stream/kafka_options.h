// KafkaConnection: how a client reaches a cluster. Free of librdkafka, so that any file may include it.
//
// Threads: values.
#pragma once

#include <map>
#include <string>

namespace freshet {

struct KafkaConnection {
  std::string brokers;  // host:port, separated by commas
  std::string client_id = "freshet";

  // Any property of librdkafka. A name that ends in "_file" (sasl.password_file) takes its value from that file, so
  // that no secret need stand in a configuration. Values of secrets are never logged.
  std::map<std::string, std::string> properties{};
};

}  // namespace freshet
