// Publisher: the one way by which a candidate becomes the served model, and so the place where the gate stands.
//
// Today every candidate passes. A gate that compares candidate and served model on fresh events goes into `offer`; the
// pipeline already asks for a verdict and records the position of every model that goes live.
//
// Threads: ingest thread only; readers of the slot are unaffected.  Owns: nothing; borrows the slot.
#pragma once

#include <memory>

#include "core/predictor.h"
#include "serving/model_slot.h"

namespace freshet {

enum class GateVerdict : std::uint8_t { kPublished, kRejected };

class Publisher {
 public:
  explicit Publisher(ModelSlot& slot) : slot_(slot) {}

  GateVerdict offer(std::shared_ptr<const Predictor> candidate) {
    slot_.publish(std::move(candidate));
    return GateVerdict::kPublished;
  }

 private:
  ModelSlot& slot_;
};

}  // namespace freshet
