// What the tests of TorchScript models share: modules made from code, learners over them, rounds and states.
//
// Threads: any.  Owns: a folder for the files of a test.  Failure: what cannot be made fails the test.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <torch/script.h>

#include "learners/device.h"
#include "learners/training/learner.h"
#include "tests/learners/training/synthetic_events.h"

namespace freshet {

inline constexpr std::uint64_t kModuleSeed = 83;

class ModuleFolder {
 public:
  ModuleFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "freshet-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) abort_with("no folder for a test");
    path_ = name;
  }
  ~ModuleFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ModuleFolder(const ModuleFolder&) = delete;
  ModuleFolder& operator=(const ModuleFolder&) = delete;
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// A module with these parameters and buffers; `code` as in a class body.
inline std::string write_module(const std::string& path,
                                const std::vector<std::pair<std::string, at::Tensor>>& parameters,
                                const std::string& code,
                                const std::vector<std::pair<std::string, at::Tensor>>& buffers = {}) {
  torch::jit::Module module("__torch__.Tested");
  module.register_attribute("training", c10::BoolType::get(), true);
  for (const auto& [name, tensor] : parameters) {
    at::Tensor leaf = tensor.detach().clone();
    if (leaf.is_floating_point()) leaf.set_requires_grad(true);
    module.register_parameter(name, leaf, false);
  }
  for (const auto& [name, tensor] : buffers) module.register_buffer(name, tensor.clone());
  module.define(code);
  module.save(path);
  return path;
}

inline std::string tiny_model() { return FRESHET_SOURCE_DIR "/examples/torchscript/tiny.pt"; }

inline LearnerOptions module_options(const std::string& path, Task task) {
  LearnerOptions options;
  options.model.architecture = Architecture::kTorchScript;
  options.model.path = path;
  options.model.task = task;
  options.model.classes = 3;
  options.model.embedding_rows = 256;
  options.model.seed = kModuleSeed;
  options.loss.kind = default_loss(task);
  options.optimizer.kind = OptimizerKind::kAdamW;
  options.schedule.learning_rate = 0.01F;
  options.batch_size = 32;
  return options;
}

inline LearnerOptions convnet_options(Task task) {
  LearnerOptions options = module_options("", task);
  options.model.architecture = Architecture::kConvnet;
  options.model.convnet = {1, 6, 5, "", {4, 6}, 3};
  options.model.hidden = {12};
  return options;
}

inline std::unique_ptr<Learner> module_learner(const LearnerOptions& options, const EncodedLayout& layout) {
  const Status alone = set_threads(1);  // more of them beside busy threads are many times slower
  EXPECT_TRUE(alone.is_ok()) << alone.to_string();
  auto learner = Learner::create(options, layout, Device{});
  EXPECT_TRUE(learner.is_ok()) << learner.status().to_string();
  return learner.is_ok() ? std::move(learner).value() : nullptr;
}

inline RoundReport module_round(Learner& learner, const EncodedLayout& layout, std::uint64_t round,
                                std::size_t rows = 161) {
  const Task task = learner.options().model.task;
  const auto fresh = synthetic_events(layout, rows, kModuleSeed + round, task);
  const auto replay = synthetic_events(layout, rows, kModuleSeed + 1000 + round, task);
  auto report = learner.train_round({&fresh, &replay, round});
  EXPECT_TRUE(report.is_ok()) << report.status().to_string();
  return report.is_ok() ? *report : RoundReport{};
}

inline std::vector<float> predictions_of(const Predictor& predictor, const EncodedBatch& batch) {
  Predictions out;
  const Status status = predictor.predict(batch, 0, batch.size(), out);
  EXPECT_TRUE(status.is_ok()) << status.to_string();
  return {out.values.begin(), out.values.begin() + static_cast<std::ptrdiff_t>(out.rows * out.width)};
}

inline std::string module_state(const Learner& learner) {
  ByteWriter out;
  const Status status = learner.save(out);
  EXPECT_TRUE(status.is_ok()) << status.to_string();
  return out.take();
}

}  // namespace freshet
