#include "storage/key_index.h"

#include <algorithm>
#include <cstring>

namespace freshet {
namespace {

constexpr std::size_t kEntryBytes = sizeof(std::uint16_t) + sizeof(std::uint32_t);

// The bits below the first byte; those below them are left to the comparison with the record.
std::uint32_t fragment(std::uint64_t key_hash) { return static_cast<std::uint32_t>(key_hash >> 24); }

}  // namespace

std::vector<std::string> key_lists(std::span<const std::uint64_t> hashes) {
  std::vector<std::string> lists(kKeyBuckets);
  std::vector<std::size_t> counts(kKeyBuckets);
  for (const std::uint64_t hash : hashes) {
    if (hash != 0) ++counts[key_bucket(hash)];
  }
  for (std::size_t bucket = 0; bucket < kKeyBuckets; ++bucket) lists[bucket].reserve(counts[bucket] * kEntryBytes);
  for (std::size_t place = 0; place < hashes.size(); ++place) {
    if (hashes[place] == 0) continue;
    char entry[kEntryBytes];
    const auto at = static_cast<std::uint16_t>(place);
    const std::uint32_t bits = fragment(hashes[place]);
    std::memcpy(entry, &at, sizeof at);
    std::memcpy(entry + sizeof at, &bits, sizeof bits);
    lists[key_bucket(hashes[place])].append(entry, kEntryBytes);
  }
  return lists;
}

Status match_keys(std::string_view list, std::span<const std::uint64_t> wanted,
                  const std::function<void(std::uint64_t)>& visitor) {
  if (list.size() % kEntryBytes != 0) return data_loss("a list of the key index has a wrong length");
  for (std::size_t at = 0; at < list.size(); at += kEntryBytes) {
    std::uint16_t place = 0;
    std::uint32_t bits = 0;
    std::memcpy(&place, list.data() + at, sizeof place);
    std::memcpy(&bits, list.data() + at + sizeof place, sizeof bits);
    // Within one bucket the order of the hashes is that of their fragments.
    const auto found = std::lower_bound(wanted.begin(), wanted.end(), bits,
                                        [](std::uint64_t hash, std::uint32_t low) { return fragment(hash) < low; });
    if (found != wanted.end() && fragment(*found) == bits) visitor(place);
  }
  return Status::ok();
}

void KeyBlock::begin(std::uint64_t seq) {
  hashes_.assign(kKeyBlock, 0);
  block_ = seq / kKeyBlock;
  known_from_ = seq;
}

}  // namespace freshet
