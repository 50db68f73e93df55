// ScriptModule: a TorchScript module as training and serving need it: its trained tensors and its others by number, its
// modes, its calls. It is read from a file that Python's torch.jit.save (or LibTorch) wrote, or made from TorchScript
// code. Its calls run on LibTorch's plain interpreter, without specialising to what earlier calls saw: results then do
// not depend on how often a module ran, and a copy may run under InferenceMode while the original trains.
//
// Threads: one owner; forward() of a module that nobody changes may run on many threads.
// Owns: the module, its tensors, the extra files of its archive.
// Failure: load() says what is wrong with a file; calls throw what LibTorch throws, ScriptError where the module
// returns what it should not.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/status.h"

namespace freshet {

class ScriptError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What a person needs of an exception out of a script: the last line of what LibTorch says, which names the error, and
// the line of the script that raised it.
std::string script_error_text(const std::exception& error);

class ScriptModule {
 public:
  static Result<std::unique_ptr<ScriptModule>> load(const std::string& path);
  // A module of the given parameters whose methods are `code`: TorchScript, as in a class body.
  static std::unique_ptr<ScriptModule> define(const std::string& name,
                                              const std::vector<std::pair<std::string, at::Tensor>>& parameters,
                                              const std::string& code);
  ~ScriptModule();

  std::size_t inputs() const;  // of forward, the module itself left out
  bool has_loss() const;
  bool has_metrics() const;
  bool convolves() const;  // whether forward runs a convolution
  // Of code, constants and attributes, tensors left out: the same computation has the same one.
  std::uint64_t fingerprint() const;

  // Trained tensors (parameters that ask for gradients), each once where several names share one; all other tensors.
  std::size_t parameters() const;
  std::size_t buffers() const;
  const std::string& parameter_name(std::size_t number) const;
  const std::string& buffer_name(std::size_t number) const;
  at::Tensor parameter(std::size_t number) const;
  at::Tensor buffer(std::size_t number) const;
  void set_buffer(std::size_t number, const at::Tensor& value);
  // Under every name that stands for a trained tensor; copies may have one for each name.
  void for_each_parameter(const std::function<void(std::size_t number, const at::Tensor& tensor)>& visit) const;

  void to(const at::Device& device);
  void set_training(bool training);

  // numbers: [B, F] float32, categories: [B, C] int64, given where forward takes two inputs.
  at::Tensor forward(const at::Tensor& numbers, const at::Tensor& categories);
  at::Tensor loss(const at::Tensor& outputs, const at::Tensor& targets);
  std::vector<std::pair<std::string, double>> metrics(const at::Tensor& outputs, const at::Tensor& targets);

  // Tensors of its own without gradients, in evaluation mode.
  std::unique_ptr<ScriptModule> copy() const;
  // With the extra files that it came with, `more` added or put in their place.
  void save(const std::string& path, const std::vector<std::pair<std::string, std::string>>& more) const;

 private:
  struct Impl;
  explicit ScriptModule(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace freshet
