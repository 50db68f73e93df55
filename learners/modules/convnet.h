// The built-in convnet, made as TorchScript: for each of ConvnetOptions::filters a convolution with ReLU and, while the
// image is at least 2 x 2, max-pooling of 2 x 2; then the hidden layers with ReLU; then the outputs. Numbers beside the
// image join the first hidden layer (LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998).
//
// Threads: a pure function.  Owns: nothing.  Failure: refuses an image that does not fit the features.
#pragma once

#include "learners/models/model.h"
#include "learners/modules/script_module.h"

namespace freshet {

Result<std::unique_ptr<ScriptModule>> make_convnet(const ModelOptions& options, const EncodedLayout& layout);

}  // namespace freshet
