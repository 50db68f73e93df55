// DistinctChoice: n distinct numbers below a bound, every set with the same probability (Robert Floyd's algorithm, in
// Bentley: A Sample of Brilliance, 1987), in n draws.
//
// Threads: one owner.  Owns: room to work in.  Failure: none.
#pragma once

#include <cstdint>
#include <vector>

#include "core/rng.h"

namespace freshet {

class DistinctChoice {
 public:
  // Calls visit(number) for each; n <= bound.
  template <typename Visit>
  void choose(std::uint64_t n, std::uint64_t bound, Rng& rng, const Visit& visit) {
    std::uint64_t places = 1;
    while (places < 2 * n + 1) places *= 2;
    chosen_.assign(places, 0);
    for (std::uint64_t last = bound - n; last < bound; ++last) {
      std::uint64_t number = rng.below(last + 1);
      if (!add(number)) {
        number = last;
        add(number);
      }
      visit(number);
    }
  }

 private:
  bool add(std::uint64_t number) {  // false when it was chosen before
    const std::uint64_t mask = chosen_.size() - 1;
    for (std::uint64_t at = (number * 0x9E3779B97F4A7C15ULL) >> 20;;
         ++at) {  // at most half full: there is a free place
      std::uint64_t& entry = chosen_[at & mask];
      if (entry == number + 1) return false;
      if (entry == 0) {
        entry = number + 1;
        return true;
      }
    }
  }
  std::vector<std::uint64_t> chosen_;  // open addressing, number + 1
};

}  // namespace freshet
