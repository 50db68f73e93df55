// DemoDisplay: what the demonstration shows while it runs: a block that redraws itself on a terminal, or a plain line
// now and then where there is none.
//
// Threads: one owner.  Owns: nothing but what it drew last.  Failure: none.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/pipeline/pipeline.h"

namespace freshet {

struct DemoProgress {
  std::uint64_t events_total = 0;  // in the file
  std::uint64_t produced = 0;
  double events_per_second = 0;    // learnt, over the last moments
  std::uint64_t freeze_after = 0;  // events
  std::uint16_t port = 0;
};

class DemoDisplay {
 public:
  // `terminal`: redraw in place; else one line a call.
  explicit DemoDisplay(bool terminal) : terminal_(terminal) {}

  // Text to print now.
  std::string draw(const PipelineSnapshot& snapshot, const DemoProgress& progress);

 private:
  bool terminal_;
  std::size_t lines_drawn_ = 0;
};

// The end: live against frozen, forgetting by month, and what to try next.
std::string demo_summary(const PipelineSnapshot& snapshot, double seconds);

// A bar of `width` columns, filled to `share`.
std::string bar(double share, std::size_t width);

}  // namespace freshet
