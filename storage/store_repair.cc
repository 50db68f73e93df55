// Damage to checkpoints and their pages: found at the opening, answered by going back to a checkpoint that is whole.
//
// A damaged block cannot be deleted by its keys: the next compaction would meet it, and stop all writing. So a repair
// copies what is whole to a family that stands in for the damaged one, which is dropped with its files.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "storage/store_impl.h"
#include "storage/store_keys.h"

namespace freshet {
namespace {

constexpr std::size_t kCopyBytes = std::size_t{4} << 20;  // of pages, in one write
constexpr std::array<Family, 2> kRepaired = {kCheckpoints, kMemory};

std::string family_name(Family family, bool stand_in) {
  return std::string(family == kCheckpoints ? "checkpoints" : "memory") + (stand_in ? ".b" : "");
}

struct PageVersion {
  PageId page;
  std::uint64_t version = 0;
  bool whole = false;
};

PageId page_of(std::string_view key) {
  return {read_big_endian<std::uint32_t>(key, 0), read_big_endian<std::uint64_t>(key, 4)};
}
std::uint64_t version_of(std::string_view key) { return read_big_endian<std::uint64_t>(key, 12); }

// RocksDB stops at a block that does not match its checksum; the pages have checksums of their own, and the other pages
// in that block may be whole.
rocksdb::ReadOptions reading_past_damage() {
  rocksdb::ReadOptions read;
  read.fill_cache = false;
  read.verify_checksums = false;
  return read;
}

bool page_before(const PageVersion& a, const PageVersion& b) {
  return std::tie(a.page.space, a.page.index, a.version) < std::tie(b.page.space, b.page.index, b.version);
}

// The version of the same page that follows versions[at]; UINT64_MAX: it is the newest.
std::uint64_t followed_by(const std::vector<PageVersion>& versions, std::size_t at) {
  const bool more = at + 1 < versions.size() && versions[at + 1].page == versions[at].page;
  return more ? versions[at + 1].version : UINT64_MAX;
}

}  // namespace

// Of the two names of such a family one is in use; the other is what a repair left behind.
Status Store::Impl::take_stand_ins() {
  for (const Family family : kRepaired) {
    const std::string name = family_name(family, (stand_ins & stand_in_bit(family)) != 0);
    if (families[family] != nullptr && families[family]->GetName() == name) continue;
    const auto named = [&](rocksdb::ColumnFamilyHandle* handle) { return handle->GetName() == name; };
    const auto found = std::find_if(other_families.begin(), other_families.end(), named);
    if (found == other_families.end()) {
      return data_loss(
          fmt::format("the store at {} lacks its family {}; restore it from a backup", options.path, name));
    }
    std::swap(families[family], *found);
    if (*found == nullptr) other_families.erase(found);
  }
  return Status::ok();
}

// One pass over all pages; reading their keys alone would read as much.
Status Store::Impl::load_page_versions() {
  damaged_pages.clear();
  batch.Clear();
  std::vector<PageVersion> versions;
  const std::unique_ptr<rocksdb::Iterator> pages(db->NewIterator(reading_past_damage(), families[kMemory]));
  for (pages->SeekToFirst(); pages->Valid(); pages->Next()) {
    const std::string_view key = view(pages->key());
    if (version_of(key) > last_checkpoint) {  // of a checkpoint whose last write never came
      batch.Delete(families[kMemory], pages->key()).PermitUncheckedError();
      continue;
    }
    versions.push_back({page_of(key), version_of(key), page_is_whole(key, view(pages->value()))});
    page_versions[versions.back().page] = versions.back().version;  // they ascend: the last one is the newest
  }
  TRY(convert(pages->status(), "reading the slot table (family memory)", options.path));
  if (batch.Count() != 0) TRY(write(/*sync=*/false, "deleting pages of a checkpoint that was cut short"));
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (versions[i].whole) continue;
    damaged_pages.push_back({versions[i].page, versions[i].version, followed_by(versions, i)});
  }
  // A damaged key is a page that is not there.
  for (const Kept& entry : kept) {
    if (!entry.manifest.has_value()) continue;
    for (const ManifestPage& page : entry.manifest->pages) {
      const PageVersion wanted{{page.space, page.index}, entry.id, true};
      const auto at = std::lower_bound(versions.begin(), versions.end(), wanted, page_before);
      const bool same_page = at != versions.end() && at->page == wanted.page;
      if (same_page && at->version == wanted.version) continue;
      damaged_pages.push_back({wanted.page, wanted.version, same_page ? at->version : UINT64_MAX});
    }
  }
  return Status::ok();
}

// kDataLoss when its manifest, a piece or a page that it sees is damaged.
Result<Checkpoint> Store::Impl::load_whole(const Kept& entry) const {
  if (!entry.manifest.has_value()) {
    return data_loss(fmt::format("the manifest of checkpoint {} is damaged", entry.id));
  }
  for (const DamagedPage& damage : damaged_pages) {
    if (entry.id < damage.version || entry.id >= damage.until) continue;
    return data_loss(fmt::format("checkpoint {}: page {} of table {}, as checkpoint {} wrote it, is damaged", entry.id,
                                 damage.page.index, damage.page.space, damage.version));
  }
  return load_checkpoint(*entry.manifest);
}

Result<std::optional<Checkpoint>> Store::latest_checkpoint() {
  Impl& self = *impl_;
  TRY(self.usable());
  if (self.kept.empty()) {
    TRY(self.allow_compaction());
    return std::optional<Checkpoint>();
  }
  std::string reasons;
  for (std::size_t i = self.kept.size(); i-- > 0;) {
    const Kept& entry = self.kept[i];
    auto loaded = self.load_whole(entry);
    if (loaded.is_ok()) {
      const bool newest = i + 1 == self.kept.size();
      if (!self.options.read_only && (!newest || TRY(self.damaged_before(i)) || !self.damaged_pages.empty())) {
        TRY(self.discard_after(i));
      }
      TRY(self.allow_compaction());
      return std::optional<Checkpoint>(std::move(loaded).value());
    }
    if (loaded.code() != Code::kDataLoss) return loaded.status();
    self.fallbacks->increment();
    self.log->error("checkpoint_damaged", "a checkpoint cannot be used; trying the one before it",
                    {{"checkpoint", entry.id}, {"error", loaded.status().to_string()}, {"path", self.options.path}});
    reasons += reasons.empty() ? "" : "; ";
    reasons += loaded.status().message();
  }
  return data_loss(
      fmt::format("no checkpoint in {} is whole ({}){}; restore the folder from a backup, or move it away to "
                  "begin anew from what the broker still has",
                  self.options.path, reasons,
                  self.kept.size() > 1 ? ""
                                       : "; there is no older one: an erasure (freshet state erase, a tombstone) drops "
                                         "those that held what it erased, and checkpoint.keep may be 1"));
}

// Whether one before kept[good] is damaged: nobody would read it, but the next compaction would stop at its block.
Result<bool> Store::Impl::damaged_before(std::size_t good) const {
  for (std::size_t i = 0; i < good; ++i) {
    const auto loaded = load_whole(kept[i]);
    if (loaded.code() == Code::kDataLoss) {
      log->warning("checkpoint_damaged", "an older checkpoint cannot be used; it is dropped, the newest one is whole",
                   {{"checkpoint", kept[i].id}, {"error", loaded.status().to_string()}, {"path", options.path}});
      return true;
    }
    if (!loaded.is_ok()) return loaded.status();
  }
  return false;
}

Status Store::Impl::allow_compaction() {
  if (options.read_only || checkpoints_verified) return Status::ok();
  TRY(convert(db->EnableAutoCompaction({families[kCheckpoints], families[kMemory]}), "compacting the checkpoints",
              options.path));
  checkpoints_verified = true;
  return Status::ok();
}

// An empty family under the name that is not in use, last of other_families.
Result<rocksdb::ColumnFamilyHandle*> Store::Impl::create_stand_in(Family family) {
  const std::string name = family_name(family, (stand_ins & stand_in_bit(family)) == 0);
  const auto named = [&](rocksdb::ColumnFamilyHandle* handle) { return handle->GetName() == name; };
  const auto left = std::find_if(other_families.begin(), other_families.end(), named);
  if (left != other_families.end()) {  // by a repair that was cut short
    TRY(convert(db->DropColumnFamily(*left), "repairing the checkpoints", options.path));
    db->DestroyColumnFamilyHandle(*left).PermitUncheckedError();
    other_families.erase(left);
  }
  rocksdb::ColumnFamilyHandle* fresh = nullptr;
  TRY(convert(db->CreateColumnFamily(family_options(options, name), name, &fresh), "repairing the checkpoints",
              options.path));
  other_families.push_back(fresh);
  return fresh;
}

// Once `stand_ins` says so durably: the damaged family goes with its files.
Status Store::Impl::put_in_place(Family family, rocksdb::ColumnFamilyHandle* fresh) {
  std::erase(other_families, fresh);
  std::swap(families[family], fresh);
  Status dropped = convert(db->DropColumnFamily(fresh), "repairing the checkpoints", options.path);
  db->DestroyColumnFamilyHandle(fresh).PermitUncheckedError();
  return dropped;
}

// The whole page versions that a checkpoint of `ids` (ascending) sees. Nobody reads the copies before the repair is
// done, so they need no sync of their own.
Status Store::Impl::copy_pages(rocksdb::ColumnFamilyHandle* to, std::span<const std::uint64_t> ids) {
  rocksdb::WriteBatch copies;
  std::string key;  // the version before, which is copied once it is known until when it was the newest
  std::string value;
  const auto copy_until = [&](std::uint64_t until) {
    if (key.empty() || !page_is_whole(key, value)) return;
    const auto first = std::lower_bound(ids.begin(), ids.end(), version_of(key));
    if (first != ids.end() && *first < until) copies.Put(to, key, value).PermitUncheckedError();
  };
  const auto write_copies = [&]() -> Status {
    touch_all_families(copies);
    const rocksdb::Status written = db->Write({}, &copies);
    copies.Clear();
    return convert(written, "repairing the checkpoints", options.path);
  };
  const std::unique_ptr<rocksdb::Iterator> pages(db->NewIterator(reading_past_damage(), families[kMemory]));
  for (pages->SeekToFirst(); pages->Valid(); pages->Next()) {
    const std::string_view next = view(pages->key());
    copy_until(!key.empty() && page_of(next) == page_of(key) ? version_of(next) : UINT64_MAX);
    if (copies.GetDataSize() >= kCopyBytes) TRY(write_copies());
    key.assign(next);
    value.assign(view(pages->value()));
  }
  copy_until(UINT64_MAX);
  TRY(convert(pages->status(), "repairing the checkpoints", options.path));
  return write_copies();
}

// Drops the damaged checkpoints, those after kept[good] with the page versions that they wrote. What changes for
// readers is one synced write.
Status Store::Impl::discard_after(std::size_t good) {
  const bool new_pages = !damaged_pages.empty();
  rocksdb::ColumnFamilyHandle* const fresh = TRY(create_stand_in(kCheckpoints));
  std::vector<std::uint64_t> ids;
  std::vector<Kept> whole;
  batch.Clear();
  for (std::size_t i = 0; i <= good; ++i) {
    const auto loaded = load_whole(kept[i]);
    if (!loaded.is_ok()) {  // an older one that is damaged too is no use as a fallback
      if (loaded.code() != Code::kDataLoss) return loaded.status();
      continue;
    }
    const Manifest& manifest = *kept[i].manifest;
    for (std::size_t number = 0; number < manifest.blobs.size(); ++number) {
      const std::string& bytes = loaded->blobs.at(manifest.blobs[number].name);
      for (std::size_t piece = 0; piece < piece_count(bytes.size()); ++piece) {
        const PieceKey key =
            piece_key(kept[i].id, kPieceKind, static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(piece));
        batch.Put(fresh, slice(key.view()), slice(std::string_view(bytes).substr(piece * kPieceBytes, kPieceBytes)))
            .PermitUncheckedError();
      }
    }
    batch.Put(fresh, slice(piece_key(kept[i].id, kManifestKind, 0, 0).view()), encode_manifest(manifest))
        .PermitUncheckedError();
    ids.push_back(kept[i].id);
    whole.push_back(kept[i]);
  }
  rocksdb::ColumnFamilyHandle* fresh_pages = nullptr;
  if (new_pages) {
    fresh_pages = TRY(create_stand_in(kMemory));
    TRY(copy_pages(fresh_pages, ids));
  }

  std::unordered_map<PageId, std::uint64_t, PageIdHash> versions;
  const std::unique_ptr<rocksdb::Iterator> pages(db->NewIterator({}, new_pages ? fresh_pages : families[kMemory]));
  for (pages->SeekToFirst(); pages->Valid(); pages->Next()) {
    const std::string_view key = view(pages->key());
    if (version_of(key) > kept[good].id) {
      batch.Delete(families[kMemory], pages->key()).PermitUncheckedError();
    } else {
      versions[page_of(key)] = version_of(key);
    }
  }
  TRY(convert(pages->status(), "repairing the checkpoints", options.path));

  const std::uint8_t before = stand_ins;
  stand_ins ^= stand_in_bit(kCheckpoints);
  if (new_pages) stand_ins ^= stand_in_bit(kMemory);
  batch.Put(families[kMeta], slice(kMetaCheckpoints), encode_kept(ids)).PermitUncheckedError();
  if (Status written = write(/*sync=*/true, "repairing the checkpoints"); !written.is_ok()) {
    stand_ins = before;
    return written;
  }
  const Status dropped = put_in_place(kCheckpoints, fresh);
  const Status pages_dropped = new_pages ? put_in_place(kMemory, fresh_pages) : Status::ok();
  TRY(Status(dropped));
  TRY(Status(pages_dropped));
  damaged_pages.clear();
  page_versions = std::move(versions);
  if (good + 1 < kept.size()) {
    log->warning("checkpoint_fallback", "went back to an older checkpoint; the log after it is redone",
                 {{"checkpoint", kept[good].id}, {"dropped", static_cast<std::uint64_t>(kept.size() - good - 1)}});
  }
  const std::lock_guard lock(mutex);
  kept = std::move(whole);
  return Status::ok();
}

}  // namespace freshet
