#include "bench/continual/mnist.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

namespace freshet::bench {
namespace {

std::string big_endian(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string images(std::uint32_t count, std::uint32_t height, std::uint32_t width) {
  std::string bytes = std::string("\0\0\x08\x03", 4) + big_endian(count) + big_endian(height) + big_endian(width);
  for (std::uint32_t i = 0; i < count * height * width; ++i) bytes.push_back(static_cast<char>(i % 251));
  return bytes;
}

std::string labels(const std::string& digits) {
  return std::string("\0\0\x08\x01", 4) + big_endian(static_cast<std::uint32_t>(digits.size())) + digits;
}

TEST(IdxFile, GivesItsSizesAndElements) {
  const auto array = parse_idx(images(2, 3, 5));
  ASSERT_TRUE(array.is_ok()) << array.status().to_string();
  EXPECT_EQ(array->sizes, (std::vector<std::uint32_t>{2, 3, 5}));
  ASSERT_EQ(array->values.size(), 30U);
  EXPECT_EQ(array->values[0], 0);
  EXPECT_EQ(array->values[29], 29);
}

TEST(IdxFile, ReadsSizesAsBigEndian) {
  const auto array = parse_idx(labels(std::string(258, '\3')));
  ASSERT_TRUE(array.is_ok());
  EXPECT_EQ(array->sizes, std::vector<std::uint32_t>{0x0102});
}

TEST(IdxFile, IsRefusedWhenCutShortOrTooLong) {
  const std::string whole = images(2, 3, 5);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(parse_idx(whole.substr(0, size)).status().code(), Code::kDataLoss) << size << " bytes";
  }
  EXPECT_EQ(parse_idx(whole + '\0').status().code(), Code::kDataLoss);
}

TEST(IdxFile, IsRefusedWhenItsSizesAreLies) {
  const std::string header = std::string("\0\0\x08\x03", 4);
  const std::string huge = big_endian(0xFFFFFFFF);
  EXPECT_EQ(parse_idx(header + huge + huge + huge + "x").status().code(), Code::kDataLoss);
  EXPECT_EQ(parse_idx(std::string("\0\0\x08\xFF", 4) + huge).status().code(), Code::kDataLoss);
}

TEST(IdxFile, IsRefusedWhenItHoldsNoBytes) {
  std::string floats = images(1, 1, 1);
  floats[2] = 0x0D;
  EXPECT_EQ(parse_idx(floats).status().code(), Code::kDataLoss);
  EXPECT_EQ(parse_idx("PNG-------").status().code(), Code::kDataLoss);
}

TEST(DigitFiles, AreRefusedWhenTheyDoNotBelongTogether) {
  const auto join = [](const std::string& pictures, const std::string& names) {
    return join_digits(*parse_idx(pictures), *parse_idx(names)).status();
  };
  EXPECT_TRUE(join(images(2, 28, 28), labels("\1\2")).is_ok());
  EXPECT_EQ(join(images(2, 28, 28), labels("\1\2\3")).code(), Code::kDataLoss);
  EXPECT_EQ(join(images(2, 28, 27), labels("\1\2")).code(), Code::kDataLoss);
  EXPECT_EQ(join(images(2, 28, 28), labels("\1\12")).code(), Code::kDataLoss);  // the digit 10
  EXPECT_EQ(join(labels("\1\2"), images(2, 28, 28)).code(), Code::kDataLoss);
}

TEST(DigitFiles, AreReadFromTheirFolder) {
  const auto folder = std::filesystem::temp_directory_path() / ("mnist_test_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const auto write = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(folder / name, std::ios::binary) << bytes;
  };
  write("train-images-idx3-ubyte", images(3, 28, 28));
  write("train-labels-idx1-ubyte", labels("\7\10\11"));
  write("t10k-images-idx3-ubyte", images(1, 28, 28));
  EXPECT_EQ(load_mnist(folder).status().code(), Code::kNotFound);
  write("t10k-labels-idx1-ubyte", labels("\4"));
  const auto mnist = load_mnist(folder);
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(mnist.is_ok()) << mnist.status().to_string();
  ASSERT_EQ(mnist->train.size(), 3U);
  EXPECT_EQ(mnist->train.labels[2], 9);
  EXPECT_EQ(mnist->train.image(1)[0], 784 % 251);
  EXPECT_EQ(mnist->test.labels[0], 4);
}

}  // namespace
}  // namespace freshet::bench
