#include "tests/storage/crash_child.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/rng.h"
#include "tests/storage/fault_child.h"
#include "tests/storage/store_fixture.h"

namespace freshet::testing {

std::string crash_blob(std::uint64_t seq) { return std::string(200'000, static_cast<char>('a' + seq % 26)); }

int run_crash_child(const std::string& path, std::uint64_t seed) {
  Opened opened;
  StoreOptions options = options_for(path);
  options.write_buffer_bytes = 64 << 10;  // flushes and compactions all the time
  if (const Status status = open_into(opened, options); !status.is_ok()) {
    std::fprintf(stderr, "%s\n", status.to_string().c_str());
    return 3;
  }
  Store& store = *opened.store;
  std::map<std::int32_t, std::int64_t> next;
  for (const PartitionLedger& ledger : store.ledger()) next[ledger.partition] = ledger.next_offset;
  Rng rng(seed);
  std::uint64_t round = store.next_order_index();
  for (;;) {  // until killed
    Batch batch(store.last_seq() + 1);
    const std::uint64_t count = 1 + rng.below(300);
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto partition = static_cast<std::int32_t>(rng.below(4));
      if (rng.below(10) == 0) batch.skip({partition, next[partition]++}, SkipReason::kMalformed);
      batch.event({partition, next[partition]++});
    }
    batch.cut(++round);
    if (!store.append(batch.view()).is_ok()) return 4;
    if (write(STDOUT_FILENO, "+", 1) != 1) return 5;
    if (round % 3 != 0) continue;
    const std::string weights = crash_blob(store.last_seq());
    const CheckpointBlob blob{"weights", weights};
    CheckpointWrite write_to;
    write_to.seq = store.last_seq();
    write_to.order_index = store.next_order_index();
    write_to.blobs = {&blob, 1};
    if (!store.checkpoint(write_to).is_ok()) return 6;
  }
}

}  // namespace freshet::testing

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == freshet::testing::kCrashChildFlag) {
    return freshet::testing::run_crash_child(argv[2], std::stoull(argv[3]));
  }
  if (argc > 1 && std::string(argv[1]) == freshet::testing::kFaultChildFlag) {
    return freshet::testing::run_fault_child({argv + 1, argv + argc});
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
