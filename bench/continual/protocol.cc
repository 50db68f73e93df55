#include "bench/continual/protocol.h"

#include <cmath>
#include <numbers>
#include <numeric>

#include <fmt/core.h>

#include "core/rng.h"

namespace freshet::bench {

namespace {

constexpr std::uint32_t kDomainTasks = 20;
constexpr std::uint64_t kPermutationSalt = 0x50E2;
constexpr std::uint64_t kAngleSalt = 0xA691;
constexpr std::uint64_t kOrderSalt = 0x06DE;

template <typename Value>
void shuffle(std::vector<Value>& values, Rng& rng) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[rng.below(i)]);
}

std::vector<std::uint32_t> images_with(const Digits& digits, std::size_t first_label, std::size_t last_label) {
  std::vector<std::uint32_t> images;
  for (std::uint32_t i = 0; i < digits.size(); ++i) {
    if (digits.labels[i] >= first_label && digits.labels[i] <= last_label) images.push_back(i);
  }
  return images;
}

}  // namespace

PixelMap permuted_pixels(std::uint64_t seed) {
  PixelMap map(kPixels);
  std::iota(map.begin(), map.end(), std::uint16_t{0});
  Rng rng(seed);
  shuffle(map, rng);
  return map;
}

PixelMap rotated_pixels(double degrees) {
  constexpr double kMiddle = (static_cast<double>(kImageSide) - 1.0) / 2.0;
  const double angle = degrees * std::numbers::pi / 180.0;
  const double cosine = std::cos(angle);
  const double sine = std::sin(angle);
  PixelMap map(kPixels, kPaper);
  for (std::size_t y = 0; y < kImageSide; ++y) {
    for (std::size_t x = 0; x < kImageSide; ++x) {
      // Turned back, with y counted downwards.
      const double right = static_cast<double>(x) - kMiddle;
      const double down = static_cast<double>(y) - kMiddle;
      const double from_x = std::round(cosine * right - sine * down + kMiddle);
      const double from_y = std::round(sine * right + cosine * down + kMiddle);
      const auto inside = [](double at) { return at >= 0.0 && at < static_cast<double>(kImageSide); };
      if (!inside(from_x) || !inside(from_y)) continue;
      map[y * kImageSide + x] = static_cast<std::uint16_t>(from_y * static_cast<double>(kImageSide) + from_x);
    }
  }
  return map;
}

Result<std::vector<Task>> make_tasks(std::string_view protocol, const Mnist& mnist, std::uint64_t seed) {
  std::vector<Task> tasks;
  if (protocol == "split") {
    for (std::size_t digit = 0; digit < kDigits; digit += 2) {
      tasks.push_back({{}, images_with(mnist.train, digit, digit + 1), images_with(mnist.test, digit, digit + 1)});
    }
  } else if (protocol == "permuted" || protocol == "rotated") {
    Rng angles(seed ^ kAngleSalt);
    for (std::uint32_t t = 0; t < kDomainTasks; ++t) {
      auto pixels = protocol == "permuted" ? permuted_pixels((seed ^ kPermutationSalt) + 1000003ULL * t)
                                           : rotated_pixels(180.0 * angles.uniform());
      tasks.push_back(
          {std::move(pixels), images_with(mnist.train, 0, kDigits - 1), images_with(mnist.test, 0, kDigits - 1)});
    }
  } else {
    return invalid_argument(fmt::format("no protocol \"{}\"; there are split, permuted and rotated", protocol));
  }
  Rng order(seed ^ kOrderSalt);
  for (auto& task : tasks) shuffle(task.train, order);
  return tasks;
}

std::vector<StreamPlace> stream_of(std::span<const Task> tasks, bool joined, std::uint64_t seed) {
  std::vector<StreamPlace> stream;
  for (std::uint32_t t = 0; t < tasks.size(); ++t) {
    for (const auto image : tasks[t].train) stream.emplace_back(t, image);
  }
  Rng rng(seed ^ kOrderSalt);
  if (joined) shuffle(stream, rng);
  return stream;
}

EncodedLayout pixel_layout() {
  EncodedLayout layout;
  for (std::size_t p = 0; p < kPixels; ++p) layout.dense_names.push_back(fmt::format("pixel{}", p));
  return layout;
}

void encode_digit(const Digits& digits, std::uint32_t image, const PixelMap& pixels, EncodedBatch& rows,
                  std::size_t row) {
  const auto from = digits.image(image);
  const auto to = rows.dense_row(row);
  for (std::size_t p = 0; p < kPixels; ++p) {
    const std::size_t source = pixels.empty() ? p : pixels[p];
    to[p] = source == kPaper ? 0.0F : static_cast<float>(from[source]) / 255.0F;
  }
  rows.labels[row] = static_cast<float>(digits.labels[image]);
  rows.weights[row] = 1.0F;
}

}  // namespace freshet::bench
