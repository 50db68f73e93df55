#include "storage/manifest.h"

#include <fmt/format.h>

#include <cstring>

#include "core/bytes.h"
#include "core/hash.h"

namespace freshet {
namespace {
constexpr std::uint32_t kManifestFormat = 1;
constexpr std::uint64_t kChecksumSeed = 0x636865636B;
}  // namespace

std::uint64_t checksum(std::string_view bytes) { return hash_text(bytes, kChecksumSeed); }

std::string encode_manifest(const Manifest& manifest) {
  ByteWriter writer;
  writer.put(kManifestFormat);
  writer.put(manifest.info.id);
  writer.put(manifest.info.seq);
  writer.put(manifest.info.order_index);
  writer.put(manifest.info.round);
  writer.put(manifest.info.model_version);
  writer.put(manifest.info.wall_ms);
  writer.put(manifest.info.bytes);
  writer.put(manifest.order_keep_from);
  writer.put<std::uint64_t>(manifest.blobs.size());
  for (const ManifestBlob& blob : manifest.blobs) {
    writer.put_text(blob.name);
    writer.put(blob.bytes);
    writer.put_span(std::span<const std::uint64_t>(blob.checksums));
  }
  writer.put<std::uint64_t>(manifest.pages.size());
  for (const ManifestPage& page : manifest.pages) {
    writer.put(page.space);
    writer.put(page.index);
    writer.put(page.superseded);
  }
  writer.put_span(std::span<const SeqRange>(manifest.garbage));
  writer.put(checksum(writer.buffer()));
  return writer.take();
}

Result<Manifest> decode_manifest(std::uint64_t id, std::string_view bytes) {
  const auto damaged = [id](std::string_view why) {
    return data_loss(fmt::format("the manifest of checkpoint {} is damaged: {}", id, why));
  };
  std::uint64_t expected = 0;
  if (bytes.size() < sizeof expected) return damaged("too short");
  const std::string_view body = bytes.substr(0, bytes.size() - sizeof expected);
  std::memcpy(&expected, bytes.data() + body.size(), sizeof expected);
  if (checksum(body) != expected) return damaged("its checksum does not match");

  ByteReader reader(body);
  if (const auto format = reader.get<std::uint32_t>(); format != kManifestFormat) {
    return failed_precondition(
        fmt::format("checkpoint {} has format {}, this build reads {}", id, format, kManifestFormat));
  }
  Manifest manifest;
  manifest.info.id = reader.get<std::uint64_t>();
  manifest.info.seq = reader.get<std::uint64_t>();
  manifest.info.order_index = reader.get<std::uint64_t>();
  manifest.info.round = reader.get<std::uint64_t>();
  manifest.info.model_version = reader.get<std::uint64_t>();
  manifest.info.wall_ms = reader.get<std::int64_t>();
  manifest.info.bytes = reader.get<std::uint64_t>();
  manifest.order_keep_from = reader.get<std::uint64_t>();
  const auto blobs = reader.get<std::uint64_t>();
  for (std::uint64_t i = 0; i < blobs && reader.ok(); ++i) {
    ManifestBlob& blob = manifest.blobs.emplace_back();
    blob.name = reader.get_text();
    blob.bytes = reader.get<std::uint64_t>();
    blob.checksums = reader.get_vector<std::uint64_t>();
  }
  const auto pages = reader.get<std::uint64_t>();
  for (std::uint64_t i = 0; i < pages && reader.ok(); ++i) {
    ManifestPage& page = manifest.pages.emplace_back();
    page.space = reader.get<std::uint32_t>();
    page.index = reader.get<std::uint64_t>();
    page.superseded = reader.get<std::uint64_t>();
  }
  manifest.garbage = reader.get_vector<SeqRange>();
  if (!reader.at_end()) return damaged("its length is wrong");
  if (manifest.info.id != id) return damaged(fmt::format("it says that it belongs to checkpoint {}", manifest.info.id));
  return manifest;
}

std::uint64_t page_checksum(std::string_view key, std::string_view bytes) {
  return hash_combine(checksum(key), checksum(bytes));
}

bool page_is_whole(std::string_view key, std::string_view value) {
  std::uint64_t expected = 0;
  if (value.size() < sizeof expected) return false;
  std::memcpy(&expected, value.data(), sizeof expected);
  return page_checksum(key, value.substr(sizeof expected)) == expected;
}

}  // namespace freshet
