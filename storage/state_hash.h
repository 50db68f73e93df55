// StateHash: 64 bits that say whether two runs stand at the same state, and a hash of each part, so that a difference
// can be named. It covers all that a recovery must bring back and nothing that depends on when checkpoints were written
// or on which machine.
//
// PageHashes: the part of it that a paged table contributes, at the cost of the pages that changed.
//
// Threads: values.  Owns: PageHashes 8 bytes for each page.
// Failure: decode_state_hash checks what it is given (kDataLoss).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace freshet {

inline constexpr std::string_view kStateHashBlob = "state_hash";

struct StateHash {
  std::uint64_t whole = 0;
  std::map<std::string, std::uint64_t, std::less<>> parts;  // by name

  // Sets a part and `whole`, which depends on names and hashes alone, in the order of the names.
  void set(std::string_view part, std::uint64_t hash);
  friend bool operator==(const StateHash&, const StateHash&) = default;
};

std::string encode_state_hash(const StateHash& hash);
Result<StateHash> decode_state_hash(std::string_view bytes);

// 16 hexadecimal digits.
std::string hash_text_of(std::uint64_t hash);

// The names of the parts that differ or that only one of them has.
std::vector<std::string> differing_parts(const StateHash& left, const StateHash& right);

class PageHashes {
 public:
  void set(std::uint32_t space, std::uint64_t index, std::string_view bytes);
  // The table has `pages` pages now: what stood beyond them is forgotten.
  void resize(std::uint32_t space, std::uint64_t pages);
  void clear() { spaces_.clear(); }

  // Adds a part for each space.
  void add_to(StateHash& hash) const;

 private:
  struct Space {
    std::vector<std::uint64_t> terms;  // of each page; 0: never set
    std::uint64_t sum = 0;             // of them, modulo 2^64
  };
  std::map<std::uint32_t, Space> spaces_;
};

// "replay_slots" for the replay memory's slot table, "pages_N" for another space.
std::string page_part_name(std::uint32_t space);

}  // namespace freshet
