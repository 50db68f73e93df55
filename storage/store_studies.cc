// Studies: their parts beside the checkpoints, in pieces with checksums under a head that is written with or after
// them.
#include <fmt/format.h>

#include <algorithm>

#include "core/bytes.h"
#include "storage/store_impl.h"
#include "storage/store_keys.h"

namespace freshet {
namespace {

constexpr std::uint32_t kHead = 0;  // pieces count from 1

// u64 study | name | a zero byte | u32 piece
std::string part_key(std::uint64_t study, std::string_view name, std::uint32_t piece) {
  std::string key(Key<8>().put(0, study).view());
  key += name;
  key.push_back('\0');
  key += Key<4>().put(0, piece).view();
  return key;
}

std::string part_end(std::uint64_t study, std::string_view name) {
  std::string key = part_key(study, name, 0);
  key.resize(key.size() - sizeof(std::uint32_t));
  key.back() = '\1';
  return key;
}

}  // namespace

Status Store::put_study(std::uint64_t study, std::span<const StudyPart> parts, std::span<const std::string> gone,
                        bool sync) {
  Impl& self = *impl_;
  TRY(self.ready("storing a study"));
  rocksdb::WriteBatch& batch = self.batch;
  batch.Clear();
  rocksdb::ColumnFamilyHandle* const family = self.families[kStudies];
  const auto drop = [&](std::string_view name) {
    batch.DeleteRange(family, slice(part_key(study, name, kHead)), slice(part_end(study, name))).PermitUncheckedError();
  };
  for (const std::string& name : gone) drop(name);
  for (const StudyPart& part : parts) {
    drop(part.name);
    ByteWriter head;
    std::vector<std::uint64_t> checksums;
    for (std::size_t piece = 0; piece < piece_count(part.bytes.size()); ++piece) {
      const std::string_view bytes = part.bytes.substr(piece * kPieceBytes, kPieceBytes);
      checksums.push_back(checksum(bytes));
      batch.Put(family, slice(part_key(study, part.name, static_cast<std::uint32_t>(piece) + 1)), slice(bytes))
          .PermitUncheckedError();
      // Without its head nothing knows of it; several parts belong together and go in one write.
      if (parts.size() == 1 && batch.GetDataSize() >= self.options.write_buffer_bytes / 4) {
        TRY(self.write(/*sync=*/false, "storing a study"));
      }
    }
    head.put<std::uint64_t>(part.bytes.size());
    head.put_span(std::span<const std::uint64_t>(checksums));
    batch.Put(family, slice(part_key(study, part.name, kHead)), head.buffer()).PermitUncheckedError();
  }
  TRY(self.write(sync, "storing a study"));
  if (!sync) return Status::ok();
  const std::lock_guard lock(self.mutex);
  self.mark_synced();
  return Status::ok();
}

Result<std::optional<std::string>> Store::read_study(std::uint64_t study, std::string_view name) const {
  const std::shared_lock shared(impl_->database_mutex);
  TRY(impl_->usable());
  rocksdb::ColumnFamilyHandle* const family = impl_->families[kStudies];
  if (family == nullptr) return std::optional<std::string>();  // an older store, open for reading
  std::string value;
  const rocksdb::ReadOptions read;
  rocksdb::Status status = impl_->db->Get(read, family, slice(part_key(study, name, kHead)), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  TRY(convert(status, "reading a study", path()));
  const auto damaged = [&](std::string_view why) {
    return data_loss(fmt::format("study {}, {}, in {}: {}", study, name, path(), why));
  };
  ByteReader head(value);
  const auto size = head.get<std::uint64_t>();
  const auto checksums = head.get_vector<std::uint64_t>();
  if (!head.at_end() || checksums.size() != piece_count(size)) return damaged("its head cannot be read");
  std::string bytes;
  for (std::size_t piece = 0; piece < checksums.size(); ++piece) {
    rocksdb::PinnableSlice found;
    status = impl_->db->Get(read, family, slice(part_key(study, name, static_cast<std::uint32_t>(piece) + 1)), &found);
    if (status.IsNotFound()) return damaged(fmt::format("piece {} is missing", piece));
    if (status.IsCorruption()) return damaged(status.ToString());
    TRY(convert(status, "reading a study", path()));
    if (checksum(view(found)) != checksums[piece]) {
      return damaged(fmt::format("the checksum of piece {} does not match", piece));
    }
    bytes.append(found.data(), found.size());
  }
  if (bytes.size() != size) return damaged("its length is wrong");
  return std::optional<std::string>(std::move(bytes));
}

Result<std::vector<std::string>> Store::study_parts(std::uint64_t study) const {
  const std::shared_lock shared(impl_->database_mutex);
  TRY(impl_->usable());
  std::vector<std::string> names;
  rocksdb::ColumnFamilyHandle* const family = impl_->families[kStudies];
  if (family == nullptr) return names;
  const std::string begin(Key<8>().put(0, study).view());
  const std::unique_ptr<rocksdb::Iterator> rows(impl_->db->NewIterator({}, family));
  for (rows->Seek(slice(begin)); rows->Valid();) {
    const std::string_view key = view(rows->key());
    if (!key.starts_with(begin)) break;
    const std::string name(key.substr(begin.size(), key.find('\0', begin.size()) - begin.size()));
    if (read_big_endian<std::uint32_t>(key, key.size() - sizeof(std::uint32_t)) == kHead) names.push_back(name);
    rows->Seek(slice(part_end(study, name)));
  }
  TRY(convert(rows->status(), "reading the studies", path()));
  return names;
}

Result<std::vector<std::uint64_t>> Store::studies() const {
  const std::shared_lock shared(impl_->database_mutex);
  TRY(impl_->usable());
  std::vector<std::uint64_t> numbers;
  rocksdb::ColumnFamilyHandle* const family = impl_->families[kStudies];
  if (family == nullptr) return numbers;
  const std::unique_ptr<rocksdb::Iterator> rows(impl_->db->NewIterator({}, family));
  for (rows->SeekToFirst(); rows->Valid();) {
    numbers.push_back(read_big_endian<std::uint64_t>(view(rows->key()), 0));
    rows->Seek(slice(Key<8>().put(0, numbers.back() + 1).view()));
  }
  TRY(convert(rows->status(), "reading the studies", path()));
  return numbers;
}

Status Store::drop_studies(std::uint64_t first, std::uint64_t last, bool sync) {
  Impl& self = *impl_;
  TRY(self.ready("deleting studies"));
  self.batch.Clear();
  self.batch
      .DeleteRange(self.families[kStudies], slice(Key<8>().put(0, first).view()),
                   slice(Key<8>().put(0, last + 1).view()))
      .PermitUncheckedError();
  return self.write(sync, "deleting studies");
}

}  // namespace freshet
