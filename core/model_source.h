// ModelSource: where serving and evaluation get the model that is live right now.
//
// Threads: any number of readers; `current` never blocks on training, and a reader may keep what it got as long as it
// likes. The last reader never frees a model on its own thread: the publisher keeps retired versions until they are
// idle.
#pragma once

#include <memory>

#include "core/predictor.h"

namespace freshet {

class ModelSource {
 public:
  virtual ~ModelSource() = default;
  virtual std::shared_ptr<const Predictor> current() const = 0;  // null until the first model is published
};

}  // namespace freshet
