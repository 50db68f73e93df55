// Model: what training needs of a model: outputs for rows of encoded events, and gradients of its parameters from the
// gradients of those outputs. Strategies and losses know nothing else, so any kind of model can stand behind it.
//
// Threads: the trainer.  Owns: its parameters and activations.
// Failure: forward() refuses rows whose width is not the model's; load() refuses another shape.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/encoded_batch.h"
#include "core/predictor.h"
#include "core/status.h"
#include "learners/training/losses.h"

namespace freshet {

enum class Architecture : std::uint8_t { kLinear, kMlp, kWideDeep, kDcn, kConvnet, kTorchScript };
// Made of LibTorch's operations, a TorchScript module: not a model of numbers and categories with kernels of its own.
inline bool is_module(Architecture architecture) {
  return architecture == Architecture::kConvnet || architecture == Architecture::kTorchScript;
}
std::string_view architecture_name(Architecture architecture);
Result<Architecture> parse_architecture(std::string_view name);

// A stack of convolutions, each with ReLU and max-pooling, before the hidden layers.
struct ConvnetOptions {
  std::uint32_t channels = 1;  // of the image, which the numbers hold as [channels, height, width]
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  std::string field;  // the vector feature that is the image; empty: all numbers, in their order
  std::vector<std::uint32_t> filters = {16, 32};
  std::uint32_t kernel = 3;  // odd
};

// Where the cross layers of a kDcn stand: below the hidden layers, or beside them.
enum class CrossPlace : std::uint8_t { kStacked, kParallel };
Result<CrossPlace> parse_cross_place(std::string_view name);

// Weights of hidden, output and convolution layers start uniform between minus and plus a bound, biases too:
//   kFanIn   both 1/sqrt(inputs), as PyTorch's Linear (Kaiming with a = sqrt(5))
//   kGlorot  weights sqrt(6 / (inputs + outputs)), biases 0 (Glorot and Bengio, 2010)
enum class InitialWeights : std::uint8_t { kFanIn, kGlorot };
Result<InitialWeights> parse_initial_weights(std::string_view name);
struct InitialBounds {
  float weight = 0.0F;
  float bias = 0.0F;
};
InitialBounds initial_bounds(InitialWeights initial, std::size_t inputs, std::size_t outputs);

struct ModelOptions {
  Architecture architecture = Architecture::kWideDeep;
  Task task = Task::kBinary;
  std::uint32_t classes = 2;  // of a multiclass task
  std::vector<std::uint32_t> hidden = {64, 32};
  std::uint32_t embedding_dim = 8;
  std::uint32_t embedding_rows = 65536;  // a power of two
  std::uint32_t cross_layers = 2;        // of kDcn
  std::uint32_t cross_rank = 0;          // of their weights; 0: full
  CrossPlace cross = CrossPlace::kStacked;
  bool recompute = false;  // activations of hidden layers on the way back, instead of keeping all
  InitialWeights initial = InitialWeights::kFanIn;
  float embedding_scale = 0.01F;            // standard deviation of a new embedding
  OutputLink link = OutputLink::kIdentity;  // of a regression; Learner takes it from the loss
  std::string path;                         // torchscript: the file
  ConvnetOptions convnet;
  std::uint64_t seed = 1;
};

// Rows [begin, end) of a batch; several of them make one mini-batch.
struct RowRange {
  const EncodedBatch* batch = nullptr;
  std::size_t begin = 0;
  std::size_t end = 0;
  float* losses = nullptr;  // [size()]: where loss_gradients() writes the loss of each row, unweighted; null: nowhere
  std::size_t size() const { return end - begin; }
};
std::size_t row_count(std::span<const RowRange> rows);

// A layer between input and outputs whose activations may be asked for.
struct HiddenLayer {
  std::string name;
  std::uint32_t width = 0;
};

class Model {
 public:
  virtual ~Model() = default;

  virtual Task task() const = 0;
  virtual std::uint32_t outputs() const = 0;  // logits of a class each, one logit (binary), or one value (regression)

  // Outputs of all rows, row-major [rows, outputs()], in host memory; valid until the next forward(). Keeps what
  // backward() needs.
  virtual Result<std::span<const float>> forward(std::span<const RowRange> rows) = 0;

  // Adds to the gradients of the parameters; `output_gradients` is [rows, outputs()] for the rows of the last
  // forward().
  virtual Status backward(std::span<const float> output_gradients) = 0;

  // Layers from the input on; none where a model does not say. The activations of one for the rows of the last
  // forward(), [rows, width], in host memory and valid until the next forward(); and backward() with gradients that
  // come in at these layers as well, for each of them a matrix [rows, width], or nothing.
  virtual std::span<const HiddenLayer> hidden_layers() const { return {}; }
  virtual Result<std::span<const float>> hidden(std::size_t layer);
  virtual Status backward_from_hidden(std::span<const float> output_gradients,
                                      std::span<const std::span<const float>> hidden_gradients);

  // Outputs as forward() gives them, but of the model as it serves: without what only training does (dropout,
  // statistics of the batch) and without what backward() needs.
  virtual Result<std::span<const float>> infer(std::span<const RowRange> rows) { return forward(rows); }

  // The loss that the model brings along, if any: Learner puts it in place of the configured one.
  virtual std::shared_ptr<const OwnLoss> own_loss() const { return nullptr; }

  // Both at once, where the model's weights lie: adds the gradients of the mean of the weighted losses of all rows, and
  // writes a sum for each of `parts` (untouched where a part has no rows).
  virtual Status loss_gradients(std::span<const RowRange> parts, const Loss& loss, std::span<LossSum> sums) = 0;
};

// loss_gradients() for a model whose outputs are at home in host memory; `gradients` is room to work in.
Status host_loss_gradients(Model& model, std::span<const RowRange> parts, const Loss& loss, std::span<LossSum> sums,
                           std::vector<float>& gradients);

// Whether gradients of hidden layers fit a model and its last forward() over `rows`.
Status check_hidden_gradients(const Model& model, std::size_t rows,
                              std::span<const std::span<const float>> hidden_gradients);

// Built-in architectures over tables of numbers and categories.
Result<std::unique_ptr<class TabularNet>> make_tabular_net(const ModelOptions& options, const EncodedLayout& layout);

}  // namespace freshet
