#include "tests/integration/freshet_process.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <array>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include "core/hash.h"
#include "storage/ledger.h"
#include "stream/line_reader.h"

namespace freshet::test {
namespace {

constexpr std::size_t kLineBytesMax = 1 << 20;

std::vector<std::string> read_lines(const std::string& file, std::size_t lines_max) {
  std::vector<std::string> lines;
  auto reader = LineReader::open(file, kLineBytesMax);
  EXPECT_TRUE(reader.is_ok()) << reader.status().message();
  if (!reader.is_ok()) return lines;
  Line line;
  while (lines.size() < lines_max) {
    const auto more = (*reader)->next(line);
    EXPECT_TRUE(more.is_ok());
    if (!more.is_ok() || !*more) break;
    lines.emplace_back(line.text);
  }
  return lines;
}

double number_at(const std::string& text, std::size_t begin) {
  while (begin < text.size() && text[begin] == ' ') ++begin;
  double value = -1;
  std::from_chars(text.data() + begin, text.data() + text.size(), value);
  return value;
}

std::vector<std::string> run_words(std::vector<std::string> before, const std::string& config,
                                   const std::vector<std::string>& sets) {
  for (const std::string& word : {freshet_binary(), std::string("run"), std::string("--config"), config}) {
    before.push_back(word);
  }
  std::vector<std::string> all = {"serving.listen=127.0.0.1:0"};
  all.insert(all.end(), sets.begin(), sets.end());
  return with_sets(std::move(before), all);
}

}  // namespace

std::string freshet_binary() { return FRESHET_BINARY_DIR "/freshet"; }
std::string example_config() { return FRESHET_SOURCE_DIR "/examples/flights.yaml"; }

std::span<const std::string> flights(std::size_t count) {
  static const std::vector<std::string> lines =
      read_lines(FRESHET_SOURCE_DIR "/examples/flights/flights-slice.jsonl.gz", kFlightsMax);
  EXPECT_GE(lines.size(), count);
  return std::span<const std::string>(lines).first(std::min(count, lines.size()));
}

std::span<const std::string> stream_or_flights(std::size_t count) {
  const char* file = std::getenv("FRESHET_TEST_STREAM");
  if (file == nullptr) return flights(count);
  static const std::vector<std::string> lines = read_lines(file, SIZE_MAX);
  return lines;
}

std::string infer_request(const std::string& flight) {
  const YAML::Node event = YAML::Load(flight);
  std::string inputs;
  const auto add = [&](const char* name, std::string_view datatype, std::string_view quote) {
    const YAML::Node value = event[name];
    if (!value.IsDefined() || value.IsNull()) return;
    inputs += fmt::format(R"({}{{"name":"{}","shape":[1],"datatype":"{}","data":[{}{}{}]}})", inputs.empty() ? "" : ",",
                          name, datatype, quote, value.Scalar(), quote);
  };
  for (const char* name : {"carrier", "origin", "dest", "tailnum"}) add(name, "BYTES", "\"");
  for (const char* name : {"dow", "hour"}) add(name, "INT64", "");
  for (const char* name : {"distance", "temp", "wind_speed", "visib", "seats"}) add(name, "FP64", "");
  return fmt::format(R"({{"inputs":[{}]}})", inputs);
}

std::string between(const std::string& text, const std::string& before, const std::string& after) {
  const auto found = text.find(before);
  if (found == std::string::npos) return {};
  const auto begin = found + before.size();
  const auto end = text.find(after, begin);
  return end == std::string::npos ? std::string() : text.substr(begin, end - begin);
}

std::vector<std::string> with_sets(std::vector<std::string> words, const std::vector<std::string>& sets) {
  for (const std::string& set : sets) {
    words.emplace_back("--set");
    words.push_back(set);
  }
  return words;
}

Finished run_freshet(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), freshet_binary());
  ChildProcess process(arguments, {FRESHET_SOURCE_DIR, false});
  const auto exit_code = process.wait(kPatience);
  return {exit_code.value_or(-1), process.output(), process.errors()};
}

Daemon::Daemon(const std::string& config, const std::vector<std::string>& sets) : Daemon({}, config, sets) {}

Daemon::Daemon(std::vector<std::string> before, const std::string& config, const std::vector<std::string>& sets)
    : process_(run_words(std::move(before), config, sets)) {
  std::string mark;
  const bool listening = process_.wait_until(
      [&] {
        for (const char* one : {"HTTP on 127.0.0.1:", "HTTPS on 127.0.0.1:", "HTTP on 0.0.0.0:"}) {
          if (!between(log(), one, "\n").empty()) mark = one;
        }
        return !mark.empty();
      },
      kPatience);
  EXPECT_TRUE(listening) << log();
  if (listening) port_ = static_cast<std::uint16_t>(number_at(log(), log().find(mark) + mark.size()));
}

HttpAnswer Daemon::ask(std::string_view method, const std::string& path, std::string_view token,
                       std::string_view body) const {
  HttpTarget target;
  target.host = "127.0.0.1";
  target.port = port_;
  target.tls = !ca_file_.empty();
  target.ca_file = ca_file_;
  auto answer = call_http(target, method, path, token, body);
  return answer.is_ok() ? std::move(answer).value() : HttpAnswer();
}

std::string Daemon::get(const std::string& path) const {
  if (!ca_file_.empty() || !token_.empty()) {
    const HttpAnswer answer = ask("GET", path, token_);
    return answer.status == 200 ? answer.body : std::string();
  }
  HttpClient client(port_);
  if (!client.connected()) return {};
  const auto reply = client.get(path);
  return reply && reply->status == 200 ? reply->body : std::string();
}

double Daemon::status(const std::string& name) const {
  const std::string body = get("/status");
  const std::string mark = "\"" + name + "\":";
  const auto found = body.find(mark);
  return found == std::string::npos ? -1 : number_at(body, found + mark.size());
}

double Daemon::metric(const std::string& name, const std::string& labels) const {
  const std::string body = get("/metrics");
  for (std::size_t begin = 0; begin < body.size();) {
    const std::size_t end = std::min(body.find('\n', begin), body.size());
    const std::string line = body.substr(begin, end - begin);
    begin = end + 1;
    const auto space = line.rfind(' ');
    if (line.rfind(name, 0) != 0 || space == std::string::npos) continue;
    if (line[name.size()] != '{' && line[name.size()] != ' ') continue;
    if (line.find(labels) < space) return number_at(line, space + 1);
  }
  return -1;
}

int Daemon::end(int signal, std::chrono::milliseconds patience) {
  process_.signal(signal);
  return process_.wait(patience).value_or(-1);
}

namespace {

TemporaryFolder make_folder() {
  auto folder = TemporaryFolder::create("freshet-test");
  if (!folder.is_ok()) abort_with("a test cannot make its temporary folder");
  return std::move(folder).value();
}

}  // namespace

IntegrationTest::IntegrationTest() : folder_(make_folder()) {}

std::string IntegrationTest::write(const std::string& name, std::span<const std::string> lines) const {
  std::ofstream out(path(name), std::ios::binary);
  for (const std::string& line : lines) out << line << '\n';
  out.close();
  EXPECT_TRUE(out.good());
  return path(name);
}

std::vector<InspectedPartition> inspect(const std::string& store) {
  const Finished finished = run_freshet({"state", "inspect", "--json", "--path", store});
  EXPECT_EQ(finished.exit_code, 0) << finished.errors;
  std::vector<InspectedPartition> partitions;
  if (finished.exit_code != 0) return partitions;
  for (const auto& node : YAML::Load(finished.output)["partitions"]) {
    InspectedPartition partition;
    partition.partition = node["partition"].as<std::int32_t>();
    partition.first_offset = node["first_offset"].as<std::int64_t>();
    partition.last_offset = node["last_offset"].as<std::int64_t>();
    partition.learnt = node["learnt"].as<std::int64_t>();
    partition.skipped = node["skipped"].as<std::int64_t>();
    partition.duplicates = node["duplicates"].as<std::int64_t>();
    partition.gaps = node["gaps"].as<std::int64_t>();
    partition.missing = node["missing"].as<std::int64_t>();
    partition.restarts = node["restarts"].as<std::int64_t>();
    partition.left_out = node["left_out"].as<std::int64_t>();
    partition.hash = node["hash"].as<std::string>();
    partitions.push_back(partition);
  }
  return partitions;
}

void KafkaIntegrationTest::SetUp() {
  auto started = KafkaBroker::shared();
  ASSERT_TRUE(started.is_ok()) << started.status().message();
  broker = *started;
  topic = ::testing::UnitTest::GetInstance()->current_test_info()->name();
}

void KafkaIntegrationTest::create_topic(std::int32_t partitions) {
  const Status created = broker->create_topic(topic, partitions);
  ASSERT_TRUE(created.is_ok()) << created.message();
}

std::vector<std::string> KafkaIntegrationTest::daemon_sets() const {
  return {"stream.brokers=" + broker->brokers(), "stream.topic=" + topic, "stream.group=group-" + topic,
          // A daemon that was killed leaves its place in the group soon.
          "stream.properties.session.timeout.ms=2000", "stream.properties.heartbeat.interval.ms=300",
          "checkpoint.every=300ms", "memory.path=" + path("state")};
}

std::vector<std::string> KafkaIntegrationTest::produce_command(const std::string& file, double rate) const {
  std::vector<std::string> words = {freshet_binary(), "produce",         "--input", file,
                                    "--brokers",      broker->brokers(), "--topic", topic};
  if (rate > 0) {
    words.emplace_back("--rate");
    words.push_back(fmt::format("{}", rate));
  }
  return words;
}

void KafkaIntegrationTest::produce(const std::string& file) const {
  ChildProcess producer(produce_command(file));
  ASSERT_EQ(producer.wait(kPatience), 0) << producer.errors();
}

std::vector<InspectedPartition> KafkaIntegrationTest::expected(std::span<const std::string> lines,
                                                               std::int32_t partitions) {
  const auto count = static_cast<std::size_t>(partitions);
  std::vector<InspectedPartition> all(count);
  std::vector<std::uint64_t> hashes(count);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    InspectedPartition& partition = all[i % count];
    partition.first_offset = 0;
    ++partition.last_offset;
    ++partition.learnt;
    hashes[i % count] += ledger_mix(partition.last_offset, hash_text(lines[i]));
  }
  for (std::size_t i = 0; i < count; ++i) {
    all[i].partition = static_cast<std::int32_t>(i);
    all[i].hash = fmt::format("{:016x}", hashes[i]);
  }
  return all;
}

void KafkaIntegrationTest::expect_exactly(const std::string& store, std::span<const std::string> lines,
                                          std::int32_t partitions) {
  const auto found = inspect(store);
  const auto wanted = expected(lines, partitions);
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    SCOPED_TRACE(fmt::format("partition {}", i));
    EXPECT_EQ(found[i].partition, wanted[i].partition);
    EXPECT_EQ(found[i].first_offset, wanted[i].first_offset);
    EXPECT_EQ(found[i].last_offset, wanted[i].last_offset);
    EXPECT_EQ(found[i].learnt, wanted[i].learnt);
    EXPECT_EQ(found[i].skipped, 0);
    EXPECT_EQ(found[i].duplicates, 0);
    EXPECT_EQ(found[i].gaps, 0);
    EXPECT_EQ(found[i].missing, 0);
    EXPECT_EQ(found[i].restarts, 0);
    EXPECT_EQ(found[i].hash, wanted[i].hash);
  }
}

void KafkaIntegrationTest::learn_with_stops(std::span<const std::string> lines, std::int32_t partitions,
                                            std::size_t stops, int signal, const std::vector<std::string>& sets) {
  // Parts of whole rows of partitions, so that the producer of each begins with partition 0.
  const auto width = static_cast<std::size_t>(partitions);
  const std::size_t part_size = lines.size() / (stops + 1) / width * width;
  for (std::size_t part = 0; part <= stops; ++part) {
    SCOPED_TRACE(fmt::format("part {} of {}", part, stops));
    const bool last = part == stops;
    const auto rest = lines.subspan(part * part_size);
    const std::string file = write("part.jsonl", last ? rest : rest.first(part_size));
    Daemon daemon(example_config(), sets);
    ASSERT_TRUE(daemon.up());
    ChildProcess producer(produce_command(file, static_cast<double>(part_size) / 2));
    if (!last) {
      ASSERT_TRUE(daemon.wait_for_metric("freshet_events_total", static_cast<double>(part_size) * 0.4)) << daemon.log();
      ASSERT_EQ(daemon.end(signal), signal == SIGKILL ? 128 + SIGKILL : 0) << daemon.log();
      std::int64_t learnt = 0;
      for (const InspectedPartition& partition : inspect(path("state"))) learnt += partition.learnt;
      ASSERT_GT(learnt, 0);
      ASSERT_LT(learnt, static_cast<std::int64_t>(lines.size()));
    }
    ASSERT_EQ(producer.wait(kPatience), 0) << producer.errors();
    if (last) {
      ASSERT_TRUE(daemon.wait_for_events(static_cast<double>(lines.size()))) << daemon.log();
      ASSERT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
    }
  }
}

}  // namespace freshet::test
