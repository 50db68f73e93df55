// KeyIndex: where in the event log the events of a key are, so that an erasure need not read the log. Events are
// counted in blocks of kKeyBlock sequence numbers; when a block is full, its keys are written once, as kKeyBuckets
// lists of (place in the block, 32 bits of the key's hash) by the hash's first byte. A lookup reads one list of each
// block; what it finds are candidates, to be compared with the records themselves.
//
// Appending costs a copy of 8 bytes an event, 512 KiB of memory, and 6 bytes of disk an event. Lists of a block most of
// whose events are gone are made anew from those left, one block for each that is filled, so that the index stays in
// proportion to the events stored.
//
// Threads: the store's writer.  Owns: the hashes of the block being filled.  Failure: lists that cannot be read are
// data_loss.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace freshet {

inline constexpr std::uint64_t kKeyBlock = 65536;   // sequence numbers of a block
inline constexpr std::size_t kKeyBuckets = 256;     // lists of a block
inline constexpr std::uint16_t kKeyHeader = 0x100;  // where the block's header stands, after its lists

inline std::uint8_t key_bucket(std::uint64_t key_hash) { return static_cast<std::uint8_t>(key_hash >> 56); }

// The lists of a block: `hashes` has kKeyBlock entries, 0 where there is no event.
std::vector<std::string> key_lists(std::span<const std::uint64_t> hashes);

// Calls visitor(place) for the entries of a list that may be of a key in `wanted` (ascending key hashes).
Status match_keys(std::string_view list, std::span<const std::uint64_t> wanted,
                  const std::function<void(std::uint64_t)>& visitor);

// The key hashes of the block being filled, as far as this process has seen its events.
class KeyBlock {
 public:
  void note(std::uint64_t seq, std::uint64_t key_hash) {
    if (hashes_.empty() || seq / kKeyBlock != block_) begin(seq);
    hashes_[seq % kKeyBlock] = key_hash;
  }
  std::uint64_t block() const { return block_; }
  std::uint64_t known_from() const { return known_from_; }  // the first seq that was noted; earlier ones are unknown
  std::vector<std::uint64_t>& hashes() { return hashes_; }  // empty before the first note()

 private:
  void begin(std::uint64_t seq);
  std::vector<std::uint64_t> hashes_;
  std::uint64_t block_ = 0;
  std::uint64_t known_from_ = 0;
};

}  // namespace freshet
