// An environment whose files are those of a wrapped file system, while its clock and threads stay those of the
// environment below (rocksdb::NewCompositeEnv would take the machine's, and a test's clock would be lost).
//
// Threads: any.  Owns: keeps the file system alive.  Failure: that of the file system.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <memory>

namespace freshet {

// `below` must outlive what is returned.
std::unique_ptr<rocksdb::Env> env_with_files(rocksdb::Env* below, std::shared_ptr<rocksdb::FileSystem> files);

}  // namespace freshet
