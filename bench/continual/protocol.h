// The protocols of continual learning on MNIST: a stream of tasks, each seen once and in order.
//
//   split     class-incremental: five tasks of two digits; one output a digit from the start, no task is told
//             (van de Ven and Tolias, "Three scenarios for continual learning", 2019)
//   permuted  domain-incremental: twenty tasks, all digits, the pixels of a task in an order of its own
//   rotated   domain-incremental: twenty tasks, all digits, the images of a task turned by an angle of its own, drawn
//             from [0, 180) degrees; the nearest pixel is taken
// The last two as in Buzzega et al., "Dark Experience for General Continual Learning", NeurIPS 2020, every task all
// 60,000 training images. `joined` puts the training images of all tasks of a protocol into one, shuffled.
//
// Threads: pure functions.  Owns: nothing.  Failure: an unknown protocol is kInvalidArgument.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/continual/mnist.h"
#include "core/encoded_batch.h"

namespace freshet::bench {

// Where each pixel of a task's image comes from; kPaper: from nowhere, it is 0.
using PixelMap = std::vector<std::uint16_t>;
inline constexpr std::uint16_t kPaper = 0xFFFF;

PixelMap permuted_pixels(std::uint64_t seed);
// Turned counter-clockwise about the middle of the image.
PixelMap rotated_pixels(double degrees);

struct Task {
  PixelMap pixels;                   // empty: as they are
  std::vector<std::uint32_t> train;  // images in the order of the stream
  std::vector<std::uint32_t> test;
};

// The tasks, which depend on the seed alone.
Result<std::vector<Task>> make_tasks(std::string_view protocol, const Mnist& mnist, std::uint64_t seed);

// A place in the stream: a task, and one of its training images.
using StreamPlace = std::pair<std::uint32_t, std::uint32_t>;
std::vector<StreamPlace> stream_of(std::span<const Task> tasks, bool joined, std::uint64_t seed);

EncodedLayout pixel_layout();
// Writes an image as row `row`: pixels in [0, 1], its label, weight 1.
void encode_digit(const Digits& digits, std::uint32_t image, const PixelMap& pixels, EncodedBatch& rows,
                  std::size_t row);

}  // namespace freshet::bench
