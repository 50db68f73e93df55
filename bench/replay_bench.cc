// The replay memory at its full size: append rate beside RocksDB's own for the same bytes, resident memory, and batches
// sampled uniformly, with the files in the page cache and without. bench/replay_peers.py does the same with a Python
// list and a NumPy memmap.
//
//   replay_bench [--events 20000000] [--record-bytes 500] [--path FOLDER] [--turns 5] [--seconds 10] [--keep]
//                [--reuse STORE] [--keys]
//
// --reuse samples from a store that --keep left. --keys compares appending with a key in each record to appending
// without, which leaves the index for erasing nothing to keep, turn by turn, and ends. Rates are given by the clock and
// by the processor time that they took, for machines that are shared: the load average stands at the end of each line.
//
// Appending goes turn by turn: a stretch of events through the store and the memory (with checkpoints, as the daemon
// does), then the same bytes into a bare RocksDB in a process of its own. The ratio of a turn counts, not the rates.
#include <fcntl.h>
#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "core/hash.h"
#include "core/rng.h"
#include "storage/payload_garbage.h"
#include "storage/replay_memory.h"
#include "storage/store.h"
#include "storage/store_keys.h"

namespace freshet {
namespace {

constexpr std::size_t kBatch = 1024;
constexpr std::size_t kSample = 256;
constexpr double kCheckpointSeconds = 5;
constexpr std::size_t kWriteBuffer = std::size_t{32} << 20;  // the daemon's default

struct Arguments {
  std::uint64_t events = 20'000'000;
  std::size_t record_bytes = 500;
  std::string path;
  std::uint64_t turns = 5;
  double seconds = 10;
  std::string reuse;
  bool keep = false;
  bool compare_keys = false;
  bool bulk = false;  // the process that writes to a bare RocksDB
};

using Seconds = std::chrono::duration<double>;
class Stopwatch {
 public:
  double seconds() const { return Seconds(std::chrono::steady_clock::now() - begin_).count(); }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// Processor seconds of this thread (RUSAGE_THREAD) or of the whole process (RUSAGE_SELF).
double cpu_seconds(int whose) {
  rusage usage{};
  getrusage(whose, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string load_now() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? fmt::format("load {:.1f}", load) : "";
}

void check(const Status& status) {
  if (!status.is_ok()) abort_with(status.to_string());
}

// Records whose bytes do not compress to nothing: 8 random bytes in each 16. With keys, each has its own.
class Records {
 public:
  Records(std::size_t bytes, bool keys)
      : stride_(bytes), keys_(keys), records_(bytes * kBatch, '\0'), positions_(kBatch), hashes_(kBatch) {
    for (std::size_t at = 0; at + 8 <= records_.size(); at += 16) {
      const std::uint64_t word = rng_.next();
      std::memcpy(records_.data() + at, &word, sizeof word);
    }
  }
  AppendBatch next(std::uint64_t seq, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      positions_[i] = {0, static_cast<std::int64_t>(seq + i) - 1};
      hashes_[i] = seq + i;
      char* record = records_.data() + i * stride_;
      std::memcpy(record, &hashes_[i], sizeof(std::uint64_t));
      const std::uint64_t key = keys_ ? mix64(seq + i) | 1 : 0;
      std::memcpy(record + kKeyHashAt, &key, sizeof key);
    }
    AppendBatch batch;
    batch.first_seq = seq;
    batch.records = std::string_view(records_).substr(0, count * stride_);
    batch.stride = stride_;
    batch.positions = {positions_.data(), count};
    batch.value_hashes = {hashes_.data(), count};
    return batch;
  }

 private:
  static constexpr std::size_t kKeyHashAt = 32;  // where a record's header has it
  static std::uint64_t mix64(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
    return value ^ (value >> 31);
  }

  std::size_t stride_;
  bool keys_;
  Rng rng_{7};
  std::string records_;
  std::vector<Position> positions_;
  std::vector<std::uint64_t> hashes_;
};

std::string memory_now() {
  std::ifstream file("/proc/self/status");
  std::string text;
  for (std::string line; std::getline(file, line);) {
    for (const std::string_view name : {"VmHWM:", "VmRSS:", "RssAnon:", "RssFile:"}) {
      if (!line.starts_with(name)) continue;
      text += fmt::format("{}{} {:.0f} MB", text.empty() ? "" : ", ", line.substr(0, name.size() - 1),
                          std::strtod(line.c_str() + name.size(), nullptr) / 1024);
    }
  }
  return text;
}

// Same log, compression, buffers and batches as the store's; nothing else.
double bulk_seconds(const Arguments& arguments) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.compression = rocksdb::kNoCompression;
  options.write_buffer_size = kWriteBuffer;
  options.max_write_buffer_number = 3;
  options.level_compaction_dynamic_level_bytes = true;
  options.max_background_jobs = 2;
  options.bytes_per_sync = options.wal_bytes_per_sync = std::uint64_t{1} << 20;
  rocksdb::DB* opened = nullptr;
  if (!rocksdb::DB::Open(options, arguments.path, &opened).ok()) abort_with("the bare RocksDB does not open");
  const std::unique_ptr<rocksdb::DB> database(opened);
  Records records(arguments.record_bytes, /*keys=*/true);
  const Stopwatch watch;
  rocksdb::WriteBatch batch;
  std::array<char, 8> key;
  for (std::uint64_t seq = 1; seq <= arguments.events;) {
    const std::size_t count = std::min<std::uint64_t>(kBatch, arguments.events + 1 - seq);
    const AppendBatch next = records.next(seq, count);
    batch.Clear();
    for (std::size_t i = 0; i < count; ++i) {
      store_big_endian(key.data(), seq + i);
      batch.Put({key.data(), key.size()}, {next.records.data() + i * next.stride, next.stride}).PermitUncheckedError();
    }
    if (!database->Write({}, &batch).ok()) abort_with("the bare RocksDB does not take a batch");
    seq += count;
  }
  return watch.seconds();
}

double bulk_in_a_process(const Arguments& arguments, std::uint64_t events) {
  const std::string folder = arguments.path + "/bare";
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) abort_with("no pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::vector<std::string> words = {"replay_bench",   "--bulk",
                                    "--path",         folder,
                                    "--events",       std::to_string(events),
                                    "--record-bytes", std::to_string(arguments.record_bytes)};
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t child = 0;
  if (posix_spawn(&child, "/proc/self/exe", &actions, nullptr, pointers.data(), environ) != 0) abort_with("no process");
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::array<char, 64> text{};
  const ssize_t got = ::read(ends[0], text.data(), text.size() - 1);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (got <= 0 || status != 0) abort_with("the bare RocksDB's process failed");
  std::filesystem::remove_all(folder);
  return std::strtod(text.data(), nullptr);
}

// Takes the store's files out of the page cache.
void forget_pages(const std::string& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const int file = open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    fdatasync(file);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
  }
}

void warm_pages(const std::string& folder) {
  std::vector<char> buffer(std::size_t{1} << 20);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()))) {
    }
  }
}

class Bench {
 public:
  explicit Bench(const Arguments& arguments)
      : arguments_(arguments), folder_(arguments.reuse.empty() ? arguments.path + "/store" : arguments.reuse) {
    StoreOptions options;
    options.path = folder_;
    options.write_buffer_bytes = kWriteBuffer;
    auto opened = Store::open(options, std::nullopt, log_, metrics_);
    check(opened.status());
    store_ = std::move(opened).value();
    ReplayOptions memory;
    memory.capacity_events = arguments.events;
    memory_ = std::move(ReplayMemory::create(memory)).value();
    std::vector<std::uint64_t> released;
    for (std::uint64_t seq = 1; seq <= std::min(store_->last_seq(), arguments.events); ++seq) {
      memory_->insert({seq, static_cast<std::int64_t>(seq) * 1000, 0}, released);
    }
  }

  void append() {
    Records records(arguments_.record_bytes, /*keys=*/true);
    const std::uint64_t stretch = arguments_.events / arguments_.turns;
    std::vector<double> ratios;
    for (std::uint64_t turn = 0; turn < arguments_.turns; ++turn) {
      const double cpu = cpu_seconds(RUSAGE_SELF);
      const double ours = append_stretch(records, stretch);
      const double ours_cpu = cpu_seconds(RUSAGE_SELF) - cpu;
      const double bare = bulk_in_a_process(arguments_, stretch);
      ratios.push_back(bare / ours);
      fmt::print("turn {}: {:.0f} events/s ({:.0f} MB/s; {:.0f} a CPU second), bare RocksDB {:.0f}; ratio {:.2f}; {}\n",
                 turn + 1, static_cast<double>(stretch) / ours,
                 static_cast<double>(stretch * arguments_.record_bytes) / ours * 1e-6,
                 static_cast<double>(stretch) / ours_cpu, static_cast<double>(stretch) / bare, ratios.back(),
                 load_now());
      std::fflush(stdout);
    }
    std::sort(ratios.begin(), ratios.end());
    fmt::print("append: median ratio to bare RocksDB {:.2f} ({:.2f} to {:.2f})\n", ratios[ratios.size() / 2],
               ratios.front(), ratios.back());
    fmt::print("after appending {} events: {}; {:.1f} GB on disk\n", store_->last_seq(), memory_now(),
               static_cast<double>(store_->bytes_on_disk()) * 1e-9);
  }

  struct Cost {
    double seconds = 0;
    double cpu = 0;
  };
  Cost append_turn(bool keys, std::uint64_t events) {
    Records records(arguments_.record_bytes, keys);
    const double cpu = cpu_seconds(RUSAGE_SELF);
    const double seconds = append_stretch(records, events);
    return {seconds, cpu_seconds(RUSAGE_SELF) - cpu};
  }

  void sample(bool cached) {
    check(store_->flush());
    if (cached) {
      warm_pages(folder_);
    } else {
      forget_pages(folder_);
    }
    Rng rng(11);
    std::vector<std::uint64_t> seqs;
    std::vector<char> rows(kSample * arguments_.record_bytes);
    std::vector<double> batch_ms;
    const Stopwatch watch;
    const double cpu = cpu_seconds(RUSAGE_THREAD);
    double dropped_at = 0;
    double dropping = 0;
    double dropping_cpu = 0;
    while (watch.seconds() - dropping < arguments_.seconds) {
      if (!cached && watch.seconds() - dropped_at > 1) {  // what was read must not come from the cache later
        const Stopwatch drop;
        const double drop_cpu = cpu_seconds(RUSAGE_THREAD);
        forget_pages(folder_);
        dropping += drop.seconds();
        dropping_cpu += cpu_seconds(RUSAGE_THREAD) - drop_cpu;
        dropped_at = watch.seconds();
      }
      const Stopwatch batch;
      seqs.clear();
      memory_->sample(kSample, rng, seqs);
      check(store_->read(seqs, [&](std::size_t i, std::string_view record) {
        std::memcpy(rows.data() + i * record.size(), record.data(), record.size());
      }));
      batch_ms.push_back(batch.seconds() * 1e3);
    }
    const double seconds = watch.seconds() - dropping;
    const double busy = cpu_seconds(RUSAGE_THREAD) - cpu - dropping_cpu;
    std::sort(batch_ms.begin(), batch_ms.end());
    const auto events = static_cast<double>(batch_ms.size() * kSample);
    fmt::print(
        "sampling {} of {} uniformly, {}: {:.0f} events/s, {:.0f} a CPU second; a batch {:.2f} ms (median), "
        "{:.2f} ms (p99); {}; {}\n",
        kSample, memory_->size(), cached ? "files in the page cache" : "files not in the page cache", events / seconds,
        events / busy, batch_ms[batch_ms.size() / 2], batch_ms[batch_ms.size() * 99 / 100], memory_now(), load_now());
    std::fflush(stdout);
  }

 private:
  double append_stretch(Records& records, std::uint64_t events) {
    const Stopwatch watch;
    double checkpoint_at = 0;
    const std::uint64_t end = store_->last_seq() + events;
    std::vector<std::uint64_t> released;
    while (store_->last_seq() < end) {
      const std::uint64_t seq = store_->last_seq() + 1;
      const std::size_t count = std::min<std::uint64_t>(kBatch, end + 1 - seq);
      check(store_->append(records.next(seq, count)));
      for (std::size_t i = 0; i < count; ++i) {
        memory_->insert({seq + i, static_cast<std::int64_t>(seq + i) * 1000, 0}, released);
      }
      garbage_.release(released);
      released.clear();
      if (watch.seconds() - checkpoint_at < kCheckpointSeconds) continue;
      checkpoint();
      checkpoint_at = watch.seconds();
    }
    checkpoint();
    return watch.seconds();
  }

  void checkpoint() {
    const auto garbage = garbage_.collect(store_->last_seq());
    const std::string header = memory_->header();
    const CheckpointBlob blob{kReplayBlob, header};
    CheckpointWrite write;
    write.seq = store_->last_seq();
    write.blobs = {&blob, 1};
    write.visit_pages = [this](const std::function<void(const CheckpointPage&)>& put) {
      memory_->dirty_pages([&](std::uint32_t space, std::uint64_t index, std::string_view page) {
        put({space, index, page});
      });
    };
    write.garbage = garbage;
    check(store_->checkpoint(write).status());
    memory_->clear_dirty();
  }

  Arguments arguments_;
  std::string folder_;
  NullLog log_;
  LocalMetrics metrics_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ReplayMemory> memory_;
  PayloadGarbage garbage_;
};

Arguments parse(int count, char** words) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    const auto value = [&] { return i + 1 < count ? words[++i] : "0"; };
    if (word == "--events") arguments.events = std::strtoull(value(), nullptr, 10);
    if (word == "--record-bytes") arguments.record_bytes = std::strtoull(value(), nullptr, 10);
    if (word == "--path") arguments.path = value();
    if (word == "--turns") arguments.turns = std::max(1ULL, std::strtoull(value(), nullptr, 10));
    if (word == "--seconds") arguments.seconds = std::strtod(value(), nullptr);
    if (word == "--reuse") arguments.reuse = value();
    if (word == "--keep") arguments.keep = true;
    if (word == "--keys") arguments.compare_keys = true;
    if (word == "--bulk") arguments.bulk = true;
  }
  return arguments;
}

// Two stores at once; which one comes first changes with the turn.
void compare_keys(const Arguments& arguments) {
  Arguments with = arguments;
  Arguments without = arguments;
  with.path += "/keys";
  without.path += "/none";
  Bench keyed(with);
  Bench bare(without);
  const std::uint64_t stretch = arguments.events / arguments.turns;
  std::vector<double> wall;
  std::vector<double> busy;
  for (std::uint64_t turn = 0; turn < arguments.turns; ++turn) {
    Bench::Cost keys;
    if (turn % 2 == 0) keys = keyed.append_turn(true, stretch);
    const Bench::Cost none = bare.append_turn(false, stretch);
    if (turn % 2 != 0) keys = keyed.append_turn(true, stretch);
    wall.push_back(keys.seconds / none.seconds);
    busy.push_back(keys.cpu / none.cpu);
    fmt::print("turn {}: with keys {:.0f} events/s, without {:.0f}; time {:.3f}, CPU time {:.3f}; {}\n", turn + 1,
               static_cast<double>(stretch) / keys.seconds, static_cast<double>(stretch) / none.seconds, wall.back(),
               busy.back(), load_now());
    std::fflush(stdout);
  }
  std::sort(wall.begin(), wall.end());
  std::sort(busy.begin(), busy.end());
  fmt::print("the index of keys: median time {:.3f} ({:.3f} to {:.3f}), median CPU time {:.3f} ({:.3f} to {:.3f})\n",
             wall[wall.size() / 2], wall.front(), wall.back(), busy[busy.size() / 2], busy.front(), busy.back());
}

int run(Arguments arguments) {
  if (arguments.bulk) {
    fmt::print("{}\n", bulk_seconds(arguments));
    return 0;
  }
  std::string folder =
      (arguments.path.empty() ? std::filesystem::temp_directory_path().string() : arguments.path) + "/replay_XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) abort_with("no folder at " + folder);
  arguments.path = folder;
  fmt::print("{} events of {} bytes in {}\n", arguments.events, arguments.record_bytes, folder);
  if (arguments.compare_keys) {
    compare_keys(arguments);
  } else {
    Bench bench(arguments);
    if (arguments.reuse.empty()) bench.append();
    bench.sample(/*cached=*/true);
    bench.sample(/*cached=*/false);
  }
  if (!arguments.keep) std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace
}  // namespace freshet

int main(int count, char** words) { return freshet::run(freshet::parse(count, words)); }
