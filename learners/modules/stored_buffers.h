// The buffers of a module as bytes: of any type and shape, exact to the bit.
//
// Threads: the trainer.  Owns: nothing.  Failure: load_buffers() refuses bytes that are not of this module's buffers.
#pragma once

#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/bytes.h"
#include "learners/modules/script_module.h"

namespace freshet {

void save_buffers(ByteWriter& out, std::span<const at::Tensor> buffers);
// In host memory, in the order of the module's.
Result<std::vector<at::Tensor>> load_buffers(ByteReader& in, const ScriptModule& module);

}  // namespace freshet
