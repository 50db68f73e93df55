// Erasure: a key whose events are to be forgotten, and the question whether an event falls under some of them.
//
// Threads: values; ErasedKeys is immutable.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace freshet {

// Durable from the moment it was asked for until a checkpoint has done it. Events of the key after `through_seq` stay.
struct Erasure {
  std::uint64_t id = 0;  // counts from 1
  std::uint64_t key_hash = 0;
  std::uint64_t through_seq = 0;
  friend bool operator==(const Erasure&, const Erasure&) = default;
};

class ErasedKeys {
 public:
  explicit ErasedKeys(std::span<const Erasure> erasures) {
    for (const Erasure& erasure : erasures) {
      auto& through = through_[erasure.key_hash];
      through = std::max(through, erasure.through_seq);
    }
  }
  bool covers(std::uint64_t key_hash, std::uint64_t seq) const {
    const auto found = through_.find(key_hash);
    return found != through_.end() && seq <= found->second;
  }
  std::vector<std::uint64_t> ascending() const {
    std::vector<std::uint64_t> hashes;
    hashes.reserve(through_.size());
    for (const auto& [hash, through] : through_) hashes.push_back(hash);
    std::sort(hashes.begin(), hashes.end());
    return hashes;
  }

 private:
  std::unordered_map<std::uint64_t, std::uint64_t> through_;
};

}  // namespace freshet
