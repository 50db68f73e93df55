#include "bench/continual/mnist.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include <fmt/core.h>

namespace freshet::bench {

namespace {

constexpr std::uint8_t kUnsignedBytes = 0x08;

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<std::uint8_t>(bytes[i]);
  return value;
}

Result<IdxArray> read_idx(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return not_found(path + " is not there; bench/continual/prepare.sh fetches it");
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  auto array = parse_idx(bytes);
  if (!array.is_ok()) return array.status().with_context(path);
  return array;
}

Result<Digits> load_digits(const std::string& folder, const std::string& name) {
  auto images = TRY(read_idx(folder + "/" + name + "-images-idx3-ubyte"));
  auto labels = TRY(read_idx(folder + "/" + name + "-labels-idx1-ubyte"));
  return join_digits(std::move(images), std::move(labels));
}

}  // namespace

Result<IdxArray> parse_idx(std::string_view bytes) {
  if (bytes.size() < 4 || bytes[0] != 0 || bytes[1] != 0) return data_loss("no IDX file");
  if (static_cast<std::uint8_t>(bytes[2]) != kUnsignedBytes) {
    return data_loss(fmt::format("an IDX file of type {:#x}, not of bytes", static_cast<std::uint8_t>(bytes[2])));
  }
  const std::size_t dimensions = static_cast<std::uint8_t>(bytes[3]);
  const std::size_t header = 4 + 4 * dimensions;
  if (dimensions == 0 || bytes.size() < header) return data_loss("an IDX file cut short within its header");
  IdxArray array;
  std::size_t count = 1;
  for (std::size_t d = 0; d < dimensions; ++d) {
    array.sizes.push_back(big_endian(bytes.substr(4 + 4 * d)));
    // What is in the file bounds the product, so that it cannot overflow.
    if (array.sizes.back() != 0 && count > bytes.size() / array.sizes.back()) {
      return data_loss(fmt::format("an IDX file of {} bytes, which is too short for its sizes", bytes.size()));
    }
    count *= array.sizes.back();
  }
  if (bytes.size() - header != count) {
    return data_loss(fmt::format("an IDX file with {} elements where {} belong", bytes.size() - header, count));
  }
  array.values.assign(bytes.begin() + static_cast<std::ptrdiff_t>(header), bytes.end());
  return array;
}

Result<Digits> join_digits(IdxArray images, IdxArray labels) {
  if (images.sizes.size() != 3 || images.sizes[1] != kImageSide || images.sizes[2] != kImageSide) {
    return data_loss("the images are not 28 x 28");
  }
  if (labels.sizes.size() != 1 || labels.sizes[0] != images.sizes[0]) {
    return data_loss(fmt::format("{} labels for {} images", labels.values.size(), images.sizes[0]));
  }
  if (std::ranges::any_of(labels.values, [](std::uint8_t label) { return label >= kDigits; })) {
    return data_loss("a label that is no digit");
  }
  return Digits{std::move(images.values), std::move(labels.values)};
}

Result<Mnist> load_mnist(const std::string& folder) {
  auto train = TRY(load_digits(folder, "train"));
  auto test = TRY(load_digits(folder, "t10k"));
  return Mnist{std::move(train), std::move(test)};
}

}  // namespace freshet::bench
