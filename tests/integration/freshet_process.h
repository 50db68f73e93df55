// What the integration tests share: the built binary as a process, a running daemon that is asked over HTTP, and the
// first flights of the example's stream.
//
// Threads: one owner each.  Owns: processes and temporary folders, gone with the test.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "daemon/cli/temporary_folder.h"
#include "serving/http_call.h"
#include "tests/support/child_process.h"
#include "tests/support/http_client.h"
#include "tests/support/kafka/kafka_broker.h"

namespace freshet::test {

using namespace std::chrono_literals;

inline constexpr std::chrono::seconds kPatience{120};

std::string freshet_binary();
std::string example_config();  // examples/flights.yaml

// The first lines of the example's stream; at most kFlightsMax.
inline constexpr std::size_t kFlightsMax = 60'000;
std::span<const std::string> flights(std::size_t count);
// All lines of the file that the environment variable FRESHET_TEST_STREAM names, such as the whole year that
// examples/flights/prepare.py makes; without it, the first flights.
std::span<const std::string> stream_or_flights(std::size_t count);

// A prediction request for the flight of a line: the features that stand in it, as V2 inputs.
std::string infer_request(const std::string& flight);
// The text between `before` and the next `after`; empty when there is none.
std::string between(const std::string& text, const std::string& before, const std::string& after);

std::vector<std::string> with_sets(std::vector<std::string> words, const std::vector<std::string>& sets);

struct Finished {
  int exit_code = -1;  // -1: it did not end
  std::string output;
  std::string errors;
};
// Runs `freshet` with these arguments, in the source folder, to its end.
Finished run_freshet(std::vector<std::string> arguments);

// `freshet run`, on a free port.
class Daemon {
 public:
  // Waits until it answers. `config` with these overrides.
  Daemon(const std::string& config, const std::vector<std::string>& sets);
  // With other words in front of `freshet run`, such as a wrapper.
  Daemon(std::vector<std::string> before, const std::string& config, const std::vector<std::string>& sets);

  bool up() const { return port_ != 0; }
  std::uint16_t port() const { return port_; }
  ChildProcess& process() { return process_; }
  std::string log() const { return process_.errors(); }

  // From now on it is asked over TLS, trusting this file's certificates (empty: plain HTTP), with this token.
  void reach_by(std::string ca_file, std::string token) {
    ca_file_ = std::move(ca_file);
    token_ = std::move(token);
  }
  // The answer; status 0 when there is none.
  HttpAnswer ask(std::string_view method, const std::string& path, std::string_view token,
                 std::string_view body = {}) const;
  // The body of the answer; empty when there is none, or an error.
  std::string get(const std::string& path) const;
  // The number after "name": in GET /status; -1 when it is not there.
  double status(const std::string& name) const;
  // Of the first sample with this name whose labels contain `labels`; -1 when there is none.
  double metric(const std::string& name, const std::string& labels = "") const;

  bool wait_for_metric(const std::string& name, double at_least) {
    return process_.wait_until([&] { return metric(name) >= at_least; }, kPatience);
  }
  bool wait_for_events(double at_least) {
    return process_.wait_until([&] { return status("events") >= at_least; }, kPatience);
  }
  bool wait_for_log(const std::string& text) {
    return process_.wait_until([&] { return log().find(text) != std::string::npos; }, kPatience);
  }
  // Sends the signal and gives the exit code; -1 when it does not end in time.
  int end(int signal, std::chrono::milliseconds patience = 30s);

 private:
  ChildProcess process_;
  std::uint16_t port_ = 0;
  std::string ca_file_;
  std::string token_;
};

class IntegrationTest : public ::testing::Test {
 protected:
  IntegrationTest();
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  std::string write(const std::string& name, std::span<const std::string> lines) const;

 private:
  TemporaryFolder folder_;
};

// One partition as `freshet state inspect --json` tells it.
struct InspectedPartition {
  std::int32_t partition = -1;
  std::int64_t first_offset = -1;
  std::int64_t last_offset = -1;
  std::int64_t learnt = 0;
  std::int64_t skipped = 0;
  std::int64_t duplicates = 0;
  std::int64_t gaps = 0;
  std::int64_t missing = 0;
  std::int64_t restarts = 0;
  std::int64_t left_out = 0;
  std::string hash;
};
std::vector<InspectedPartition> inspect(const std::string& store);

// Tests against a real broker: a topic of its own, the flights example pointed at it.
class KafkaIntegrationTest : public IntegrationTest {
 protected:
  void SetUp() override;
  void create_topic(std::int32_t partitions);
  std::vector<std::string> daemon_sets() const;
  std::vector<std::string> produce_command(const std::string& file, double rate = 0) const;
  void produce(const std::string& file) const;

  // Line i of `lines` goes to partition i % partitions: what each partition's ledger must say then.
  static std::vector<InspectedPartition> expected(std::span<const std::string> lines, std::int32_t partitions);
  // Each offset exactly once, and the same content.
  static void expect_exactly(const std::string& store, std::span<const std::string> lines, std::int32_t partitions);

  // Learns `lines` in parts, one daemon after the other: each part is sent while its daemon runs, and each daemon but
  // the last gets `signal` while its part is on the way.
  void learn_with_stops(std::span<const std::string> lines, std::int32_t partitions, std::size_t stops, int signal,
                        const std::vector<std::string>& sets);

  KafkaBroker* broker = nullptr;
  std::string topic;
};

}  // namespace freshet::test
