// The part of Pipeline that serves an average of stored states (freshet state average) and compares models on held-out
// events. The average is part of the state until the next round's model goes live: an order entry says where it begins,
// and the checkpoint right after that entry holds it, so that a redo from an older checkpoint comes by it too.
//
// Threads: as Pipeline.  Failure: without that checkpoint (a kill in between, damage) the entry means nothing, and the
// model of the last round is served.
#pragma once

#include <string_view>

namespace freshet {

// A learner's state whose weights are the average; there while one is served.
inline constexpr std::string_view kServedAverageBlob = "served_average";

}  // namespace freshet
