// Work on the table files as such: compaction, checksums.
#include <fmt/format.h>
#include <rocksdb/metadata.h>
#include <rocksdb/sst_file_reader.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <stop_token>
#include <thread>

#include "storage/store_impl.h"
#include "storage/store_keys.h"

namespace freshet {
namespace {
constexpr std::chrono::milliseconds kAskEvery{100};
}

Result<Compaction> Store::compact(const WorkStep& step) const {
  if (impl_->options.read_only) return failed_precondition("a store that is open for reading cannot be compacted");
  Compaction result;
  result.bytes_before = bytes_on_disk();
  std::map<std::string, std::uint64_t> sizes;
  std::uint64_t total = 0;
  for (const TableFile& file : table_files()) {
    sizes[file.family] += file.bytes;
    total += file.bytes;
  }
  const std::shared_lock shared(impl_->database_mutex);
  TRY(impl_->usable());
  // A compaction answers to a flag alone; somebody must look at `step` meanwhile.
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> done{0};
  const std::jthread watch([&](const std::stop_token& over) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!over.stop_requested()) {
      if (step && !step(done, total)) stop = true;
      wake.wait_for(lock, over, kAskEvery, [] { return false; });
    }
  });
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  options.canceled = &stop;
  for (rocksdb::ColumnFamilyHandle* family : impl_->families) {
    const rocksdb::Status status = impl_->db->CompactRange(options, family, nullptr, nullptr);
    if (stop || status.IsManualCompactionPaused())
      return cancelled("the compaction was interrupted; what it did stands");
    TRY(convert(status, "compacting", path()));
    done += sizes[family->GetName()];
  }
  if (step) step(total, total);
  result.bytes_after = bytes_on_disk();
  return result;
}

std::vector<TableFile> Store::table_files() const {
  std::vector<TableFile> files;
  const std::shared_lock shared(impl_->database_mutex);
  if (!impl_->usable().is_ok()) return files;
  std::vector<rocksdb::LiveFileMetaData> live;
  impl_->db->GetLiveFilesMetaData(&live);
  for (const rocksdb::LiveFileMetaData& file : live) {
    files.push_back({file.name.starts_with('/') ? file.name.substr(1) : file.name, file.column_family_name, file.size});
  }
  return files;
}

Status Store::verify_table(const TableFile& file) const {
  rocksdb::Options options;
  if (impl_->options.env != nullptr) options.env = impl_->options.env;
  const std::string where = path() + "/" + file.name;
  rocksdb::SstFileReader reader(options);
  rocksdb::Status status = reader.Open(where);
  if (status.ok()) status = reader.VerifyChecksum();
  if (status.ok()) return Status::ok();
  std::error_code error;
  if (!std::filesystem::exists(where, error)) return not_found(fmt::format("{} is gone", where));
  if (status.IsCorruption()) return data_loss(fmt::format("{} ({}): {}", file.name, file.family, status.ToString()));
  return convert(status, "reading " + file.name, path());
}

std::vector<std::uint32_t> Store::page_spaces() const {
  std::vector<std::uint32_t> spaces;
  const std::shared_lock shared(impl_->database_mutex);
  if (!impl_->usable().is_ok()) return spaces;
  const std::unique_ptr<rocksdb::Iterator> rows(impl_->db->NewIterator({}, impl_->families[kMemory]));
  for (rows->SeekToFirst(); rows->Valid();) {
    const auto space = read_big_endian<std::uint32_t>(view(rows->key()), 0);
    spaces.push_back(space);
    if (space == UINT32_MAX) break;
    rows->Seek(slice(page_key(space + 1, 0, 0).view()));
  }
  return spaces;
}

}  // namespace freshet
