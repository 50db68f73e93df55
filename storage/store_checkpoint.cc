// Checkpoints: written durably before older ones go, verified before they are believed.
#include <fmt/format.h>

#include <algorithm>

#include "core/bytes.h"
#include "core/hash.h"
#include "storage/store_impl.h"
#include "storage/store_keys.h"

namespace freshet {
namespace {

std::uint64_t page_checksum(std::string_view key, std::string_view bytes) {
  return hash_combine(checksum(key), checksum(bytes));
}

// The pieces of `bytes`; an empty blob has none.
std::size_t piece_count(std::uint64_t bytes) {
  return static_cast<std::size_t>((bytes + kPieceBytes - 1) / kPieceBytes);
}

}  // namespace

std::string Store::Impl::encode_kept(const std::vector<std::uint64_t>& ids) const {
  ByteWriter writer;
  writer.put(last_checkpoint);
  writer.put_span(std::span<const std::uint64_t>(ids));
  writer.put(checkpoint_family);
  return writer.take();
}

Result<std::uint64_t> Store::checkpoint(const CheckpointWrite& in) {
  Impl& self = *impl_;
  TRY(self.ready("writing a checkpoint"));
  if (in.seq > self.last_seq || in.order_index > self.next_order) {
    return invalid_argument(fmt::format("checkpoint at seq {} and order entry {}, the store ends at {} and {}", in.seq,
                                        in.order_index, self.last_seq, self.next_order));
  }
  for (const SeqRange& range : in.garbage) {
    if (range.first == 0 || range.first > range.last || range.last > in.seq) {
      return invalid_argument(fmt::format("garbage {}..{} in a checkpoint at seq {}", range.first, range.last, in.seq));
    }
  }
  Manifest manifest;
  const std::uint64_t id = self.last_checkpoint + 1;
  manifest.info = {id, in.seq, in.order_index, in.round, in.model_version, in.wall_ms, 0};
  manifest.order_keep_from = std::min(in.order_keep_from, in.order_index);
  manifest.garbage.assign(in.garbage.begin(), in.garbage.end());

  rocksdb::WriteBatch& batch = self.batch;
  batch.Clear();
  std::vector<CheckpointBlob> blobs(in.blobs.begin(), in.blobs.end());
  const std::string ledgers = self.encode_ledgers();
  if (in.seq == self.last_seq) blobs.push_back({kLedgerBlob, ledgers});
  for (const CheckpointBlob& blob : blobs) {
    const auto number = static_cast<std::uint32_t>(manifest.blobs.size());
    ManifestBlob& entry = manifest.blobs.emplace_back();
    entry.name = std::string(blob.name);
    entry.bytes = blob.bytes.size();
    for (std::size_t piece = 0; piece < piece_count(entry.bytes); ++piece) {
      const std::string_view bytes = blob.bytes.substr(piece * kPieceBytes, kPieceBytes);
      entry.checksums.push_back(checksum(bytes));
      batch
          .Put(self.families[kCheckpoints],
               slice(piece_key(id, kPieceKind, number, static_cast<std::uint32_t>(piece)).view()), slice(bytes))
          .PermitUncheckedError();
    }
    manifest.info.bytes += entry.bytes;
  }
  for (const CheckpointPage& page : in.pages) {
    const PageKey key = page_key(page.space, page.index, id);
    ByteWriter value;
    value.put(page_checksum(key.view(), page.bytes));
    value.append(page.bytes.data(), page.bytes.size());
    batch.Put(self.families[kMemory], slice(key.view()), value.buffer()).PermitUncheckedError();
    const auto before = self.page_versions.find({page.space, page.index});
    manifest.pages.push_back({page.space, page.index, before == self.page_versions.end() ? 0 : before->second});
    manifest.info.bytes += page.bytes.size();
  }
  const bool erasing = in.erasures_through != 0;
  if (erasing) self.put_erasure_checkpoint(in, manifest);
  batch.Put(self.families[kCheckpoints], slice(piece_key(id, kManifestKind, 0, 0).view()), encode_manifest(manifest))
      .PermitUncheckedError();
  std::vector<std::uint64_t> ids;
  for (const Kept& entry : self.kept) {
    if (!erasing) ids.push_back(entry.id);
  }
  ids.push_back(id);
  ByteWriter list;
  list.put(id);
  list.put_span(std::span<const std::uint64_t>(ids));
  list.put(self.checkpoint_family);
  batch.Put(self.families[kMeta], slice(kMetaCheckpoints), list.buffer()).PermitUncheckedError();
  TRY(self.write(/*sync=*/true, "writing a checkpoint"));

  for (const ManifestPage& page : manifest.pages) self.page_versions[{page.space, page.index}] = id;
  self.checkpointed->increment();
  self.checkpoint_bytes->set(static_cast<double>(manifest.info.bytes));
  {
    const std::lock_guard lock(self.mutex);
    self.last_checkpoint = id;
    if (erasing) self.finish_erasure(in);
    self.kept.push_back({id, std::move(manifest)});
    self.mark_synced();
    if (self.kept.size() == 1 && !self.options.keep_all_events) {
      const auto& garbage = self.kept.front().manifest->garbage;
      self.doomed.assign(garbage.begin(), garbage.end());
    }
  }
  while (self.kept.size() > self.options.checkpoints_kept) {
    const Status retired = self.retire_oldest();
    if (!retired.is_ok()) {  // the new checkpoint stands; the next one tries again
      self.log->warning("checkpoint_not_retired", "an old checkpoint could not be deleted",
                        {{"error", retired.to_string()}});
      break;
    }
  }
  return id;
}

// Deletes the oldest checkpoint, the page versions that only it needed, and what the next one has declared garbage.
Status Store::Impl::retire_oldest() {
  TRY(delete_all_doomed());  // what the checkpoint that goes had declared is recorded nowhere else
  const std::uint64_t gone = kept[0].id;
  const std::optional<Manifest>& heir = kept[1].manifest;
  batch.Clear();
  batch
      .DeleteRange(families[kCheckpoints], slice(piece_key(gone, 0, 0, 0).view()),
                   slice(piece_key(gone + 1, 0, 0, 0).view()))
      .PermitUncheckedError();
  if (heir.has_value()) {
    for (const ManifestPage& page : heir->pages) {
      if (page.superseded == 0) continue;
      batch.Delete(families[kMemory], slice(page_key(page.space, page.index, page.superseded).view()))
          .PermitUncheckedError();
    }
    if (heir->order_keep_from != 0 && !options.keep_all_events) {
      batch.DeleteRange(families[kOrder], slice(seq_key(0).view()), slice(seq_key(heir->order_keep_from).view()))
          .PermitUncheckedError();
    }
  }
  std::vector<std::uint64_t> ids;
  for (std::size_t i = 1; i < kept.size(); ++i) ids.push_back(kept[i].id);
  batch.Put(families[kMeta], slice(kMetaCheckpoints), encode_kept(ids)).PermitUncheckedError();
  TRY(write(/*sync=*/false, "deleting an old checkpoint"));
  if (heir.has_value() && !options.keep_all_events) doomed.assign(heir->garbage.begin(), heir->garbage.end());
  const std::lock_guard lock(mutex);
  kept.erase(kept.begin());
  return Status::ok();
}

Result<Checkpoint> Store::Impl::load_checkpoint(const Manifest& manifest, std::string_view only) const {
  Checkpoint loaded;
  loaded.info = manifest.info;
  const rocksdb::ReadOptions read;
  for (std::size_t number = 0; number < manifest.blobs.size(); ++number) {
    const ManifestBlob& blob = manifest.blobs[number];
    if (!only.empty() && blob.name != only) continue;
    std::string& bytes = loaded.blobs[blob.name];
    const auto damaged = [&](std::string_view why) {
      return data_loss(fmt::format("checkpoint {}, {}: {}", manifest.info.id, blob.name, why));
    };
    if (blob.checksums.size() != piece_count(blob.bytes)) return damaged("its pieces do not add up");
    for (std::size_t piece = 0; piece < blob.checksums.size(); ++piece) {
      rocksdb::PinnableSlice value;
      const PieceKey key = piece_key(manifest.info.id, kPieceKind, static_cast<std::uint32_t>(number),
                                     static_cast<std::uint32_t>(piece));
      const rocksdb::Status status = db->Get(read, families[kCheckpoints], slice(key.view()), &value);
      if (status.IsNotFound()) return damaged(fmt::format("piece {} is missing", piece));
      if (status.IsCorruption()) return damaged(status.ToString());
      if (!status.ok()) return convert(status, "reading a checkpoint", options.path);
      if (checksum(view(value)) != blob.checksums[piece]) {
        return damaged(fmt::format("the checksum of piece {} does not match", piece));
      }
      bytes.append(value.data(), value.size());
    }
    if (bytes.size() != blob.bytes) return damaged("its length is wrong");
  }
  return loaded;
}

Result<Checkpoint> Store::read_checkpoint(std::uint64_t id, std::string_view only) const {
  const std::shared_lock shared(impl_->database_mutex);
  TRY(impl_->usable());
  std::optional<Manifest> manifest;
  {
    const std::lock_guard lock(impl_->mutex);
    const auto found =
        std::find_if(impl_->kept.begin(), impl_->kept.end(), [id](const Kept& entry) { return entry.id == id; });
    if (found == impl_->kept.end()) return not_found(fmt::format("checkpoint {} is not kept in {}", id, path()));
    manifest = found->manifest;
  }
  if (!manifest.has_value()) return data_loss(fmt::format("the manifest of checkpoint {} is damaged", id));
  return impl_->load_checkpoint(*manifest, only);
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
    Result<Checkpoint> loaded = data_loss(fmt::format("the manifest of checkpoint {} is damaged", entry.id));
    if (entry.manifest.has_value()) loaded = self.load_checkpoint(*entry.manifest);
    if (loaded.is_ok()) {
      if (!self.options.read_only && (i + 1 < self.kept.size() || TRY(self.damaged_before(i)))) {
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
      fmt::format("no checkpoint in {} is whole ({}); restore the folder from a backup, or move it away to "
                  "begin anew from what the broker still has",
                  self.options.path, reasons));
}

// Whether one before kept[good] is damaged: nobody would read it, but the next compaction would stop at its block.
Result<bool> Store::Impl::damaged_before(std::size_t good) const {
  for (std::size_t i = 0; i < good; ++i) {
    Result<Checkpoint> loaded = data_loss(fmt::format("the manifest of checkpoint {} is damaged", kept[i].id));
    if (kept[i].manifest.has_value()) loaded = load_checkpoint(*kept[i].manifest);
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
  TRY(convert(db->EnableAutoCompaction({families[kCheckpoints]}), "compacting the checkpoints", options.path));
  checkpoints_verified = true;
  return Status::ok();
}

// Drops the damaged checkpoints after kept[good] with the page versions they wrote. The good ones move to a new family:
// deleting keys would leave the damaged blocks in the tables, where a compaction would trip over them.
Status Store::Impl::discard_after(std::size_t good) {
  const std::uint64_t good_id = kept[good].id;
  const std::uint8_t other = checkpoint_family == 0 ? 1 : 0;
  const std::string name = checkpoints_family_name(other);
  for (auto handle = other_families.begin(); handle != other_families.end(); ++handle) {
    if ((*handle)->GetName() != name) continue;  // left by a repair that was cut short
    TRY(convert(db->DropColumnFamily(*handle), "repairing the checkpoints", options.path));
    db->DestroyColumnFamilyHandle(*handle).PermitUncheckedError();
    other_families.erase(handle);
    break;
  }
  rocksdb::ColumnFamilyHandle* fresh = nullptr;
  TRY(convert(db->CreateColumnFamily(family_options(options, name), name, &fresh), "repairing the checkpoints",
              options.path));
  other_families.push_back(fresh);

  batch.Clear();
  std::vector<std::uint64_t> ids;
  std::vector<Kept> whole;
  for (std::size_t i = 0; i <= good; ++i) {
    // An older one that is damaged too is no use as a fallback.
    if (!kept[i].manifest.has_value()) continue;
    const auto loaded = load_checkpoint(*kept[i].manifest);
    if (!loaded.is_ok()) {
      if (loaded.code() != Code::kDataLoss) return loaded.status();
      continue;
    }
    const Manifest& manifest = *kept[i].manifest;
    for (std::size_t number = 0; number < manifest.blobs.size(); ++number) {
      const std::string& bytes = loaded->blobs.at(manifest.blobs[number].name);
      for (std::size_t piece = 0; piece < piece_count(bytes.size()); ++piece) {
        batch
            .Put(fresh,
                 slice(piece_key(kept[i].id, kPieceKind, static_cast<std::uint32_t>(number),
                                 static_cast<std::uint32_t>(piece))
                           .view()),
                 slice(std::string_view(bytes).substr(piece * kPieceBytes, kPieceBytes)))
            .PermitUncheckedError();
      }
    }
    batch.Put(fresh, slice(piece_key(kept[i].id, kManifestKind, 0, 0).view()), encode_manifest(manifest))
        .PermitUncheckedError();
    ids.push_back(kept[i].id);
    whole.push_back(kept[i]);
  }

  std::unordered_map<PageId, std::uint64_t, PageIdHash> versions;
  const std::unique_ptr<rocksdb::Iterator> pages(db->NewIterator({}, families[kMemory]));
  for (pages->SeekToFirst(); pages->Valid(); pages->Next()) {
    const std::string_view key = view(pages->key());
    const auto version = read_big_endian<std::uint64_t>(key, 12);
    if (version > good_id) {
      batch.Delete(families[kMemory], pages->key()).PermitUncheckedError();
    } else {
      versions[{read_big_endian<std::uint32_t>(key, 0), read_big_endian<std::uint64_t>(key, 4)}] = version;
    }
  }
  TRY(convert(pages->status(), "repairing the checkpoints", options.path));

  const std::uint8_t before = checkpoint_family;
  checkpoint_family = other;
  batch.Put(families[kMeta], slice(kMetaCheckpoints), encode_kept(ids)).PermitUncheckedError();
  if (Status written = write(/*sync=*/true, "repairing the checkpoints"); !written.is_ok()) {
    checkpoint_family = before;
    return written;
  }
  other_families.back() = std::exchange(families[kCheckpoints], fresh);  // there it is closed if dropping it fails
  TRY(convert(db->DropColumnFamily(other_families.back()), "repairing the checkpoints", options.path));
  db->DestroyColumnFamilyHandle(other_families.back()).PermitUncheckedError();
  other_families.pop_back();
  page_versions = std::move(versions);
  if (good + 1 < kept.size()) {
    log->warning("checkpoint_fallback", "went back to an older checkpoint; the log after it is redone",
                 {{"checkpoint", good_id}, {"dropped", static_cast<std::uint64_t>(kept.size() - good - 1)}});
  }
  const std::lock_guard lock(mutex);
  kept = std::move(whole);
  return Status::ok();
}

std::vector<CheckpointInfo> Store::checkpoints() const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<CheckpointInfo> infos;
  for (const Kept& entry : impl_->kept) {
    infos.push_back(entry.manifest.has_value() ? entry.manifest->info : CheckpointInfo{.id = entry.id});
  }
  return infos;
}

Status Store::read_pages(std::uint64_t id, std::uint32_t space,
                         const std::function<Status(std::uint64_t, std::string_view)>& visitor) const {
  const std::shared_lock shared(impl_->database_mutex);
  TRY(impl_->usable());
  rocksdb::ReadOptions read;
  read.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> rows(impl_->db->NewIterator(read, impl_->families[kMemory]));
  // Versions of a page follow each other: the last one that is not newer than the checkpoint is the one to show.
  bool found = false;
  std::uint64_t index = 0;
  std::string newest;
  const auto show = [&]() -> Status {
    if (!found) return Status::ok();
    found = false;
    return visitor(index, newest);
  };
  for (rows->Seek(slice(page_key(space, 0, 0).view())); rows->Valid(); rows->Next()) {
    const std::string_view key = view(rows->key());
    if (read_big_endian<std::uint32_t>(key, 0) != space) break;
    const auto at = read_big_endian<std::uint64_t>(key, 4);
    if (index != at) TRY(show());
    if (read_big_endian<std::uint64_t>(key, 12) > id) continue;
    const std::string_view value = view(rows->value());
    std::uint64_t expected = 0;
    if (value.size() >= sizeof expected) std::memcpy(&expected, value.data(), sizeof expected);
    if (value.size() < sizeof expected || page_checksum(key, value.substr(sizeof expected)) != expected) {
      return data_loss(
          fmt::format("page {} of table {} in {} is damaged; restore the folder from a backup", at, space, path()));
    }
    newest.assign(value.substr(sizeof expected));
    index = at;
    found = true;
  }
  TRY(convert(rows->status(), "reading the slot table (family memory)", path()));
  return show();
}

}  // namespace freshet
