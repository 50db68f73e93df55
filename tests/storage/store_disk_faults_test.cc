// Disk faults at every operation of a store's life: no assertion of the database's may end the process, nothing that
// was acknowledged may be lost, nothing that was refused may be half there. Each life is a process of its own.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <random>

#include "core/rng.h"
#include "tests/storage/fault_child.h"
#include "tests/storage/store_fixture.h"

namespace freshet::testing {
namespace {

struct Outcome {
  bool well = false;
  std::uint64_t operations = 0;
  std::string end;  // how the process ended
};

Outcome live(const FaultPlan& plan) {
  const Folder folder;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::vector<std::string> words = fault_child_arguments(std::filesystem::path(folder.store()).parent_path(), plan);
  words.insert(words.begin(), "/proc/self/exe");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = -1;
  const int spawned = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string text;
  char part[64];
  for (ssize_t bytes = 0; spawned == 0 && (bytes = ::read(ends[0], part, sizeof part)) > 0;) {
    text.append(part, static_cast<std::size_t>(bytes));
  }
  close(ends[0]);
  int status = -1;
  if (spawned != 0 || waitpid(child, &status, 0) != child) return {false, 0, "it could not be started"};
  Outcome outcome{WIFEXITED(status) && WEXITSTATUS(status) == 0, std::strtoull(text.c_str(), nullptr, 10), {}};
  outcome.end = WIFSIGNALED(status) ? fmt::format("killed by signal {}", WTERMSIG(status))
                                    : fmt::format("exit status {}", WEXITSTATUS(status));
  return outcome;
}

std::string told(const FaultPlan& plan) {
  return fmt::format("fails at {}, faults {}, kind {}, full {}, seed {}", plan.at, static_cast<int>(plan.faults),
                     static_cast<int>(plan.kind), plan.full, plan.seed);
}

// FRESHET_FAULT_LIVES says how many, FRESHET_FAULT_SEED which ones.
void lives(FaultyKind kind) {
  const char* const wanted = std::getenv("FRESHET_FAULT_LIVES");
  const char* const given = std::getenv("FRESHET_FAULT_SEED");
  const std::uint64_t count = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 24;
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  fmt::print("FRESHET_FAULT_SEED={}\n", seed);
  FaultPlan plan;
  plan.kind = kind;
  plan.seed = seed;
  const Outcome untroubled = live(plan);
  ASSERT_TRUE(untroubled.well) << untroubled.end;
  ASSERT_GT(untroubled.operations, 100U);
  Rng rng(seed);
  for (std::uint64_t i = 0; i < count; ++i) {
    plan.at = 1 + rng.below(untroubled.operations);
    plan.faults = static_cast<Faults>(rng.below(3));
    plan.full = rng.below(2) == 0;
    plan.seed = rng.next();
    const Outcome outcome = live(plan);
    EXPECT_TRUE(outcome.well) << outcome.end << ": " << told(plan);
  }
}

TEST(StoreDiskFaults, AtAnyChangeNeitherEndTheProcessNorLoseWhatWasAcknowledged) { lives(FaultyKind::kChanges); }
TEST(StoreDiskFaults, AtAnyReadNeitherEndTheProcessNorLoseWhatWasAcknowledged) { lives(FaultyKind::kReads); }

}  // namespace
}  // namespace freshet::testing
