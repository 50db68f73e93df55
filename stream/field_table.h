// FieldTable: finds the configured field of a name. Records of one producer list their fields in one order, so the
// table remembers that order and compares the name with the ones expected next before it hashes anything.
//
// Threads: one owner.  Owns: the names.  Failure: none; an unknown name gives kUnknown.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace freshet {

class FieldTable {
 public:
  static constexpr std::uint32_t kUnknown = 0xFFFFFFFF;
  static constexpr std::uint32_t kNotGuessed = 0xFFFFFFFE;

  // The index of `name`, added if it is new.
  std::uint32_t add(const std::string& name) {
    const auto next = static_cast<std::uint32_t>(index_.size());
    return index_.try_emplace(name, next).first->second;
  }

  void begin_record() { expected_ = 0; }

  // Looks at `p`, where a name begins, with `readable` bytes of the text from there on. Gives the field, kUnknown for a
  // name known to be none, or kNotGuessed.
  std::uint32_t guess(const char* p, std::size_t readable) {
    const std::size_t end = expected_ + kLookAhead < slots_.size() ? expected_ + kLookAhead : slots_.size();
    for (std::size_t i = expected_; i < end; ++i) {
      if (slots_[i].matches(p, readable)) {
        expected_ = i + 1;
        return slots_[i].field;
      }
    }
    return kNotGuessed;
  }

  // After a guess that failed.
  std::uint32_t find(std::string_view name) {
    const auto found = index_.find(name);
    const std::uint32_t field = found == index_.end() ? kUnknown : found->second;
    if (field != kUnknown && field < slot_of_.size() && slot_of_[field] != kUnknown) {
      expected_ = slot_of_[field] + 1;
      return field;
    }
    if (slots_.size() < kSlotsMax && name.size() < Slot::kBytes &&
        name.find_first_of("\\\"") == std::string_view::npos) {
      if (field != kUnknown) {
        if (field >= slot_of_.size()) slot_of_.resize(index_.size(), kUnknown);
        slot_of_[field] = static_cast<std::uint32_t>(slots_.size());
      }
      slots_.emplace_back(name, field);
      expected_ = slots_.size();
    }
    return field;
  }

 private:
  struct Slot {
    static constexpr std::size_t kBytes = 32;
    std::array<char, kBytes> text{};  // the name and its closing quote
    std::uint64_t words[2] = {0, 0};  // the first 16 bytes of text
    std::uint64_t masks[2] = {0, 0};
    std::uint32_t size = 0;
    std::uint32_t field = kUnknown;

    Slot(std::string_view name, std::uint32_t index) : size(static_cast<std::uint32_t>(name.size()) + 1), field(index) {
      std::memcpy(text.data(), name.data(), name.size());
      text[name.size()] = '"';
      std::array<char, 16> ones{};
      std::memset(ones.data(), 0xFF, size < 16 ? size : 16);
      std::memcpy(words, text.data(), 16);
      std::memcpy(masks, ones.data(), 16);
    }
    bool matches(const char* p, std::size_t readable) const {
      if (readable < 16 || size > 16) return size <= readable && std::memcmp(p, text.data(), size) == 0;
      std::uint64_t first = 0;
      std::memcpy(&first, p, 8);
      if (((first ^ words[0]) & masks[0]) != 0) return false;
      if (size <= 8) return true;
      std::memcpy(&first, p + 8, 8);
      return ((first ^ words[1]) & masks[1]) == 0;
    }
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  static constexpr std::size_t kLookAhead = 3;
  static constexpr std::size_t kSlotsMax = 512;

  std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>> index_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> slot_of_;  // field -> its slot, or kUnknown
  std::size_t expected_ = 0;
};

}  // namespace freshet
