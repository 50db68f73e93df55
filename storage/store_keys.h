// Keys of the store: big-endian, so that RocksDB's byte order is the order of the numbers. docs/formats.md describes
// them.
//
// Threads: pure functions and values.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace freshet {

template <std::size_t kSize>
class Key {
 public:
  std::string_view view() const { return {bytes_.data(), kSize}; }

  template <typename T>
  Key& put(std::size_t at, T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes_[at + i] = static_cast<char>(static_cast<std::uint8_t>(value >> (8 * (sizeof(T) - 1 - i))));
    }
    return *this;
  }

 private:
  std::array<char, kSize> bytes_{};
};

template <typename T>
T read_big_endian(std::string_view key, std::size_t at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>((value << 8) | static_cast<T>(static_cast<std::uint8_t>(key[at + i])));
  }
  return value;
}

inline void store_big_endian(char* target, std::uint64_t value) {
  const std::uint64_t swapped = __builtin_bswap64(value);
  std::memcpy(target, &swapped, sizeof swapped);
}

using SeqKey = Key<8>;        // events: seq; order: index
using PartitionKey = Key<4>;  // positions
using PageKey = Key<20>;      // memory: u32 space | u64 index | u64 checkpoint that wrote this version
using PieceKey = Key<17>;     // checkpoints: u64 id | u8 kind | u32 blob | u32 piece

using KeyListKey = Key<10>;  // keys: u64 block | u16 bucket, or kKeyHeader

inline constexpr std::uint8_t kManifestKind = 0;
inline constexpr std::uint8_t kPieceKind = 1;

inline SeqKey seq_key(std::uint64_t seq) { return SeqKey().put(0, seq); }
inline PartitionKey partition_key(std::int32_t partition) {
  return PartitionKey().put(0, static_cast<std::uint32_t>(partition));
}
inline PageKey page_key(std::uint32_t space, std::uint64_t index, std::uint64_t version) {
  return PageKey().put(0, space).put(4, index).put(12, version);
}
inline PieceKey piece_key(std::uint64_t id, std::uint8_t kind, std::uint32_t blob, std::uint32_t piece) {
  return PieceKey().put(0, id).put(8, kind).put(9, blob).put(13, piece);
}

inline KeyListKey key_list_key(std::uint64_t block, std::uint16_t bucket) {
  return KeyListKey().put(0, block).put(8, bucket);
}

// Keys of the meta family.
inline constexpr std::string_view kMetaFormat = "format";            // u32
inline constexpr std::string_view kMetaIdentity = "identity";        // u64 fingerprint | text spec | text notes
inline constexpr std::string_view kMetaTail = "tail";                // u64 last seq | u64 next order index
inline constexpr std::string_view kMetaCheckpoints = "checkpoints";  // u64 last id | u64[] kept ids | u8 stand-ins
inline constexpr std::string_view kMetaErasure = "erasure/";         // u64 last id; with a u64 id after it: an erasure

inline std::string erasure_key(std::uint64_t id) {
  std::string key(kMetaErasure);
  key += Key<8>().put(0, id).view();
  return key;
}

}  // namespace freshet
