// A full disk: ingest waits, serving goes on, and learning goes on once there is room. The disk is a small file system
// in memory that only the daemon has mounted; the test reaches into it through /proc.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

// Writes until the file system has no room; the bytes written.
std::size_t fill(const std::string& file) {
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  const std::string block(4096, 'x');
  std::size_t written = 0;
  for (ssize_t got = 0; descriptor >= 0 && (got = ::write(descriptor, block.data(), block.size())) > 0;) {
    written += static_cast<std::size_t>(got);
  }
  ::close(descriptor);
  return written;
}

class DiskFull : public KafkaIntegrationTest {};

TEST_F(DiskFull, IngestWaitsWhileServingGoesOnAndResumesWhenThereIsRoom) {
  const std::string disk = path("disk");
  std::filesystem::create_directory(disk);
  const std::string mount = "mount -t tmpfs -o size=96m tmpfs '" + disk + "'";
  ChildProcess trial({"unshare", "--mount", "/bin/sh", "-c", mount});
  if (trial.wait(kPatience) != 0) {
    GTEST_SKIP() << "a file system of its own needs the right to mount (root): " << trial.errors();
  }
  ASSERT_NO_FATAL_FAILURE(create_topic(1));
  auto sets = daemon_sets();
  sets.push_back("memory.path=" + disk + "/state");
  sets.emplace_back("memory.write_buffer=1MiB");  // little is reserved ahead, so the full disk is met soon
  Daemon daemon({"unshare", "--mount", "/bin/sh", "-c", mount + " && exec \"$@\"", "sh"}, example_config(), sets);
  ASSERT_TRUE(daemon.up());
  const auto lines = flights(40'000);
  const std::string question = infer_request(lines[0]);
  produce(write("first.jsonl", lines.first(5000)));
  ASSERT_TRUE(daemon.wait_for_events(5000)) << daemon.log();

  const std::string seen = "/proc/" + std::to_string(daemon.process().pid()) + "/root" + disk;
  ASSERT_TRUE(std::filesystem::exists(seen + "/state"));
  ASSERT_GT(fill(seen + "/ballast"), std::size_t{1} << 20);
  produce(write("rest.jsonl", lines.subspan(5000)));
  ASSERT_TRUE(daemon.process().wait_until([&] { return daemon.metric("freshet_store_waits_total") >= 1; }, 40s))
      << daemon.log();
  EXPECT_LT(daemon.metric("freshet_events_total"), static_cast<double>(lines.size()));

  HttpClient client(daemon.port());
  for (int i = 0; i < 200; ++i) {
    const auto live = client.get("/v2/health/live");
    ASSERT_TRUE(live && live->status == 200);
    const auto answer = client.post("/v2/models/flights/infer", question);
    ASSERT_TRUE(answer && answer->status == 200) << (answer ? answer->body : "no answer");
  }

  ASSERT_TRUE(std::filesystem::remove(seen + "/ballast"));
  EXPECT_TRUE(daemon.process().wait_until([&] { return daemon.status("events") >= 40'000; }, 40s)) << daemon.log();
  expect_exactly(seen + "/state", lines, 1);
  EXPECT_NE(daemon.log().find("store_has_room"), std::string::npos) << daemon.log();
  EXPECT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
}

}  // namespace
}  // namespace freshet::test
