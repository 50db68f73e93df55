#include "daemon/adapters/process_sample.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <limits>
#include <sstream>
#include <string>

namespace freshet {
namespace {

std::uint64_t count_open_files() {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  std::uint64_t count = 0;
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  constexpr std::uint64_t kNotOurs = 3;  // ".", ".." and the descriptor that reads the folder
  return count > kNotOurs ? count - kNotOurs : 0;
}

double boot_time_seconds() {
  std::ifstream stat("/proc/stat");
  std::string word;
  while (stat >> word) {
    double seconds = 0;
    if (word == "btime" && stat >> seconds) return seconds;
    stat.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

// Fields of /proc/self/stat by their number in proc(5); the name in parentheses may hold anything.
void read_stat(ProcessSample& sample) {
  std::ifstream file("/proc/self/stat");
  std::string line;
  if (!std::getline(file, line)) return;
  const auto after_name = line.rfind(')');
  if (after_name == std::string::npos) return;
  std::istringstream fields(line.substr(after_name + 1));
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  std::string value;
  for (int number = 3; fields >> value; ++number) {
    const auto count = [&] { return static_cast<std::uint64_t>(std::strtoull(value.c_str(), nullptr, 10)); };
    if (number == 14 || number == 15) sample.cpu_seconds += static_cast<double>(count()) / ticks;
    if (number == 20) sample.threads = count();
    if (number == 22) sample.start_time_seconds = boot_time_seconds() + static_cast<double>(count()) / ticks;
    if (number == 23) sample.virtual_bytes = count();
    if (number == 24) sample.resident_bytes = count() * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  }
}

}  // namespace

ProcessSample sample_process() {
  ProcessSample sample;
  read_stat(sample);
  sample.open_files = count_open_files();
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) sample.open_files_max = limit.rlim_cur;
  rusage usage{};
  constexpr std::uint64_t kKiB = 1024;
  if (getrusage(RUSAGE_SELF, &usage) == 0) sample.peak_resident_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * kKiB;
  return sample;
}

}  // namespace freshet
