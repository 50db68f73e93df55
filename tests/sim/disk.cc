#include "tests/sim/disk.h"

#include <rocksdb/file_system.h>
#include <rocksdb/system_clock.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "core/rng.h"

namespace freshet::sim {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

class Disk::State {
 public:
  explicit State(std::uint64_t seed) : rng(seed) {}

  enum class Verdict : std::uint8_t { kGo, kError, kFull, kFrozen, kFreezesNow };

  // Counts an operation that changes the disk. `takes_room`: fails on a full disk.
  Verdict operation(bool takes_room) {
    const std::lock_guard lock(mutex);
    if (frozen) return Verdict::kFrozen;
    if (crash_in != 0 && --crash_in == 0) {
      frozen = true;
      return Verdict::kFreezesNow;
    }
    if (error_in != 0 && --error_in == 0) return Verdict::kError;
    if (full && takes_room) return Verdict::kFull;
    return Verdict::kGo;
  }
  static IOStatus refusal(Verdict verdict) {
    if (verdict == Verdict::kFull) return IOStatus::NoSpace("the simulated disk is full");
    return IOStatus::IOError(verdict == Verdict::kError ? "simulated I/O error" : "the simulated machine is off");
  }
  std::uint64_t below(std::uint64_t bound) {
    const std::lock_guard lock(mutex);
    return rng.below(bound);
  }

  mutable std::mutex mutex;
  Rng rng;
  bool frozen = false;
  bool full = false;
  CrashKind kind = CrashKind::kKill;
  std::uint64_t crash_in = 0;
  std::uint64_t error_in = 0;
  std::map<std::string, std::uint64_t> synced;             // file -> bytes that a power cut leaves
  std::map<std::string, std::vector<std::uint64_t>> ends;  // of the writes since the last sync
  std::condition_variable idle;
  std::size_t jobs = 0;

  // What a power cut leaves of a file: often whole writes, else up to a random byte.
  std::uint64_t left_of(const std::string& name, std::uint64_t from, std::uint64_t size) {
    const std::vector<std::uint64_t>& whole = ends[name];
    if (rng.below(4) == 0) return from;
    if (!whole.empty() && rng.below(2) == 0) return std::max(from, std::min(size, whole[rng.below(whole.size())]));
    return from + rng.below(size - from + 1);
  }
};

namespace {

using State = Disk::State;
using Verdict = Disk::State::Verdict;

class SimFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  SimFile(std::unique_ptr<rocksdb::FSWritableFile>&& file, std::shared_ptr<State> state, std::string name)
      : FSWritableFileOwnerWrapper(std::move(file)), state_(std::move(state)), name_(std::move(name)) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, IODebugContext* debug) override {
    const Verdict verdict = state_->operation(/*takes_room=*/true);
    if (verdict == Verdict::kGo) {
      written_ += data.size();
      {
        const std::lock_guard lock(state_->mutex);
        state_->ends[name_].push_back(written_);
      }
      return FSWritableFileOwnerWrapper::Append(data, options, debug);
    }
    if (verdict != Verdict::kFrozen && !data.empty()) {  // a part of it got through
      const std::uint64_t part = state_->below(data.size());
      written_ += part;
      FSWritableFileOwnerWrapper::Append({data.data(), part}, options, debug).PermitUncheckedError();
    }
    return State::refusal(verdict);
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    const std::uint64_t bytes = written_;
    const Verdict verdict = state_->operation(/*takes_room=*/false);
    if (verdict != Verdict::kGo) return State::refusal(verdict);
    const std::lock_guard lock(state_->mutex);
    state_->synced[name_] = bytes;
    state_->ends.erase(name_);
    return FSWritableFileOwnerWrapper::Sync(options, debug);
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override { return Sync(options, debug); }
  IOStatus Truncate(std::uint64_t, const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  bool IsSyncThreadSafe() const override { return true; }

 private:
  std::shared_ptr<State> state_;
  std::string name_;
  std::atomic<std::uint64_t> written_{0};
};

class SimFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  SimFileSystem(const std::shared_ptr<rocksdb::FileSystem>& target, std::shared_ptr<State> state)
      : FileSystemWrapper(target), state_(std::move(state)) {}
  const char* Name() const override { return "SimFileSystem"; }

  IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) override {
    // A copy of the options, which RocksDB can do without: writing and checking it takes half the time of an opening.
    if (name.find("/OPTIONS-") != std::string::npos) return IOStatus::NotSupported("no options files here");
    const Verdict verdict = state_->operation(/*takes_room=*/true);
    if (verdict != Verdict::kGo) return State::refusal(verdict);
    auto status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (!status.ok()) return status;
    const std::lock_guard lock(state_->mutex);
    state_->synced[name] = 0;
    *file = std::make_unique<SimFile>(std::move(*file), state_, name);
    return status;
  }
  IOStatus DeleteFile(const std::string& name, const IOOptions& options, IODebugContext* debug) override {
    const Verdict verdict = state_->operation(/*takes_room=*/false);
    if (verdict != Verdict::kGo) return State::refusal(verdict);
    const std::lock_guard lock(state_->mutex);
    state_->synced.erase(name);
    state_->ends.erase(name);
    return FileSystemWrapper::DeleteFile(name, options, debug);
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override {
    const Verdict verdict = state_->operation(/*takes_room=*/false);
    if (verdict != Verdict::kGo) return State::refusal(verdict);
    const std::lock_guard lock(state_->mutex);
    if (const auto node = state_->synced.find(from); node != state_->synced.end()) {
      state_->synced[to] = node->second;
      state_->synced.erase(from);
    }
    return FileSystemWrapper::RenameFile(from, to, options, debug);
  }
  IOStatus GetFreeSpace(const std::string&, const IOOptions&, std::uint64_t* bytes, IODebugContext*) override {
    const std::lock_guard lock(state_->mutex);
    *bytes = state_->full ? 0 : std::uint64_t{1} << 40;
    return IOStatus::OK();
  }
  // RocksDB's own text log is no part of the state.
  IOStatus NewLogger(const std::string&, const IOOptions&, std::shared_ptr<rocksdb::Logger>* logger,
                     IODebugContext*) override {
    class Silent final : public rocksdb::Logger {
     public:
      using Logger::Logv;
      void Logv(const char*, va_list) override {}
      std::size_t GetLogFileSize() const override { return 0; }
    };
    *logger = std::make_shared<Silent>();
    return IOStatus::OK();
  }

 private:
  std::shared_ptr<State> state_;
};

// RocksDB sleeps for a second after a failed flush: not here.
class SleeplessClock final : public rocksdb::SystemClockWrapper {
 public:
  explicit SleeplessClock(const std::shared_ptr<rocksdb::SystemClock>& target) : SystemClockWrapper(target) {}
  const char* Name() const override { return "SleeplessClock"; }
  void SleepForMicroseconds(int) override { std::this_thread::yield(); }
};

// Counts the background jobs that are waiting or running.
class CountingEnv final : public rocksdb::EnvWrapper {
 public:
  CountingEnv(rocksdb::Env* target, std::shared_ptr<State> state) : EnvWrapper(target), state_(std::move(state)) {
    system_clock_ = std::make_shared<SleeplessClock>(target->GetSystemClock());
  }

  void Schedule(void (*function)(void*), void* argument, Priority priority, void* tag,
                void (*unschedule)(void*)) override {
    {
      const std::lock_guard lock(state_->mutex);
      ++state_->jobs;
    }
    auto* job = new Job{function, unschedule, argument, state_};
    EnvWrapper::Schedule(&run, job, priority, tag, &forget);
  }

 private:
  struct Job {
    void (*function)(void*);
    void (*unschedule)(void*);
    void* argument;
    std::shared_ptr<State> state;
  };
  static void end(Job* job) {
    {
      const std::lock_guard lock(job->state->mutex);
      --job->state->jobs;
      job->state->idle.notify_all();
    }
    delete job;
  }
  static void run(void* argument) {
    auto* job = static_cast<Job*>(argument);
    job->function(job->argument);
    end(job);
  }
  static void forget(void* argument) {
    auto* job = static_cast<Job*>(argument);
    if (job->unschedule != nullptr) job->unschedule(job->argument);
    end(job);
  }
  std::shared_ptr<State> state_;
};

}  // namespace

Disk::Disk(std::uint64_t seed) : state_(std::make_shared<State>(seed)) {
  memory_.reset(rocksdb::NewMemEnv(rocksdb::Env::Default()));
  files_ = rocksdb::NewCompositeEnv(std::make_shared<SimFileSystem>(memory_->GetFileSystem(), state_));
  env_ = std::make_unique<CountingEnv>(files_.get(), state_);
}

Disk::~Disk() { drain(); }

rocksdb::Env* Disk::env() { return env_.get(); }

void Disk::plan_crash(CrashKind kind, std::uint64_t operations) {
  const std::lock_guard lock(state_->mutex);
  state_->kind = kind;
  state_->crash_in = operations;
}

void Disk::plan_error(std::uint64_t operations) {
  const std::lock_guard lock(state_->mutex);
  state_->error_in = operations;
}

void Disk::set_full(bool full) {
  const std::lock_guard lock(state_->mutex);
  state_->full = full;
}

void Disk::cancel_plans() {
  const std::lock_guard lock(state_->mutex);
  state_->crash_in = state_->error_in = 0;
  state_->full = false;
}

bool Disk::frozen() const {
  const std::lock_guard lock(state_->mutex);
  return state_->frozen;
}

CrashKind Disk::crash_kind() const {
  const std::lock_guard lock(state_->mutex);
  return state_->kind;
}

void Disk::crash(CrashKind kind) {
  const std::lock_guard lock(state_->mutex);
  if (state_->frozen) return;
  state_->kind = kind;
  state_->frozen = true;
}

void Disk::restart() {
  drain();
  const std::lock_guard lock(state_->mutex);
  if (state_->frozen && state_->kind == CrashKind::kPowerCut) {
    for (auto& [name, bytes] : state_->synced) {
      std::uint64_t size = 0;
      if (!memory_->GetFileSize(name, &size).ok() || size <= bytes) continue;
      bytes = state_->left_of(name, bytes, size);
      memory_->GetFileSystem()->Truncate(name, bytes, {}, nullptr).PermitUncheckedError();
    }
  }
  state_->frozen = state_->full = false;
  state_->crash_in = state_->error_in = 0;
}

void Disk::drain() {
  std::unique_lock lock(state_->mutex);
  state_->idle.wait(lock, [&] { return state_->jobs == 0; });
}

}  // namespace freshet::sim
