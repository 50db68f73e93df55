#include "learners/modules/convnet.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include "core/rng.h"
#include "learners/modules/module_calls.h"

namespace freshet {

namespace {

struct ImagePlace {
  std::size_t begin = 0;
  std::size_t end = 0;
};

Result<ImagePlace> find_image(const ConvnetOptions& options, const EncodedLayout& layout) {
  const std::size_t size = std::size_t{options.channels} * options.height * options.width;
  const std::string wanted =
      fmt::format("model.image is {} x {} x {}: {} numbers", options.channels, options.height, options.width, size);
  if (options.field.empty()) {
    if (layout.dense() == size) return ImagePlace{0, size};
    return invalid_argument(fmt::format(
        "{}, but the features are {}; say in model.image.field which vector is the image", wanted, layout.dense()));
  }
  const std::string prefix = options.field + "[";
  const auto in_field = [&](const std::string& name) { return name.starts_with(prefix); };
  const auto first = std::ranges::find_if(layout.dense_names, in_field);
  const auto count = static_cast<std::size_t>(std::ranges::count_if(layout.dense_names, in_field));
  if (count == 0)
    return invalid_argument(fmt::format("model.image.field: no vector feature is named {}", options.field));
  if (count != size) return invalid_argument(fmt::format("{}, but the vector {} has {}", wanted, options.field, count));
  const auto begin = static_cast<std::size_t>(first - layout.dense_names.begin());
  return ImagePlace{begin, begin + size};
}

Status check(const ModelOptions& options, const EncodedLayout& layout) {
  const ConvnetOptions& convnet = options.convnet;
  constexpr std::uint32_t kLargest = 4096;
  const auto in_bounds = [](std::uint32_t value) { return value >= 1 && value <= kLargest; };
  if (!in_bounds(convnet.channels) || !in_bounds(convnet.height) || !in_bounds(convnet.width)) {
    return invalid_argument("model.image needs channels, height and width, each between 1 and 4096");
  }
  if (convnet.kernel % 2 == 0 || convnet.kernel > 31) return invalid_argument("model.kernel must be odd, at most 31");
  if (convnet.filters.empty() || convnet.filters.size() > 16 || !std::ranges::all_of(convnet.filters, in_bounds)) {
    return invalid_argument("model.filters needs 1 to 16 numbers between 1 and 4096");
  }
  if (options.hidden.size() > 64) return invalid_argument("model.hidden names more than 64 layers");
  if (layout.categorical() > 0) {
    return invalid_argument(fmt::format("a convnet takes no categories, but these features are: {}",
                                        fmt::join(layout.categorical_names, ", ")));
  }
  return Status::ok();
}

// Weights and code grow together, a layer at a time.
class Builder {
 public:
  Builder(std::uint64_t seed, InitialWeights initial) : rng_(seed), initial_(initial) {}

  void convolve(std::size_t layer, std::int64_t in, std::int64_t out, std::int64_t kernel, bool pool) {
    const std::string name = fmt::format("conv{}", layer);
    add(name, {out, in, kernel, kernel}, in * kernel * kernel, out * kernel * kernel);
    line("x = torch.relu(torch.conv2d(x, self.{0}_weight, self.{0}_bias, [1, 1], [{1}, {1}]))", name, kernel / 2);
    if (pool) line("x = torch.max_pool2d(x, [2, 2])");
  }
  void connect(const std::string& name, std::int64_t in, std::int64_t out, bool relu) {
    add(name, {out, in}, in, out);
    line("x = torch.addmm(self.{0}_bias, x, self.{0}_weight.t())", name);
    if (relu) line("x = torch.relu(x)");
  }
  template <typename... Args>
  void line(fmt::format_string<Args...> text, Args&&... args) {
    code_ += "  " + fmt::format(text, std::forward<Args>(args)...) + "\n";
  }
  std::unique_ptr<ScriptModule> build() {
    line("return x");
    return ScriptModule::define("ConvNet", parameters_, "def forward(self, numbers):\n" + code_);
  }

 private:
  void add(const std::string& name, std::vector<std::int64_t> sizes, std::int64_t fan_in, std::int64_t fan_out) {
    const auto bounds = initial_bounds(initial_, static_cast<std::size_t>(fan_in), static_cast<std::size_t>(fan_out));
    parameters_.emplace_back(name + "_weight", drawn(sizes, bounds.weight));
    parameters_.emplace_back(name + "_bias", drawn({sizes.front()}, bounds.bias));
  }
  at::Tensor drawn(const std::vector<std::int64_t>& sizes, float bound) {
    at::Tensor tensor = at::empty(sizes, at::kFloat);
    auto* value = tensor.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < tensor.numel(); ++i) value[i] = bound * static_cast<float>(2.0 * rng_.uniform() - 1.0);
    return tensor;
  }

  Rng rng_;
  InitialWeights initial_;
  std::vector<std::pair<std::string, at::Tensor>> parameters_;
  std::string code_;
};

}  // namespace

Result<std::unique_ptr<ScriptModule>> make_convnet(const ModelOptions& options, const EncodedLayout& layout) {
  TRY(check(options, layout));
  const ConvnetOptions& convnet = options.convnet;
  const ImagePlace place = TRY(find_image(convnet, layout));
  return guarded("the convnet", [&]() -> Result<std::unique_ptr<ScriptModule>> {
    Builder builder(options.seed, options.initial);
    std::int64_t channels = convnet.channels;
    std::int64_t height = convnet.height;
    std::int64_t width = convnet.width;
    builder.line("x = numbers[:, {}:{}].reshape([-1, {}, {}, {}])", place.begin, place.end, channels, height, width);
    for (std::size_t l = 0; l < convnet.filters.size(); ++l) {
      const bool pool = height >= 2 && width >= 2;
      builder.convolve(l, channels, convnet.filters[l], convnet.kernel, pool);
      channels = convnet.filters[l];
      if (pool) height /= 2, width /= 2;
    }
    builder.line("x = x.flatten(1)");
    const std::size_t others = layout.dense() - (place.end - place.begin);
    if (others > 0) builder.line("x = torch.cat([x, numbers[:, :{}], numbers[:, {}:]], 1)", place.begin, place.end);
    std::int64_t units = channels * height * width + static_cast<std::int64_t>(others);
    for (std::size_t l = 0; l < options.hidden.size(); ++l) {
      builder.connect(fmt::format("hidden{}", l), units, options.hidden[l], true);
      units = options.hidden[l];
    }
    builder.connect("output", units, options.task == Task::kMulticlass ? options.classes : 1, false);
    return builder.build();
  });
}

}  // namespace freshet
