// LateLogErrors: a file system whose write-ahead logs can always be created; where one could not, its first append says
// so instead. When RocksDB changes the log of several families at once and the new file cannot be made (a volume that
// turned read-only, no inode left), it forgets to give references back, and closing the database aborts the process
// where RocksDB was built with assertions, as Debian's is. A refused append it handles well.
//
// Threads: any.  Owns: nothing; keeps the file system below alive.  Failure: that of the file system below, later.
#pragma once

#include <rocksdb/env.h>

#include <memory>

namespace freshet {

// `below`: the environment whose file system is wrapped; it must outlive what is returned.
std::unique_ptr<rocksdb::Env> with_late_log_errors(rocksdb::Env* below);

}  // namespace freshet
