// Rates of the store: appending events, reading replayed ones, writing checkpoints. 250-byte records whose bytes look
// like a flight's (small numbers, hashes, float features), in batches of 1,024.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>

#include "core/rng.h"
#include "storage/store.h"

namespace freshet {
namespace {

constexpr std::size_t kStride = 250;
constexpr std::size_t kBatch = 1024;
constexpr std::uint64_t kStored = 300 * kBatch;

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "freshet_bench_XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Source {
  std::string records;
  std::vector<Position> positions;
  std::vector<std::uint64_t> hashes;
  std::uint64_t next_seq = 1;
  Rng rng{7};

  Source() : records(kStride * kBatch, '\0'), positions(kBatch), hashes(kBatch) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      char* record = records.data() + i * kStride;
      for (std::size_t at = 0; at + 8 <= 80; at += 8) {
        const std::uint64_t hash = rng.below(4000) * 0x9E3779B97F4A7C15ULL;
        std::memcpy(record + at, &hash, sizeof hash);
      }
      for (std::size_t at = 80; at + 4 <= kStride; at += 4) {
        const float number = rng.below(3) == 0 ? 0.0F : static_cast<float>(rng.uniform());
        std::memcpy(record + at, &number, sizeof number);
      }
      hashes[i] = rng.next();
    }
  }

  AppendBatch next() {
    for (std::size_t i = 0; i < kBatch; ++i) positions[i] = {0, static_cast<std::int64_t>(next_seq + i)};
    const AppendBatch batch{next_seq, records, kStride, positions, hashes, {}, {}};
    next_seq += kBatch;
    return batch;
  }
};

std::unique_ptr<Store> open_store(const std::string& path, Compression compression, std::uint64_t record_cache_mib) {
  static NullLog log;
  static LocalMetrics metrics;
  StoreOptions options;
  options.path = path;
  options.compression = compression;
  options.record_cache_bytes = record_cache_mib << 20;
  auto store = Store::open(options, std::nullopt, log, metrics);
  if (!store.is_ok()) abort_with(store.status().to_string());
  return std::move(store).value();
}

void check(const Status& status) {
  if (!status.is_ok()) abort_with(status.to_string());
}

void append(benchmark::State& state) {
  const Folder folder;
  const auto store =
      open_store(folder.path(), static_cast<Compression>(state.range(0)), static_cast<std::uint64_t>(state.range(1)));
  Source source;
  for (auto _ : state) check(store->append(source.next()));
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kBatch * kStride));
}
BENCHMARK(append)
    ->ArgsProduct({{0, 1}, {0, 128}})
    ->ArgNames({"compression", "cache_mib"})
    ->Iterations(1000)
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMicrosecond);

void read_random(benchmark::State& state) {
  const Folder folder;
  const auto store =
      open_store(folder.path(), static_cast<Compression>(state.range(0)), static_cast<std::uint64_t>(state.range(1)));
  Source source;
  while (source.next_seq <= kStored) check(store->append(source.next()));
  Rng rng(11);
  std::vector<std::uint64_t> seqs(kBatch);
  std::uint64_t sum = 0;
  const auto draw = [&] {
    for (auto& seq : seqs) seq = 1 + rng.below(kStored);
  };
  for (int warm = 0; warm < 300; ++warm) {
    draw();
    check(store->read(seqs, [&](std::size_t, std::string_view record) { sum += record.size(); }));
  }
  for (auto _ : state) {
    state.PauseTiming();
    draw();
    state.ResumeTiming();
    check(
        store->read(seqs, [&](std::size_t, std::string_view record) { sum += static_cast<std::uint8_t>(record[9]); }));
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
}
BENCHMARK(read_random)
    ->ArgsProduct({{0, 1}, {0, 32, 128}})
    ->ArgNames({"compression", "cache_mib"})
    ->Iterations(300)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

void checkpoint(benchmark::State& state) {
  const Folder folder;
  const auto store = open_store(folder.path(), Compression::kNone, 32);
  Source source;
  const std::string weights(static_cast<std::size_t>(state.range(0)) << 20, 'w');
  for (auto _ : state) {
    check(store->append(source.next()));
    const CheckpointBlob blob{"weights", weights};
    CheckpointWrite write;
    write.seq = store->last_seq();
    write.blobs = {&blob, 1};
    check(store->checkpoint(write).status());
  }
}
BENCHMARK(checkpoint)->Arg(1)->Arg(10)->ArgName("mib")->Iterations(20)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace freshet

BENCHMARK_MAIN();
