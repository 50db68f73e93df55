// MNIST: the images of handwritten digits of LeCun, Cortes and Burges, from their IDX files (bench/continual/prepare.sh
// fetches them).
//
// An IDX file is a magic number (two zero bytes, the type of the elements, the number of dimensions), the dimensions as
// big-endian 32-bit numbers, and the elements.
//
// Threads: pure functions.  Owns: nothing.
// Failure: a file that is not there is kNotFound; one that is cut short, too long or of another kind kDataLoss.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace freshet::bench {

inline constexpr std::size_t kImageSide = 28;
inline constexpr std::size_t kPixels = kImageSide * kImageSide;
inline constexpr std::size_t kDigits = 10;

// An array of bytes as an IDX file holds it, row-major.
struct IdxArray {
  std::vector<std::uint32_t> sizes;
  std::vector<std::uint8_t> values;
};
Result<IdxArray> parse_idx(std::string_view bytes);

struct Digits {
  std::vector<std::uint8_t> pixels;  // [size(), kPixels], 0 is paper
  std::vector<std::uint8_t> labels;
  std::size_t size() const { return labels.size(); }
  std::span<const std::uint8_t> image(std::size_t i) const { return {pixels.data() + i * kPixels, kPixels}; }
};
// Joins the two files of a set and checks that they belong together.
Result<Digits> join_digits(IdxArray images, IdxArray labels);

struct Mnist {
  Digits train;  // 60,000
  Digits test;   // 10,000
};
Result<Mnist> load_mnist(const std::string& folder);

}  // namespace freshet::bench
