// Position: where a record stands in its topic. Every learnt, skipped or dead-lettered record is accounted for by one.
#pragma once

#include <compare>
#include <cstdint>

namespace freshet {

// A file read by `freshet backtest` is partition 0, its offset the zero-based line number.
struct Position {
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  friend auto operator<=>(const Position&, const Position&) = default;
};

}  // namespace freshet
