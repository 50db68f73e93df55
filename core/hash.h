// 64-bit hashes (XXH3) with stable values: they are stored on disk, so the functions here never change meaning.
//
// A category value becomes `hash_category(field_seed(name), value)`; numbers that stand for categories are hashed as
// their shortest decimal text, so that 7, 7.0 and "7" are one category wherever they come from (JSON, HTTP, binary).
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace freshet {

std::uint64_t hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed = 0);
std::uint64_t hash_text(std::string_view text, std::uint64_t seed = 0);

// Combines two hashes in order (a cross of categories); not commutative.
std::uint64_t hash_combine(std::uint64_t left, std::uint64_t right);

// The seed under which a field's values are hashed.
std::uint64_t field_seed(std::string_view field_name);

// Never 0: 0 means "missing" in a category column.
std::uint64_t hash_category(std::uint64_t field_seed, std::string_view value);
std::uint64_t hash_category(std::uint64_t field_seed, std::int64_t value);
std::uint64_t hash_category(std::uint64_t field_seed, double value);

}  // namespace freshet
