#include "tests/support/kafka/kafka_broker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "stream/kafka_client.h"

namespace freshet {
namespace {

constexpr std::chrono::seconds kStartTimeout{90};
constexpr std::chrono::seconds kStopTimeout{30};
constexpr int kAdminTimeoutMs = 15'000;

// A port that was free a moment ago.
int free_port() {
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  int port = 0;
  if (bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port = ntohs(address.sin_port);
  }
  close(descriptor);
  return port;
}

Result<KafkaClient> make_admin(const std::string& brokers) {
  KafkaConfig config("the tests' admin client");
  TRY(config.set("bootstrap.servers", brokers));
  rd_kafka_conf_set_log_cb(config.conf(), [](const rd_kafka_t*, int, const char*, const char*) {});
  return config.create(RD_KAFKA_PRODUCER);
}

}  // namespace

Result<std::unique_ptr<KafkaBroker>> KafkaBroker::start() {
  const char* jars = std::getenv("FRESHET_KAFKA_JARS");
#ifdef FRESHET_KAFKA_JARS
  if (jars == nullptr) jars = FRESHET_KAFKA_JARS;  // where `./dev` keeps them
#endif
  if (jars == nullptr || !std::filesystem::is_directory(jars)) {
    return failed_precondition(
        "this test needs a Kafka broker: run it through `./dev test`, which fetches Kafka's jars "
        "and names their folder in FRESHET_KAFKA_JARS");
  }
  std::unique_ptr<KafkaBroker> broker(new KafkaBroker());
  broker->jars_ = jars;
  TRY(broker->prepare());
  TRY(broker->launch());
  return broker;
}

Result<KafkaBroker*> KafkaBroker::shared() {
  static const Result<std::unique_ptr<KafkaBroker>> broker = start();
  if (!broker) return broker.status();
  return broker.value().get();
}

KafkaBroker::~KafkaBroker() {
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

Status KafkaBroker::prepare() {
  std::string pattern = std::filesystem::temp_directory_path() / "freshet-kafka-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) return unavailable("cannot make a temporary folder");
  folder_ = pattern;
  const int port = free_port();
  const int controller_port = free_port();
  brokers_ = fmt::format("127.0.0.1:{}", port);
  std::ofstream(folder_ / "server.properties") << fmt::format(
      "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{1}\n"
      "listeners=PLAINTEXT://127.0.0.1:{0},CONTROLLER://127.0.0.1:{1}\nadvertised.listeners=PLAINTEXT://127.0.0.1:{0}\n"
      "controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n"
      "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={2}/data\n"
      "offsets.topic.num.partitions=1\noffsets.topic.replication.factor=1\n"
      "transaction.state.log.num.partitions=1\ntransaction.state.log.replication.factor=1\n"
      "transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\n"
      "group.min.session.timeout.ms=1000\n"
      "num.network.threads=1\nnum.io.threads=2\nlog.retention.ms=-1\nlog.segment.bytes=16777216\n"
      "log.cleaner.enable=false\n",
      port, controller_port, folder_.string());
  const pid_t format = TRY(spawn("kafka.tools.StorageTool", "format -t 4L6g3nShT-eMCtK--X86sw -c"));
  int exit_code = 0;
  waitpid(format, &exit_code, 0);
  if (exit_code != 0) return unavailable("Kafka's storage cannot be formatted: " + last_output());
  return Status::ok();
}

Result<pid_t> KafkaBroker::spawn(const std::string& main_class, const std::string& arguments) const {
  const std::string class_path = jars_ + "/*";
  const std::string properties = folder_ / "server.properties";
  const std::string output = folder_ / "output.log";
  std::vector<std::string> words = {"java", "-Xms64m",  "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                                    "-cp",  class_path, main_class};
  for (std::size_t begin = 0; begin < arguments.size();) {
    const std::size_t end = std::min(arguments.find(' ', begin), arguments.size());
    words.push_back(arguments.substr(begin, end - begin));
    begin = end + 1;
  }
  words.push_back(properties);
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return unavailable("cannot start a process");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const int log = open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execvp("java", argv.data());
    _exit(127);
  }
  return child;
}

Status KafkaBroker::launch() {
  process_ = TRY(spawn("kafka.Kafka", ""));
  return wait_until_ready();
}

Status KafkaBroker::wait_until_ready() {
  const auto admin = TRY(make_admin(brokers_));
  const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
  while (std::chrono::steady_clock::now() < deadline) {
    if (waitpid(process_, nullptr, WNOHANG) == process_) {
      process_ = -1;
      return unavailable("the Kafka broker ended: " + last_output());
    }
    const rd_kafka_metadata_t* metadata = nullptr;
    if (rd_kafka_metadata(admin.get(), 1, nullptr, &metadata, 500) == RD_KAFKA_RESP_ERR_NO_ERROR) {
      const bool ready = metadata->broker_cnt > 0;
      rd_kafka_metadata_destroy(metadata);
      if (ready) return Status::ok();
    }
  }
  return unavailable("the Kafka broker does not answer: " + last_output());
}

std::string KafkaBroker::last_output() const {
  std::ifstream in(folder_ / "output.log");
  std::string text{std::istreambuf_iterator<char>(in), {}};
  constexpr std::size_t kShown = 4000;
  return text.size() > kShown ? text.substr(text.size() - kShown) : text;
}

Status KafkaBroker::create_topic(const std::string& topic, std::int32_t partitions,
                                 const std::map<std::string, std::string>& config) {
  const auto admin = TRY(make_admin(brokers_));
  std::array<char, 256> why{};
  rd_kafka_NewTopic_t* request = rd_kafka_NewTopic_new(topic.c_str(), partitions, 1, why.data(), why.size());
  if (request == nullptr) return invalid_argument(why.data());
  for (const auto& [name, value] : config) rd_kafka_NewTopic_set_config(request, name.c_str(), value.c_str());
  const KafkaOwned<rd_kafka_queue_t> queue(rd_kafka_queue_new(admin.get()));
  rd_kafka_CreateTopics(admin.get(), &request, 1, nullptr, queue.get());
  rd_kafka_NewTopic_destroy(request);
  rd_kafka_event_t* const event = rd_kafka_queue_poll(queue.get(), kAdminTimeoutMs);
  if (event == nullptr) return unavailable("no answer to the creation of a topic");
  auto code = rd_kafka_event_error(event);
  std::size_t count = 0;
  if (const auto* result = rd_kafka_event_CreateTopics_result(event); result != nullptr) {
    const auto* topics = rd_kafka_CreateTopics_result_topics(result, &count);
    if (count > 0) code = rd_kafka_topic_result_error(topics[0]);
  }
  rd_kafka_event_destroy(event);
  TRY(kafka_status(code, "create topic " + topic));
  return wait_for_partitions(topic, partitions);
}

// Known to the broker is not yet known to every client: waits until the partitions can be asked for.
Status KafkaBroker::wait_for_partitions(const std::string& topic, std::int32_t partitions) const {
  const auto admin = TRY(make_admin(brokers_));
  const auto deadline = std::chrono::steady_clock::now() + kStopTimeout;
  for (std::int32_t partition = 0; partition < partitions;) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    if (rd_kafka_query_watermark_offsets(admin.get(), topic.c_str(), partition, &low, &high, 1000) ==
        RD_KAFKA_RESP_ERR_NO_ERROR) {
      ++partition;
    } else if (std::chrono::steady_clock::now() > deadline) {
      return unavailable("topic " + topic + " does not appear");
    }
  }
  return Status::ok();
}

Status KafkaBroker::add_partitions(const std::string& topic, std::int32_t partitions_in_all) {
  const auto admin = TRY(make_admin(brokers_));
  std::array<char, 256> why{};
  rd_kafka_NewPartitions_t* request =
      rd_kafka_NewPartitions_new(topic.c_str(), static_cast<std::size_t>(partitions_in_all), why.data(), why.size());
  if (request == nullptr) return invalid_argument(why.data());
  const KafkaOwned<rd_kafka_queue_t> queue(rd_kafka_queue_new(admin.get()));
  rd_kafka_CreatePartitions(admin.get(), &request, 1, nullptr, queue.get());
  rd_kafka_NewPartitions_destroy(request);
  rd_kafka_event_t* const event = rd_kafka_queue_poll(queue.get(), kAdminTimeoutMs);
  if (event == nullptr) return unavailable("no answer to the creation of partitions");
  const auto code = rd_kafka_event_error(event);
  rd_kafka_event_destroy(event);
  TRY(kafka_status(code, "add partitions to " + topic));
  return wait_for_partitions(topic, partitions_in_all);
}

Status KafkaBroker::delete_topic(const std::string& topic) {
  const auto admin = TRY(make_admin(brokers_));
  rd_kafka_DeleteTopic_t* request = rd_kafka_DeleteTopic_new(topic.c_str());
  const KafkaOwned<rd_kafka_queue_t> queue(rd_kafka_queue_new(admin.get()));
  rd_kafka_DeleteTopics(admin.get(), &request, 1, nullptr, queue.get());
  rd_kafka_DeleteTopic_destroy(request);
  rd_kafka_event_t* const event = rd_kafka_queue_poll(queue.get(), kAdminTimeoutMs);
  if (event == nullptr) return unavailable("no answer to the deletion of a topic");
  const auto code = rd_kafka_event_error(event);
  rd_kafka_event_destroy(event);
  TRY(kafka_status(code, "delete topic " + topic));
  const auto deadline = std::chrono::steady_clock::now() + kStopTimeout;
  while (partition_count(admin.get(), topic, kStopTimeout).is_ok()) {
    if (std::chrono::steady_clock::now() > deadline) return unavailable("topic " + topic + " does not go away");
  }
  return Status::ok();
}

Status KafkaBroker::delete_records(const std::string& topic, std::int32_t partition, std::int64_t before_offset) {
  const auto admin = TRY(make_admin(brokers_));
  const KafkaPartitions list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = before_offset;
  rd_kafka_DeleteRecords_t* request = rd_kafka_DeleteRecords_new(list.get());
  const KafkaOwned<rd_kafka_queue_t> queue(rd_kafka_queue_new(admin.get()));
  rd_kafka_DeleteRecords(admin.get(), &request, 1, nullptr, queue.get());
  rd_kafka_DeleteRecords_destroy(request);
  rd_kafka_event_t* const event = rd_kafka_queue_poll(queue.get(), kAdminTimeoutMs);
  if (event == nullptr) return unavailable("no answer to the deletion of records");
  const auto code = rd_kafka_event_error(event);
  rd_kafka_event_destroy(event);
  return kafka_status(code, "delete records of " + topic);
}

Status KafkaBroker::stop() {
  if (process_ <= 0) return Status::ok();
  ::kill(process_, SIGTERM);
  pollfd ended = {static_cast<int>(syscall(SYS_pidfd_open, process_, 0)), POLLIN, 0};
  const int ready = ::poll(&ended, 1, static_cast<int>(std::chrono::milliseconds(kStopTimeout).count()));
  close(ended.fd);
  if (ready != 1) {
    kill();
    return unavailable("the Kafka broker had to be killed");
  }
  waitpid(process_, nullptr, 0);
  process_ = -1;
  return Status::ok();
}

void KafkaBroker::kill() {
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  process_ = -1;
}

Status KafkaBroker::restart() {
  TRY(stop());
  return launch();
}

void KafkaBroker::pause() { ::kill(process_, SIGSTOP); }
void KafkaBroker::resume() { ::kill(process_, SIGCONT); }

}  // namespace freshet
