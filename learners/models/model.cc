#include "learners/models/model.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/core.h>

namespace freshet {

namespace {
constexpr std::array<std::string_view, 6> kArchitectureNames = {"linear", "mlp",     "wide_deep",
                                                                "dcn",    "convnet", "torchscript"};
}

std::string_view architecture_name(Architecture architecture) {
  return kArchitectureNames.at(static_cast<std::size_t>(architecture));
}

Result<Architecture> parse_architecture(std::string_view name) {
  for (std::size_t i = 0; i < kArchitectureNames.size(); ++i) {
    if (kArchitectureNames.at(i) == name) return static_cast<Architecture>(i);
  }
  return invalid_argument(
      fmt::format("no architecture \"{}\"; there are linear, mlp, wide_deep, dcn, convnet and torchscript", name));
}

Result<CrossPlace> parse_cross_place(std::string_view name) {
  if (name == "stacked") return CrossPlace::kStacked;
  if (name == "parallel") return CrossPlace::kParallel;
  return invalid_argument(fmt::format("no place \"{}\" of cross layers; there are stacked and parallel", name));
}

Result<InitialWeights> parse_initial_weights(std::string_view name) {
  if (name == "fan_in") return InitialWeights::kFanIn;
  if (name == "glorot") return InitialWeights::kGlorot;
  return invalid_argument(fmt::format("no initial weights \"{}\"; there are fan_in and glorot", name));
}

InitialBounds initial_bounds(InitialWeights initial, std::size_t inputs, std::size_t outputs) {
  if (initial == InitialWeights::kGlorot) return {std::sqrt(6.0F / static_cast<float>(inputs + outputs)), 0.0F};
  const float bound = 1.0F / std::sqrt(static_cast<float>(inputs));
  return {bound, bound};
}

std::size_t row_count(std::span<const RowRange> rows) {
  std::size_t count = 0;
  for (const auto& range : rows) count += range.size();
  return count;
}

Result<std::span<const float>> Model::hidden(std::size_t /*layer*/) {
  return invalid_argument("this model does not show its hidden layers");
}

Status Model::backward_from_hidden(std::span<const float> output_gradients,
                                   std::span<const std::span<const float>> hidden_gradients) {
  if (!hidden_gradients.empty()) return invalid_argument("this model takes no gradients at hidden layers");
  return backward(output_gradients);
}

Status check_hidden_gradients(const Model& model, std::size_t rows,
                              std::span<const std::span<const float>> hidden_gradients) {
  if (hidden_gradients.empty()) return Status::ok();
  const auto layers = model.hidden_layers();
  if (hidden_gradients.size() != layers.size()) {
    return invalid_argument(
        fmt::format("gradients of {} hidden layers for a model of {}", hidden_gradients.size(), layers.size()));
  }
  for (std::size_t l = 0; l < layers.size(); ++l) {
    if (hidden_gradients[l].empty() || hidden_gradients[l].size() == rows * layers[l].width) continue;
    return invalid_argument(fmt::format("{} gradients at {} of width {} for {} rows", hidden_gradients[l].size(),
                                        layers[l].name, layers[l].width, rows));
  }
  return Status::ok();
}

Status host_loss_gradients(Model& model, std::span<const RowRange> parts, const Loss& loss, std::span<LossSum> sums,
                           std::vector<float>& gradients) {
  const std::size_t count = row_count(parts);
  const auto outputs = TRY(model.forward(parts));
  gradients.resize(std::max(gradients.size(), outputs.size()));
  const float scale = count > 0 ? 1.0F / static_cast<float>(count) : 0.0F;
  const std::size_t width = model.outputs();
  std::size_t row = 0;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    const RowRange& part = parts[p];
    const std::size_t size = part.size();
    if (size == 0) continue;
    const std::span<float> losses(part.losses, part.losses == nullptr ? 0 : size);
    sums[p] = loss.evaluate(outputs.subspan(row * width, size * width),
                            std::span<const float>(part.batch->labels).subspan(part.begin, size),
                            std::span<const float>(part.batch->weights).subspan(part.begin, size), scale, losses,
                            std::span<float>(gradients).subspan(row * width, size * width));
    row += size;
  }
  return model.backward(std::span<const float>(gradients).first(outputs.size()));
}

}  // namespace freshet
