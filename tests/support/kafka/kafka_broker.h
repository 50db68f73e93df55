// KafkaBroker: a real Kafka broker (Java, KRaft mode) for tests, on free ports of 127.0.0.1, with a folder of its own.
// The jars' folder is in the environment variable FRESHET_KAFKA_JARS, which `./dev test` sets.
//
// Threads: one owner.  Owns: the process and its folder; the process dies with the test.
// Failure: start() says what is missing or what the broker wrote last.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "core/status.h"

namespace freshet {

class KafkaBroker {
 public:
  static Result<std::unique_ptr<KafkaBroker>> start();

  // One for all tests of this process.
  static Result<KafkaBroker*> shared();

  ~KafkaBroker();
  const std::string& brokers() const { return brokers_; }

  Status create_topic(const std::string& topic, std::int32_t partitions,
                      const std::map<std::string, std::string>& config = {});
  Status add_partitions(const std::string& topic, std::int32_t partitions_in_all);
  Status delete_topic(const std::string& topic);  // returns once it is gone
  Status delete_records(const std::string& topic, std::int32_t partition, std::int64_t before_offset);

  Status stop();     // SIGTERM, and waits
  void kill();       // SIGKILL
  Status restart();  // after stop or kill: same ports, same data
  void pause();      // SIGSTOP
  void resume();     // SIGCONT

 private:
  KafkaBroker() = default;
  Status prepare();
  Status launch();
  Result<pid_t> spawn(const std::string& main_class, const std::string& arguments) const;
  Status wait_until_ready();
  Status wait_for_partitions(const std::string& topic, std::int32_t partitions) const;
  std::string last_output() const;

  std::filesystem::path folder_;
  std::string jars_;
  std::string brokers_;
  pid_t process_ = -1;
};

}  // namespace freshet
