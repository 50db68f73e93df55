// Disk: the simulated machine's disk, a RocksDB Env in memory that can lose its power.
//
//   kill        the process is gone in the middle of a write: what was written stays, of the write at hand a part
//   power cut   besides, what was not synced is lost from a random byte on, in each file on its own
//   write error one operation fails, or its sync; the next ones succeed
//   full        writes fail, and there is no free space, until make_room()
//
// A crash is planned as "at the n-th write operation from now". From then on the disk is frozen: everything that would
// change it fails, so that the store that still runs can do no harm; restart() thaws it with what a new process finds.
//
// Threads: thread-safe; drain() waits until RocksDB's background jobs have ended, so that a history of one seed goes
// the same way each time but for what a job did at the very moment of a crash.
// Owns: the files.  Failure: none.
#pragma once

#include <rocksdb/env.h>

#include <cstdint>
#include <memory>
#include <string>

namespace freshet::sim {

enum class CrashKind : std::uint8_t { kKill, kPowerCut };

class Disk {
 public:
  explicit Disk(std::uint64_t seed);
  ~Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  rocksdb::Env* env();

  void plan_crash(CrashKind kind, std::uint64_t operations);  // 1: the next one
  void plan_error(std::uint64_t operations);
  void fill() { set_full(true); }
  void make_room() { set_full(false); }
  void cancel_plans();
  bool frozen() const;
  CrashKind crash_kind() const;

  // Crashes now, if that has not happened yet.
  void crash(CrashKind kind);
  // A new process finds the disk: after a power cut without what was not synced.
  void restart();
  void drain();

  class State;

 private:
  void set_full(bool full);
  std::shared_ptr<State> state_;
  std::unique_ptr<rocksdb::Env> memory_;
  std::unique_ptr<rocksdb::Env> files_;
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace freshet::sim
