// The identity of a record that carries no key of its own: a hash of its position.
//
// Threads: pure function.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/hash.h"
#include "core/position.h"

namespace freshet {

inline std::uint64_t hash_position(const Position& position) {
  const std::array<std::int64_t, 2> words = {position.partition, position.offset};
  return hash_bytes(std::as_bytes(std::span(words)));
}

}  // namespace freshet
