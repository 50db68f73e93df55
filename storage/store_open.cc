// Opening: what the store keeps in memory, and whose data it is.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/bytes.h"
#include "storage/spec_difference.h"
#include "storage/store_impl.h"
#include "storage/store_keys.h"

namespace freshet {

// Reads what the store keeps in memory. A store without a format is new: it gets one.
Status Store::Impl::load() {
  ledger = Ledger();
  kept.clear();
  doomed.clear();
  page_versions.clear();
  stand_ins = 0;
  const rocksdb::ReadOptions read;
  const auto meta = [&](std::string_view key, std::string& value) -> Result<bool> {
    const rocksdb::Status status = db->Get(read, families[kMeta], slice(key), &value);
    if (status.IsNotFound()) return false;
    if (!status.ok()) return convert(status, "opening the store", options.path);
    return true;
  };
  std::string value;
  if (!TRY(meta(kMetaFormat, value))) {
    if (options.read_only) return not_found(fmt::format("the store at {} is empty", options.path));
    ByteWriter newest;
    newest.put(kStoreFormat);
    format = kStoreFormat;
    batch.Put(families[kMeta], slice(kMetaFormat), newest.buffer()).PermitUncheckedError();
    TRY(write(/*sync=*/true, "creating the store"));
  } else {
    ByteReader reader(value);
    format = reader.get<std::uint32_t>();
    if (!reader.at_end()) return data_loss(fmt::format("the format of the store at {} cannot be read", options.path));
    if (format > kStoreFormat) {
      return failed_precondition(
          fmt::format("the store at {} has format {}, written by a newer Freshet; this build reads "
                      "up to {}: run that newer version, or restore the backup that was made before the upgrade "
                      "(freshet state restore) into another folder",
                      options.path, format, kStoreFormat));
    }
  }
  if (TRY(meta(kMetaIdentity, value))) {
    ByteReader reader(value);
    StoreIdentity stored;
    stored.fingerprint = reader.get<std::uint64_t>();
    stored.event_spec = reader.get_text();
    stored.notes = reader.get_text();
    if (!reader.at_end()) return data_loss(fmt::format("the identity of the store at {} cannot be read", options.path));
    identity = std::move(stored);
  }
  if (TRY(meta(kMetaTail, value))) {
    ByteReader reader(value);
    last_seq = reader.get<std::uint64_t>();
    next_order = reader.get<std::uint64_t>();
    if (!reader.at_end()) return data_loss(fmt::format("the tail of the store at {} cannot be read", options.path));
  }
  std::vector<std::uint64_t> ids;
  if (TRY(meta(kMetaCheckpoints, value))) {
    ByteReader reader(value);
    last_checkpoint = reader.get<std::uint64_t>();
    ids = reader.get_vector<std::uint64_t>();
    stand_ins = reader.get<std::uint8_t>();
    if (!reader.at_end()) return data_loss(fmt::format("the checkpoint list of {} cannot be read", options.path));
  }
  TRY(take_stand_ins());
  for (const std::uint64_t id : ids) {
    Kept entry{id, std::nullopt};
    const rocksdb::Status status =
        db->Get(read, families[kCheckpoints], slice(piece_key(id, kManifestKind, 0, 0).view()), &value);
    if (status.ok()) {
      auto manifest = decode_manifest(id, value);
      if (manifest.code() == Code::kFailedPrecondition) return manifest.status();
      if (manifest.is_ok()) entry.manifest = std::move(manifest).value();
    } else if (!status.IsNotFound() && !status.IsCorruption()) {
      return convert(status, "reading the checkpoints", options.path);
    }
    kept.push_back(std::move(entry));
  }
  const std::unique_ptr<rocksdb::Iterator> rows(db->NewIterator(read, families[kPositions]));
  for (rows->SeekToFirst(); rows->Valid(); rows->Next()) {
    const auto partition = static_cast<std::int32_t>(read_big_endian<std::uint32_t>(view(rows->key()), 0));
    ledger.set(TRY(decode_ledger(partition, view(rows->value()))));
  }
  if (!rows->status().ok()) return convert(rows->status(), "reading the ledger (family positions)", options.path);
  TRY(load_erasures());
  if (!options.read_only) {
    TRY(load_page_versions());
    // Deleting twice does no harm, and what the last run had deleted of it is not recorded.
    if (!kept.empty() && kept.front().manifest && !options.keep_all_events) {
      doomed.assign(kept.front().manifest->garbage.begin(), kept.front().manifest->garbage.end());
    }
  }
  return Status::ok();
}

// Brings an older store to this build's format, in one synced write. What format 2 adds to format 1 (state hashes and
// configurations in checkpoints, new kinds of order entries and blobs) need not be there, so the number is all that
// changes; it keeps an older build from reading what it would not understand.
Status Store::Impl::migrate() {
  if (options.read_only || !options.migrate || format == kStoreFormat) return Status::ok();
  const std::uint32_t before = format;
  ByteWriter newest;
  newest.put(kStoreFormat);
  batch.Clear();
  batch.Put(families[kMeta], slice(kMetaFormat), newest.buffer()).PermitUncheckedError();
  TRY(write(/*sync=*/true, "migrating the store"));
  format = kStoreFormat;
  log->warning("store_migrated",
               fmt::format("the store had format {} and has format {} now; an older Freshet no longer opens it", before,
                           kStoreFormat),
               {{"path", options.path}});
  return Status::ok();
}

Result<std::unique_ptr<Store>> Store::open(StoreOptions options, const std::optional<StoreIdentity>& identity, Log& log,
                                           MetricsRegistry& metrics) {
  if (options.path.empty()) return invalid_argument("the store needs a path");
  if (options.checkpoints_kept == 0) return invalid_argument("at least one checkpoint must be kept");
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->cache = std::make_unique<RecordCache>(impl->options.record_cache_bytes);
  impl->log = &log;
  impl->appended = &metrics.counter("freshet_store_appended_events_total", "Events written to the store.");
  impl->checkpointed = &metrics.counter("freshet_checkpoints_total", "Checkpoints written durably.");
  impl->fallbacks =
      &metrics.counter("freshet_checkpoint_fallbacks_total", "Damaged checkpoints that were dropped for an older one.");
  impl->stalls =
      &metrics.counter("freshet_store_write_failures_total", "Writes that the disk refused (full, or I/O error).");
  impl->checkpoint_bytes = &metrics.gauge("freshet_checkpoint_bytes", "Size of the newest checkpoint.");
  TRY(impl->open_database());
  TRY(impl->load());
  TRY(impl->migrate());
  std::unique_ptr<Store> store(new Store(std::move(impl)));
  if (!store->impl_->options.read_only) TRY(store->sync());
  if (identity.has_value()) TRY(store->bind(*identity));
  log.info("store_opened", "the store is open",
           {{"path", store->path()},
            {"last_seq", store->last_seq()},
            {"checkpoints", static_cast<std::uint64_t>(store->impl_->kept.size())}});
  return store;
}

Status Store::bind(const StoreIdentity& identity) {
  Impl& self = *impl_;
  if (self.identity.has_value()) {
    if (self.identity->fingerprint == identity.fingerprint) return Status::ok();
    return failed_precondition(fmt::format(
        "the store at {} was made for another event spec ({}); give back the old spec, or name another memory.path to "
        "begin a new model",
        self.options.path, describe_spec_difference(self.identity->event_spec, identity.event_spec)));
  }
  TRY(self.ready("storing the event spec"));
  ByteWriter value;
  value.put(identity.fingerprint);
  value.put_text(identity.event_spec);
  value.put_text(identity.notes);
  self.batch.Clear();
  self.batch.Put(self.families[kMeta], slice(kMetaIdentity), value.buffer()).PermitUncheckedError();
  TRY(self.write(/*sync=*/true, "storing the event spec"));
  const std::lock_guard lock(self.mutex);
  self.identity = identity;
  return Status::ok();
}

}  // namespace freshet
