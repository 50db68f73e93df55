// How a round goes, where it is not one pass through the fresh events: what a strategy says of it, and the rows of the
// memory that it asks for.
//
// Threads: values; a reader is the trainer's.  Owns: nothing.
// Failure: read() passes on what the store says; the round then fails.
#pragma once

#include <cstdint>
#include <span>

#include "core/encoded_batch.h"
#include "core/status.h"

namespace freshet {

// A stretch of a round.
struct RoundPhase {
  enum class Rows : std::uint8_t {
    kStream,  // the fresh rows in their order, once, joined by a sample of the memory
    kFresh,   // whole passes over the fresh rows
    kMemory,  // over the memory, or over the fresh rows while it is empty; fresh rows that it holds come as its own
    kBoth,    // over both, spread evenly over the steps; of the memory without those that are fresh
  };
  Rows rows = Rows::kStream;
  std::uint32_t passes = 1;
  bool anew = false;             // from the initial weights
  bool fresh_optimizer = false;  // and schedule
  bool uses_memory() const { return rows == Rows::kMemory || rows == Rows::kBoth; }
};

// The whole memory, for phases that pass over it: rows are read in pieces, so that a round needs room for one piece of
// them and 16 to 20 bytes for each event, whatever the memory holds.
class ReplayReader {
 public:
  virtual ~ReplayReader() = default;
  virtual std::size_t size() const = 0;
  virtual std::uint64_t seq(std::size_t row) const = 0;
  // Row rows[i] to row i of `into`, which has room for them; each row at most once.
  virtual Status read(std::span<const std::uint32_t> rows, EncodedBatch& into) = 0;
};

}  // namespace freshet
