// ModulePublisher: immutable copies of a module for evaluation and serving. A copy that nobody reads any more is filled
// again with newer weights and buffers, off the request path: the module itself, its code and its plans stay.
//
// Threads: publish() on the trainer; what it returns may be used and dropped on any thread.
// Owns: the copies.  Failure: publish() throws what LibTorch throws; predict() of what it returns gives an error.
#pragma once

#include <memory>
#include <span>

#include "core/bytes.h"
#include "core/predictor.h"
#include "learners/models/parameters.h"
#include "learners/modules/module_calls.h"
#include "learners/training/snapshot_pool.h"

namespace freshet {

class ModuleSnapshot;

// Weights as they lie in Parameters, into every parameter of a module on the CPU.
void fill_parameters(const ScriptModule& module, std::span<const DenseTensor> places, const float* dense);

class ModulePublisher {
 public:
  // original: what copies are made of; it outlives the publisher, as do the tensors' places.
  ModulePublisher(const ScriptModule& original, std::span<const DenseTensor> places, const ModuleContract& contract);
  ~ModulePublisher();

  // dense: weights in host memory; buffers: in host memory, in the order of the module's.
  std::shared_ptr<const Predictor> publish(const float* dense, std::span<const at::Tensor> buffers,
                                           std::uint64_t version);

  // Any copy of such a module as bytes: weights and buffers.
  Status save(const Predictor& copy, ByteWriter& out) const;
  // weights: how many Parameters hold.
  Result<std::shared_ptr<const Predictor>> load(ByteReader& in, std::size_t weights);

  // The module behind a copy; null where it is none.
  static const ScriptModule* module_of(const Predictor& copy);

  std::size_t copies() const { return pool_.size(); }

 private:
  const ScriptModule& original_;
  std::span<const DenseTensor> places_;
  ModuleContract contract_;
  SnapshotPool<ModuleSnapshot> pool_;
};

}  // namespace freshet
