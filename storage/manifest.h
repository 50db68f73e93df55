// Manifest: the table of contents of one checkpoint, written in the same batch as its pieces and read before them.
//
// Threads: values.  Failure: decode_manifest checks the checksum before it believes any length.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "storage/store.h"

namespace freshet {

inline constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

struct ManifestBlob {
  std::string name;
  std::uint64_t bytes = 0;
  std::vector<std::uint64_t> checksums;  // of each piece
};

struct ManifestPage {
  std::uint32_t space = 0;
  std::uint64_t index = 0;
  std::uint64_t superseded = 0;  // the checkpoint that wrote the version before; 0: none
};

struct Manifest {
  CheckpointInfo info;
  std::uint64_t order_keep_from = 0;
  std::vector<ManifestBlob> blobs;
  std::vector<ManifestPage> pages;
  std::vector<SeqRange> garbage;
};

std::string encode_manifest(const Manifest& manifest);
Result<Manifest> decode_manifest(std::uint64_t id, std::string_view bytes);

std::uint64_t checksum(std::string_view bytes);

// The pieces of a blob; an empty one has none.
inline std::size_t piece_count(std::uint64_t bytes) {
  return static_cast<std::size_t>((bytes + kPieceBytes - 1) / kPieceBytes);
}

// Of a page, stored in front of its bytes under `key`.
std::uint64_t page_checksum(std::string_view key, std::string_view bytes);
bool page_is_whole(std::string_view key, std::string_view value);

}  // namespace freshet
