#include "serving/watched_files.h"

#include <sys/stat.h>

#include <utility>

namespace freshet {

WatchedFiles::WatchedFiles(std::vector<std::string> paths) : paths_(std::move(paths)), read_(look()), seen_(read_) {}

bool WatchedFiles::changed() {
  std::vector<State> now = look();
  const bool settled = now == seen_;
  seen_ = std::move(now);
  if (!settled || seen_ == read_) return false;
  read_ = seen_;
  return true;
}

std::vector<WatchedFiles::State> WatchedFiles::look() const {
  constexpr std::int64_t kSecondNs = 1'000'000'000;
  std::vector<State> states;
  states.reserve(paths_.size());
  for (const std::string& path : paths_) {
    State state;
    struct stat found {};
    if (::stat(path.c_str(), &found) == 0) {
      state.there = true;
      state.device = found.st_dev;
      state.inode = found.st_ino;
      state.size = found.st_size;
      state.modified_ns = found.st_mtim.tv_sec * kSecondNs + found.st_mtim.tv_nsec;
    }
    states.push_back(state);
  }
  return states;
}

}  // namespace freshet
