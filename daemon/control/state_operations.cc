#include "daemon/control/state_operations.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "core/json_writer.h"

namespace freshet {
namespace {

WorkStep step_of(Progress& progress) {
  return [&progress](std::uint64_t done, std::uint64_t total) {
    progress.set(done, total);
    return !progress.cancelled();
  };
}

Result<std::uint32_t> count_of(const JsonObject& arguments, std::string_view name) {
  const std::string text = member(arguments, name);
  std::uint32_t value = 0;
  if (text.empty()) return value;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) {
    return invalid_argument(fmt::format("'{}' must be a number, not '{}'", name, text));
  }
  return value;
}

Result<std::string> back_up(const Store& store, const JsonObject& arguments, Progress& progress) {
  const std::string to = member(arguments, "to");
  if (!std::filesystem::path(to).is_absolute()) {
    return invalid_argument(fmt::format("'to' must be the absolute path of a folder, not '{}'", to));
  }
  const std::uint32_t keep = TRY(count_of(arguments, "keep"));
  return to_json(TRY(store.backup(to, keep, step_of(progress))));
}

Result<std::string> compact(const Store& store, Progress& progress) {
  const Compaction done = TRY(store.compact(step_of(progress)));
  JsonWriter json(0);
  json.begin_object();
  json.field("bytes_before", done.bytes_before);
  json.field("bytes_after", done.bytes_after);
  json.end_object();
  return json.take();
}

constexpr std::chrono::minutes kErasurePatience{10};  // a round in training, a checkpoint, requests before this one

Result<std::vector<std::uint64_t>> read_key_hashes(std::string_view text) {
  std::vector<std::uint64_t> hashes;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    std::uint64_t hash = 0;
    const auto read = std::from_chars(text.data() + at, text.data() + end, hash, 16);
    if (read.ec != std::errc() || read.ptr != text.data() + end) {
      return invalid_argument("'key_hashes' must be hexadecimal numbers with one space between them");
    }
    hashes.push_back(hash);
    at = end + 1;
  }
  if (hashes.empty()) return invalid_argument("'key_hashes' names no key");
  if (hashes.size() > kErasedKeysMax) return invalid_argument(fmt::format("more than {} keys at once", kErasedKeysMax));
  return hashes;
}

Result<std::string> erase(Store& store, Pipeline& pipeline, const JsonObject& arguments, Progress& progress) {
  auto hashes = TRY(read_key_hashes(member(arguments, "key_hashes")));
  const std::uint64_t keys = hashes.size();
  const ErasureReport report = TRY(pipeline.erase(std::move(hashes), kErasurePatience));
  TRY(check_durable(report));
  TRY(store.purge(report.seqs).with_context("the events are erased, but their bytes may still stand in files"));
  progress.set(keys, keys);
  return to_json(report);
}

}  // namespace

StateOperations store_operations(const Store& store) {
  StateOperations operations;
  operations["backup"] = {"bytes", [&store](const JsonObject& arguments, Progress& progress) {
                            return back_up(store, arguments, progress);
                          }};
  operations["compact"] = {"bytes",
                           [&store](const JsonObject&, Progress& progress) { return compact(store, progress); }};
  return operations;
}

StateOperations pipeline_operations(Store& store, Pipeline& pipeline) {
  StateOperations operations;
  operations["erase"] = {"keys", [&store, &pipeline](const JsonObject& arguments, Progress& progress) {
                           return erase(store, pipeline, arguments, progress);
                         }};
  return operations;
}

std::string key_hashes_text(std::span<const std::uint64_t> hashes) {
  return fmt::format("{:016x}", fmt::join(hashes, " "));
}

std::string to_json(const BackupInfo& backup) {
  JsonWriter json(0);
  json.begin_object();
  json.field("id", backup.id);
  json.field("time_ms", backup.wall_ms);
  json.field("bytes", backup.bytes);
  json.field("files", backup.files);
  json.field("last_seq", backup.last_seq);
  json.field("checkpoint", backup.checkpoint);
  json.end_object();
  return json.take();
}

}  // namespace freshet
