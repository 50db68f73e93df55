// The binary form of a tensor: little-endian items in row-major order without padding; BOOL is one byte, 0 or 1; an
// item of BYTES is its length in four bytes, then its bytes.
#include <fmt/format.h>

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "core/hash.h"
#include "core/iso_time.h"
#include "core/json_writer.h"
#include "serving/tensor_values.h"

namespace freshet {
namespace {

static_assert(std::endian::native == std::endian::little, "binary tensors are little-endian");

constexpr double kFloatMax = static_cast<double>(std::numeric_limits<float>::max());
constexpr std::size_t kLengthBytes = sizeof(std::uint32_t);

struct Half {
  std::uint16_t bits;
};

template <typename Item>
Item load(const char* at) {
  Item item;
  std::memcpy(&item, at, sizeof item);
  return item;
}

// IEEE 754 binary16; exact.
float half_value(std::uint16_t bits) {
  const float sign = (bits & 0x8000U) != 0 ? -1.0F : 1.0F;
  const int exponent = (bits >> 10U) & 0x1F;
  const auto fraction = static_cast<float>(bits & 0x3FFU);
  if (exponent == 0x1F) {
    return fraction == 0 ? sign * std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024.0F + fraction, exponent - 25);
}

// What a take() is shown: std::int64_t, std::uint64_t, float or double.
std::int64_t widen(std::int8_t item) { return item; }
std::int64_t widen(std::int16_t item) { return item; }
std::int64_t widen(std::int32_t item) { return item; }
std::int64_t widen(std::int64_t item) { return item; }
std::uint64_t widen(std::uint8_t item) { return item; }
std::uint64_t widen(std::uint16_t item) { return item; }
std::uint64_t widen(std::uint32_t item) { return item; }
std::uint64_t widen(std::uint64_t item) { return item; }
float widen(Half item) { return half_value(item.bits); }
float widen(float item) { return item; }
double widen(double item) { return item; }

// Reads the items of one tensor. Methods answer false once something is wrong; `status` then says what.
class BytesReader {
 public:
  explicit BytesReader(const Tensor& tensor) : tensor_(tensor) {}

  Status status(bool good) && { return good ? Status::ok() : invalid_argument(std::move(error_)); }

  template <typename... Parts>
  bool refuse(std::size_t row, fmt::format_string<Parts...> text, Parts&&... parts) {
    error_ = fmt::format("input '{}', row {}: ", tensor_.name, row);
    fmt::format_to(std::back_inserter(error_), text, std::forward<Parts>(parts)...);
    return false;
  }

  // Calls take(row, column, item) for each item of a numeric tensor; stops at the first false.
  template <typename Take>
  bool for_each_number(Take&& take) {
    const std::size_t bytes = tensor_.datatype->bytes;
    switch (tensor_.datatype->kind) {
      case DatatypeKind::kSigned:
        if (bytes == 1) return each<std::int8_t>(take);
        if (bytes == 2) return each<std::int16_t>(take);
        if (bytes == 4) return each<std::int32_t>(take);
        return each<std::int64_t>(take);
      case DatatypeKind::kUnsigned:
        if (bytes == 1) return each<std::uint8_t>(take);
        if (bytes == 2) return each<std::uint16_t>(take);
        if (bytes == 4) return each<std::uint32_t>(take);
        return each<std::uint64_t>(take);
      case DatatypeKind::kFloat:
        if (bytes == 2) return each<Half>(take);
        if (bytes == 4) return each<float>(take);
        return each<double>(take);
      case DatatypeKind::kBool:
      case DatatypeKind::kBytes:
        break;
    }
    return refuse(0, "{} are no numbers", tensor_.datatype->name);
  }

  // Calls take(row, truth) for each item of a BOOL tensor of width 1.
  template <typename Take>
  bool for_each_truth(Take&& take) {
    for (std::size_t row = 0; row < tensor_.rows; ++row) {
      const auto byte = static_cast<unsigned char>(tensor_.bytes[row]);
      if (byte > 1) return refuse(row, "the byte {} is no BOOL; true is 1, false is 0", byte);
      if (!take(row, byte == 1)) return false;
    }
    return true;
  }

  // Calls take(row, text) for each item of a BYTES tensor of width 1.
  template <typename Take>
  bool for_each_text(Take&& take) {
    std::string_view rest = tensor_.bytes;
    for (std::size_t row = 0; row < tensor_.rows; ++row) {
      if (rest.size() < kLengthBytes)
        return refuse(row, "the four bytes of a text's length go beyond the tensor's end, where {} are left",
                      rest.size());
      const auto length = load<std::uint32_t>(rest.data());
      rest.remove_prefix(kLengthBytes);
      if (length > rest.size())
        return refuse(row, "a text of {} bytes goes beyond the tensor's end, where {} are left", length, rest.size());
      if (!take(row, rest.substr(0, length))) return false;
      rest.remove_prefix(length);
    }
    if (rest.empty()) return true;
    return refuse(tensor_.rows - 1, "{} bytes follow the last text", rest.size());
  }

  // A float column takes what a 32-bit float can hold. NaN passes: whether it may stand there is the caller's to say.
  template <typename Number>
  bool to_float(std::size_t row, Number item, float& out) {
    const auto value = static_cast<double>(item);
    if (std::abs(value) > kFloatMax) {
      if (std::isinf(value)) return refuse(row, "an infinite {} is no value", tensor_.datatype->name);
      return refuse(row, "the number {} is too large for a 32-bit float", value);
    }
    out = static_cast<float>(value);
    return true;
  }

  bool to_category(std::size_t /*row*/, std::int64_t item, std::uint64_t seed, std::uint64_t& out) {
    out = hash_category(seed, item);
    return true;
  }
  bool to_category(std::size_t row, std::uint64_t item, std::uint64_t seed, std::uint64_t& out) {
    if (item <= static_cast<std::uint64_t>(INT64_MAX))
      return to_category(row, static_cast<std::int64_t>(item), seed, out);
    out = hash_large_category(seed, item);
    return true;
  }
  bool to_category(std::size_t row, double item, std::uint64_t seed, std::uint64_t& out) {
    if (std::isnan(item)) return true;
    if (std::isinf(item)) return refuse(row, "an infinite {} is no category", tensor_.datatype->name);
    out = hash_category(seed, item);
    return true;
  }
  // Through its shortest decimal text: the float nearest to 1.1 is the category 1.1 of the event stream.
  bool to_category(std::size_t row, float item, std::uint64_t seed, std::uint64_t& out) {
    auto value = static_cast<double>(item);
    if (std::isfinite(item) && item != std::floor(item)) {
      std::array<char, 48> digits;
      const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), item).ptr;
      std::from_chars(digits.data(), end, value);
    }
    return to_category(row, value, seed, out);
  }
  bool to_category(std::size_t row, std::string_view text, std::uint64_t seed, std::uint64_t& out) {
    if (!check_text(row, text)) return false;
    out = hash_category(seed, text);
    return true;
  }

  bool to_time(std::size_t row, std::string_view text, std::int64_t& out) {
    const auto time = parse_iso_time(text);
    if (!time) return refuse(row, "the text \"{}\" is no ISO 8601 time", cut_name(text));
    out = *time;
    return true;
  }
  template <typename Number>
  bool to_time(std::size_t row, Number item, std::int64_t& out) {
    const double ms = std::floor(static_cast<double>(item));
    if (std::isnan(ms)) return true;
    if (!(ms >= static_cast<double>(kTimeMsMin) && ms <= static_cast<double>(kTimeMsMax)))
      return refuse(row, "{} is beyond the year 9999; times are in milliseconds", item);
    out = static_cast<std::int64_t>(ms);
    return true;
  }

 private:
  template <typename Item, typename Take>
  bool each(Take& take) {
    const char* at = tensor_.bytes.data();
    for (std::size_t row = 0; row < tensor_.rows; ++row) {
      for (std::size_t column = 0; column < tensor_.width; ++column) {
        if (!take(row, column, widen(load<Item>(at)))) return false;
        at += sizeof(Item);
      }
    }
    return true;
  }

  // The event stream refuses texts that are not UTF-8, so such a category would be one that was never learnt.
  bool check_text(std::size_t row, std::string_view text) {
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t length = utf8_length(rest);
      if (length == 0) return refuse(row, "byte {} of the text is not UTF-8", text.size() - rest.size());
      rest.remove_prefix(length);
    }
    return true;
  }

  const Tensor& tensor_;
  std::string error_;
};

bool fill_vectors(BytesReader& reader, std::uint32_t index, EventBatch& batch) {
  return reader.for_each_number([&](std::size_t row, std::size_t column, auto item) {
    float& out = batch.vectors(row)[index + column];
    if (!reader.to_float(row, item, out)) return false;
    return !std::isnan(out) || reader.refuse(row, "item {} of a vector cannot be NaN", column);
  });
}

bool fill_categories(BytesReader& reader, const Tensor& tensor, std::uint64_t seed, std::uint64_t* target) {
  if (tensor.datatype->kind == DatatypeKind::kBytes) {
    return reader.for_each_text(
        [&](std::size_t row, std::string_view text) { return reader.to_category(row, text, seed, target[row]); });
  }
  if (tensor.datatype->kind == DatatypeKind::kBool) {
    return reader.for_each_truth([&](std::size_t row, bool truth) {
      const std::string_view text = truth ? "true" : "false";
      return reader.to_category(row, text, seed, target[row]);
    });
  }
  return reader.for_each_number([&](std::size_t row, std::size_t /*column*/, auto item) {
    return reader.to_category(row, item, seed, target[row]);
  });
}

}  // namespace

Status check_bytes_extent(const Tensor& tensor) {
  const std::uint64_t items = tensor.rows * tensor.width;  // rows are bounded by a request's limit, width is 32 bits
  const std::uint64_t item_bytes = tensor.datatype->bytes;
  if (item_bytes == 0) {
    if (tensor.bytes.size() / kLengthBytes >= items) return Status::ok();
    return invalid_argument(fmt::format("input '{}' has {} bytes of data, too few for the lengths of {} texts",
                                        tensor.name, tensor.bytes.size(), items));
  }
  if (tensor.bytes.size() == items * item_bytes) return Status::ok();
  return invalid_argument(fmt::format("input '{}' has {} bytes of data where its shape and {} make {}", tensor.name,
                                      tensor.bytes.size(), tensor.datatype->name, items * item_bytes));
}

Status fill_column_from_bytes(const Tensor& tensor, const Column& column, EventBatch& batch) {
  BytesReader reader(tensor);
  bool good = false;
  if (column.kind == ColumnKind::kVector) {
    good = fill_vectors(reader, column.index, batch);
  } else if (column.kind == ColumnKind::kCategory) {
    good = fill_categories(reader, tensor, column.seed, batch.categories(column.index));
  } else {
    float* const target = batch.numbers(column.index);
    if (column.boolean) {
      good = reader.for_each_truth([&](std::size_t row, bool truth) {
        target[row] = truth ? 1.0F : 0.0F;
        return true;
      });
    } else {  // NaN is what a missing number is
      good = reader.for_each_number(
          [&](std::size_t row, std::size_t /*column*/, auto item) { return reader.to_float(row, item, target[row]); });
    }
  }
  return std::move(reader).status(good);
}

Status fill_time_from_bytes(const Tensor& tensor, EventBatch& batch) {
  BytesReader reader(tensor);
  bool good = false;
  if (tensor.datatype->kind == DatatypeKind::kBytes) {
    good = reader.for_each_text(
        [&](std::size_t row, std::string_view text) { return reader.to_time(row, text, batch.time_ms[row]); });
  } else {
    good = reader.for_each_number([&](std::size_t row, std::size_t /*column*/, auto item) {
      return reader.to_time(row, item, batch.time_ms[row]);
    });
  }
  return std::move(reader).status(good);
}

}  // namespace freshet
