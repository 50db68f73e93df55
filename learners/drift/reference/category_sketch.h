// CategorySketch: how often the values of a categorical feature come, in bounded memory: the most frequent ones and the
// rest (SpaceSaving: A. Metwally, D. Agrawal and A. El Abbadi, Efficient Computation of Frequent and Top-k Elements in
// Data Streams, ICDT 2005). Up to kCategories values the counts are exact; then a count is too high by at most
// `error`, which is at most count() / kCategories.
//
// Threads: one owner.  Owns: 6 KiB.  Failure: `load` is false for damaged bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "core/bytes.h"

namespace freshet {

class CategorySketch {
 public:
  static constexpr std::size_t kCategories = 256;

  struct Entry {
    std::uint32_t value = 0;  // the hash that the encoder gives it
    std::uint64_t count = 0;
    std::uint64_t error = 0;
  };

  CategorySketch();

  void add(std::uint32_t value);

  std::uint64_t count() const { return count_; }
  const std::vector<Entry>& entries() const { return entries_; }  // in no order

  void save(ByteWriter& out) const;
  bool load(ByteReader& in);

 private:
  std::size_t slot_of(std::uint32_t value) const;
  void index();

  std::vector<Entry> entries_;
  std::vector<std::uint16_t> slots_;  // open addressing by value; an entry's place + 1, 0: empty
  std::uint64_t count_ = 0;
};

}  // namespace freshet
