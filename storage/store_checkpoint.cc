// Checkpoints: written durably before older ones go, verified before they are believed.
#include <fmt/format.h>

#include <algorithm>

#include "core/bytes.h"
#include "core/hash.h"
#include "storage/store_impl.h"
#include "storage/store_keys.h"

namespace freshet {
std::string Store::Impl::encode_kept(const std::vector<std::uint64_t>& ids) const {
  ByteWriter writer;
  writer.put(last_checkpoint);
  writer.put_span(std::span<const std::uint64_t>(ids));
  writer.put(stand_ins);
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
  // Where most of a large memory has changed, its pages would fill the batch and a write buffer many times over: they
  // go ahead in writes of their own. Nothing knows of them before the last write, with the manifest, and its sync
  // covers them all; after a crash in between, the opening deletes them (load_page_versions).
  Status ahead;
  const auto put_page = [&](const CheckpointPage& page) {
    if (!ahead.is_ok()) return;
    const PageKey key = page_key(page.space, page.index, id);
    ByteWriter value;
    value.put(page_checksum(key.view(), page.bytes));
    value.append(page.bytes.data(), page.bytes.size());
    batch.Put(self.families[kMemory], slice(key.view()), value.buffer()).PermitUncheckedError();
    const auto before = self.page_versions.find({page.space, page.index});
    manifest.pages.push_back({page.space, page.index, before == self.page_versions.end() ? 0 : before->second});
    manifest.info.bytes += page.bytes.size();
    if (batch.GetDataSize() >= self.options.write_buffer_bytes / 4) {
      ahead = self.write(/*sync=*/false, "writing a checkpoint's pages");
    }
  };
  for (const CheckpointPage& page : in.pages) put_page(page);
  if (in.visit_pages) in.visit_pages(put_page);
  TRY(ahead);
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
  list.put(self.stand_ins);
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
    if (!page_is_whole(key, value)) {
      return data_loss(
          fmt::format("page {} of table {} in {} is damaged; restore the folder from a backup", at, space, path()));
    }
    newest.assign(value.substr(sizeof(std::uint64_t)));
    index = at;
    found = true;
  }
  TRY(convert(rows->status(), "reading the slot table (family memory)", path()));
  return show();
}

}  // namespace freshet
