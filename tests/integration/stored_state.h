// What a stored state comes to: its log redone and its last round trained, in this process, by the pipeline that the
// daemon runs. The stream gives nothing more.
#pragma once

#include <string>
#include <vector>

#include "core/status.h"
#include "daemon/pipeline/pipeline.h"

namespace freshet::test {

struct FinalState {
  std::string learner_hash;
  StateHash state;
  PipelineSnapshot snapshot;
};

// `sets`: the overrides of the example's configuration with which the daemon ran.
Result<FinalState> finish_stored(const std::vector<std::string>& sets);

}  // namespace freshet::test
