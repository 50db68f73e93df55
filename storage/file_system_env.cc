#include "storage/file_system_env.h"

#include <utility>

namespace freshet {
namespace {

class FileSystemEnv final : public rocksdb::EnvWrapper {
 public:
  FileSystemEnv(rocksdb::Env* below, std::shared_ptr<rocksdb::FileSystem> files) : EnvWrapper(below) {
    file_system_ = std::move(files);
    system_clock_ = below->GetSystemClock();
  }
};

}  // namespace

std::unique_ptr<rocksdb::Env> env_with_files(rocksdb::Env* below, std::shared_ptr<rocksdb::FileSystem> files) {
  return std::make_unique<FileSystemEnv>(below, std::move(files));
}

}  // namespace freshet
