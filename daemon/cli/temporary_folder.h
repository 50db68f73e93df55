// TemporaryFolder: a new folder below $TMPDIR (or /tmp), removed with all its content at the end of its life.
//
// Threads: one owner.  Owns: the folder.  Failure: create says why; a folder that cannot be removed is left.
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"

namespace freshet {

class TemporaryFolder {
 public:
  static Result<TemporaryFolder> create(std::string_view prefix);
  ~TemporaryFolder();
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace freshet
