// ScratchFolder: a new folder of the test's own, removed with it; and files in it.
//
// Threads: one owner.  Owns: the folder.  Failure: aborts where there is no room for a folder.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

#include "core/status.h"

namespace freshet::test {

class ScratchFolder {
 public:
  ScratchFolder() : path_(std::filesystem::temp_directory_path() / "freshet-test-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) abort_with("a test cannot make its temporary folder");
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::string& path() const { return path_; }
  // Puts a file there whole, by renaming, as a careful person does; its path.
  std::string write(const std::string& name, std::string_view text) const {
    std::string path = path_ + "/" + name;
    std::ofstream(path + ".new", std::ios::binary) << text;
    std::filesystem::rename(path + ".new", path);
    return path;
  }

 private:
  std::string path_;
};

}  // namespace freshet::test
