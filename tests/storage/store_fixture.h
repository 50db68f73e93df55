// What the store's tests share: a folder of their own, and batches whose content follows from seq and position.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/hash.h"
#include "core/log.h"
#include "core/metrics.h"
#include "storage/store.h"

namespace freshet::testing {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "freshet_storage_XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string store() const { return path_ + "/store"; }

 private:
  std::string path_;
};

inline constexpr std::size_t kStride = 64;

struct TestRecord {
  std::uint64_t seq;
  std::int64_t offset;
  std::int32_t partition;
  std::uint32_t filler;
  std::uint64_t value_hash;
  char rest[32];
};
static_assert(sizeof(TestRecord) == kStride);

inline std::uint64_t value_hash_of(Position position) {
  return hash_combine(static_cast<std::uint64_t>(position.partition), static_cast<std::uint64_t>(position.offset) + 77);
}

inline std::string record_of(std::uint64_t seq, Position position) {
  TestRecord record{};
  record.seq = seq;
  record.offset = position.offset;
  record.partition = position.partition;
  record.value_hash = value_hash_of(position);
  std::memset(record.rest, static_cast<int>('a' + seq % 26), sizeof record.rest);
  return {reinterpret_cast<const char*>(&record), sizeof record};
}

inline TestRecord parse(std::string_view bytes) {
  TestRecord record{};
  EXPECT_EQ(bytes.size(), sizeof record);
  if (bytes.size() == sizeof record) std::memcpy(&record, bytes.data(), sizeof record);
  return record;
}

// The owned columns behind an AppendBatch.
struct Batch {
  std::uint64_t first_seq = 0;
  std::string records;
  std::vector<Position> positions;
  std::vector<std::uint64_t> hashes;
  std::vector<SkippedRecord> skipped;
  std::vector<OffsetReset> resets;
  std::vector<OrderEntry> order;

  explicit Batch(std::uint64_t seq) : first_seq(seq) {}
  Batch& event(Position position) {
    records += record_of(first_seq + positions.size(), position);
    positions.push_back(position);
    hashes.push_back(value_hash_of(position));
    return *this;
  }
  Batch& events(std::int32_t partition, std::int64_t first_offset, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) event({partition, first_offset + static_cast<std::int64_t>(i)});
    return *this;
  }
  Batch& skip(Position position, SkipReason reason) {
    skipped.push_back({position, reason});
    return *this;
  }
  Batch& cut(std::uint64_t round) {
    order.push_back({OrderKind::kRoundCut, first_seq + positions.size() - 1, round, 0});
    return *this;
  }
  AppendBatch view() const { return {first_seq, records, kStride, positions, hashes, skipped, resets, order}; }
};

struct Opened {
  MemoryLog log;
  LocalMetrics metrics;
  std::unique_ptr<Store> store;
};

inline StoreOptions options_for(const std::string& path) {
  StoreOptions options;
  options.path = path;
  options.record_cache_bytes = 1 << 20;
  options.write_buffer_bytes = 1 << 20;
  return options;
}

inline Status open_into(Opened& opened, const StoreOptions& options,
                        const std::optional<StoreIdentity>& identity = std::nullopt) {
  auto store = Store::open(options, identity, opened.log, opened.metrics);
  if (!store.is_ok()) return store.status();
  opened.store = std::move(store).value();
  return Status::ok();
}

inline double counter(Opened& opened, const char* name) {
  static const std::map<std::string, std::string> kHelp = {
      {"freshet_checkpoint_fallbacks_total", "Damaged checkpoints that were dropped for an older one."},
      {"freshet_store_write_failures_total", "Writes that the disk refused (full, or I/O error)."}};
  return opened.metrics.counter(name, kHelp.at(name)).value();
}

inline std::vector<std::uint64_t> stored_seqs(const Store& store) {
  std::vector<std::uint64_t> seqs;
  const Status status = store.scan(0, UINT64_MAX, [&](std::uint64_t seq, std::string_view) {
    seqs.push_back(seq);
    return Status::ok();
  });
  EXPECT_TRUE(status.is_ok()) << status.to_string();
  return seqs;
}

// What a Status or Result says, for EXPECT_OK and ASSERT_OK.
template <typename Outcome>
::testing::AssertionResult succeeded(const Outcome& outcome) {
  if (outcome.is_ok()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << outcome.to_string();
}

#define EXPECT_OK(expression) EXPECT_TRUE(::freshet::testing::succeeded(expression))
#define ASSERT_OK(expression) ASSERT_TRUE(::freshet::testing::succeeded(expression))

}  // namespace freshet::testing
