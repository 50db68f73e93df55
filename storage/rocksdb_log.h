// RocksDbLog: RocksDB's own warnings and errors, in Freshet's log at level debug. RocksDB would write them to a file in
// the store's folder; on a full disk that file's writer fails, and the next line written to it is an error for good, or
// aborts where RocksDB was built with assertions.
//
// Threads: any.  Owns: nothing; borrows the log, which must outlive the database.  Failure: none.
#pragma once

#include <rocksdb/env.h>

#include <cstdarg>

#include "core/log.h"

namespace freshet {

class RocksDbLog final : public rocksdb::Logger {
 public:
  explicit RocksDbLog(Log& log) : Logger(rocksdb::InfoLogLevel::WARN_LEVEL), log_(log) {}
  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override;

 private:
  Log& log_;
};

}  // namespace freshet
