// PayloadGarbage: which event payloads may go. A seq that the replay memory released, or that it was never offered
// (held out of training), is still needed while the log is redone from an older checkpoint; once a checkpoint has seen
// it, nobody needs it. Work is proportional to what was released: nothing is ever scanned.
//
// Threads: one owner (ingest).  Owns: the released seqs that were not collected yet, 8 bytes each.  Failure: none.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "storage/store.h"

namespace freshet {

inline constexpr std::string_view kGarbageBlob = "payload_garbage";

class PayloadGarbage {
 public:
  void release(std::uint64_t seq) { released_.push_back(seq); }
  void release(std::span<const std::uint64_t> seqs) { released_.insert(released_.end(), seqs.begin(), seqs.end()); }

  // Takes out the released seqs up to `seq` (a checkpoint's), as ascending ranges that do not touch:
  // CheckpointWrite::garbage. put_back() when the checkpoint failed.
  std::vector<SeqRange> collect(std::uint64_t seq);
  void put_back(std::span<const SeqRange> ranges);

  std::size_t waiting() const { return released_.size(); }

  // What still waits is part of the checkpoint that collected the rest.
  std::string save() const;
  Status load(std::string_view bytes);

 private:
  std::vector<std::uint64_t> released_;
};

}  // namespace freshet
