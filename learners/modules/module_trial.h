// A module is tried once before it is trained: a few made-up rows through a copy of it, in both modes, forward and
// backward, so that what does not fit is said at the start and not in the middle of a stream.
//
// Threads: any.  Owns: nothing.  Failure: says what does not fit, and how.
#pragma once

#include "learners/modules/module_calls.h"

namespace freshet {

struct ModuleTraits {
  bool flat_outputs = false;  // forward returns [B], not [B, 1]
  bool draws = false;         // training draws random numbers (dropout)
  // Training refuses a mini-batch of one row, as batch normalisation does: such a step runs in evaluation mode.
  bool single_rows_as_served = false;
  std::size_t block_rows = 1;  // see ModuleContract
};

// Names of the columns are told in errors.
Result<ModuleTraits> try_module(const ScriptModule& module, const ModuleContract& contract,
                                const EncodedLayout& layout);

}  // namespace freshet
