// LateErrors: a file system that tells RocksDB of some errors later, where it takes them well. RocksDB 7.8, built with
// assertions as Debian's is, aborts the process when it is told at once:
//   - that a log cannot be created while several families change their log together: the log's first append says so
//     instead;
//   - that a log cannot be synced: a flush in the background leaves that log to be synced again, by a writer that
//   asserts
//     never to be used after an error. The log takes no further append, and log_error() says why. So what was written
//     to a log is acknowledged only while log_error() is ok;
//   - that a table cannot be written, when it was opened for tombstones of ranges alone and all of them were dropped:
//     the statistics of that compaction look for a first key. The table cannot be opened instead; RocksDB opens every
//     table that it has written before the table becomes part of the database.
//
// Threads: any.  Owns: its environment; keeps the file system below alive.  Failure: that of the file system below.
#pragma once

#include <rocksdb/env.h>

#include <memory>

namespace freshet {

class LateErrors {
 public:
  // `below`: the environment whose file system is wrapped; it must outlive this.
  explicit LateErrors(rocksdb::Env* below);
  ~LateErrors();
  LateErrors(const LateErrors&) = delete;
  LateErrors& operator=(const LateErrors&) = delete;

  rocksdb::Env* env() const;

  // The first error of a log, also one that RocksDB was told; ok: none since forget().
  rocksdb::Status log_error() const;

  // Before the database is opened anew; nobody else uses its files then.
  void forget();

 private:
  class Files;
  std::shared_ptr<Files> files_;
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace freshet
