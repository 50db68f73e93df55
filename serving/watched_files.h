// WatchedFiles: whether files that belong together have changed since they were read, by their place on the disk, size
// and time, through links (a mounted secret is a link that moves).
//
// A change is told once it has stood still from one look to the next, so that files which are being written one after
// the other, such as a certificate and its key, are not read between two of them.
//
// Threads: one owner.  Owns: what it saw.  Failure: none; a file that is gone is a change too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace freshet {

class WatchedFiles {
 public:
  // As they are now counts as read.
  explicit WatchedFiles(std::vector<std::string> paths);

  // Looks; true once for each change. Costs one system call a file.
  bool changed();

 private:
  struct State {
    bool there = false;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t modified_ns = 0;
    friend bool operator==(const State&, const State&) = default;
  };
  std::vector<State> look() const;

  std::vector<std::string> paths_;
  std::vector<State> read_;
  std::vector<State> seen_;
};

}  // namespace freshet
