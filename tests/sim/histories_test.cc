// Thousands of short histories against a plain model (tests/sim/plain_model.h). Each has a seed of its own:
//   FRESHET_SIM_SEED=4711 FRESHET_SIM_HISTORIES=1 sim_tests      goes through the history of seed 4711 again
//   FRESHET_SIM_HISTORIES=10000 sim_tests                        many, from a random seed
//   FRESHET_SIM_TRACE=1                                          names each history as it begins
// A replay takes the same steps; what RocksDB's background jobs had done at the moment of a crash may differ.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <random>

#include "tests/sim/history.h"

#ifdef FRESHET_SANITIZED
// Most of the time goes into RocksDB's allocations: into their stacks, and into memory that is cold again because it
// has waited in quarantine. A short quarantine still outlives a step of a history; stacks are had by replaying
// the history with ASAN_OPTIONS=malloc_context_size=30, as the environment's options go before these.
extern "C" const char* __asan_default_options() {  // NOLINT(bugprone-reserved-identifier)
  return "malloc_context_size=1:quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}
#endif

namespace freshet::sim {
namespace {

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Histories, EndAsThePlainModelSays) {
  // Seeds of two runs at once are far apart.
  const std::uint64_t seed = number_from("FRESHET_SIM_SEED", std::uint64_t{std::random_device{}()} << 20);
  const std::uint64_t histories = number_from("FRESHET_SIM_HISTORIES", 300);
  std::printf("seed %llu, %llu histories\n", static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(histories));
  std::string folder = (std::filesystem::temp_directory_path() / "freshet_sim_XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  Tally tally;
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t failed = 0;
  for (std::uint64_t i = 0; i < histories && failed == 0; ++i) {
    if (std::getenv("FRESHET_SIM_TRACE") != nullptr)
      std::fprintf(stderr, "history %s\n", std::to_string(seed + i).c_str());
    const Outcome outcome = run_history(seed + i, folder + "/store");
    tally.add(outcome.tally);
    if (outcome.wrong.empty() && histories > 1) continue;
    std::string text;
    for (const std::string& step : outcome.steps) text += "  " + step + "\n";
    if (outcome.wrong.empty()) {
      std::printf("%s", text.c_str());
      continue;
    }
    ++failed;
    ADD_FAILURE() << "history " << i + 1 << ": " << outcome.wrong << "\nreplay with FRESHET_SIM_SEED=" << seed + i
                  << " FRESHET_SIM_HISTORIES=1\n"
                  << text;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%s; %.1f s\n", tally.text().c_str(), took.count());
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
}

}  // namespace
}  // namespace freshet::sim
