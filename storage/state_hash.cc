#include "storage/state_hash.h"

#include <fmt/format.h>

#include "core/bytes.h"
#include "core/hash.h"
#include "storage/replay_memory.h"

namespace freshet {
namespace {
constexpr std::uint32_t kFormat = 1;
constexpr std::uint64_t kPartsMax = 1000;
}  // namespace

void StateHash::set(std::string_view part, std::uint64_t hash) {
  parts.insert_or_assign(std::string(part), hash);
  whole = 0;
  for (const auto& [name, value] : parts) whole = hash_combine(hash_combine(whole, hash_text(name)), value);
}

std::string encode_state_hash(const StateHash& hash) {
  ByteWriter out;
  out.put(kFormat);
  out.put(hash.whole);
  out.put<std::uint64_t>(hash.parts.size());
  for (const auto& [name, value] : hash.parts) {
    out.put_text(name);
    out.put(value);
  }
  return out.take();
}

Result<StateHash> decode_state_hash(std::string_view bytes) {
  ByteReader in(bytes);
  const auto format = in.get<std::uint32_t>();
  StateHash hash;
  const auto whole = in.get<std::uint64_t>();
  const auto parts = in.get<std::uint64_t>();
  if (!in.ok() || format != kFormat || parts > kPartsMax) return data_loss("the state hash cannot be read");
  for (std::uint64_t i = 0; i < parts && in.ok(); ++i) {
    const std::string name = in.get_text();
    hash.parts[name] = in.get<std::uint64_t>();
  }
  if (!in.at_end()) return data_loss("the state hash has a wrong length");
  hash.whole = whole;
  return hash;
}

std::string hash_text_of(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

std::vector<std::string> differing_parts(const StateHash& left, const StateHash& right) {
  std::vector<std::string> names;
  for (const auto& [name, value] : left.parts) {
    const auto other = right.parts.find(name);
    if (other == right.parts.end() || other->second != value) names.push_back(name);
  }
  for (const auto& [name, value] : right.parts) {
    if (!left.parts.contains(name)) names.push_back(name);
  }
  return names;
}

void PageHashes::set(std::uint32_t space, std::uint64_t index, std::string_view bytes) {
  Space& table = spaces_[space];
  if (index >= table.terms.size()) table.terms.resize(index + 1, 0);
  const std::uint64_t term = hash_combine(index + 1, hash_text(bytes));
  table.sum += term - table.terms[index];
  table.terms[index] = term;
}

void PageHashes::resize(std::uint32_t space, std::uint64_t pages) {
  Space& table = spaces_[space];
  for (std::uint64_t page = pages; page < table.terms.size(); ++page) table.sum -= table.terms[page];
  table.terms.resize(pages, 0);
}

void PageHashes::add_to(StateHash& hash) const {
  for (const auto& [space, table] : spaces_) {
    hash.set(page_part_name(space), hash_combine(table.terms.size(), table.sum));
  }
}

std::string page_part_name(std::uint32_t space) {
  return space == kReplaySpace ? "replay_slots" : fmt::format("pages_{}", space);
}

}  // namespace freshet
