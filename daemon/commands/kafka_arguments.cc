#include "daemon/commands/kafka_arguments.h"

#include <fmt/format.h>

namespace freshet {

Result<KafkaConnection> kafka_connection_of(const std::string& brokers, const std::vector<std::string>& properties) {
  KafkaConnection connection;
  connection.brokers = brokers;
  for (const std::string& property : properties) {
    const auto equals = property.find('=');
    if (equals == std::string::npos || equals == 0) {
      return invalid_argument(fmt::format("--property takes name=value, not '{}'", property));
    }
    connection.properties[property.substr(0, equals)] = property.substr(equals + 1);
  }
  return connection;
}

}  // namespace freshet
