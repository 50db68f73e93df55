#include "serving/tensor_values.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "core/hash.h"
#include "core/iso_time.h"

namespace freshet {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kNameShown = 80;
constexpr double kFloatMax = static_cast<double>(std::numeric_limits<float>::max());

// Reads the items of one tensor. Methods answer false once something is wrong; `status` then says what.
class TensorReader {
 public:
  explicit TensorReader(const Tensor& tensor) : tensor_(tensor) {}

  Status status(bool good) && { return good ? Status::ok() : invalid_argument(std::move(error_)); }

  template <typename... Parts>
  bool refuse(fmt::format_string<Parts...> text, Parts&&... parts) {
    error_ = fmt::format(text, std::forward<Parts>(parts)...);
    return false;
  }

  // Calls take(row, column, item) for each item, flat or nested as the shape says; stops at the first false.
  template <typename Take>
  bool for_each_item(Take&& take) {
    if (nested()) return descend(tensor_.data, 0, 0, take);
    // Counted here: simdjson's size() stops counting at 2^24.
    std::uint64_t seen = 0;
    const std::uint64_t due = tensor_.rows * tensor_.width;
    std::size_t row = 0;
    std::size_t column = 0;
    for (const dom::element item : tensor_.data) {
      if (++seen > due) break;
      if (!take(row, column, item)) return false;
      if (++column == tensor_.width) {
        column = 0;
        ++row;
      }
    }
    if (seen == due) return true;
    return refuse("input '{}' has {} items of data where its shape makes {}", tensor_.name, tensor_.data.size(), due);
  }

  // Whether there is an array for each row; [[1], [2]] is, [1, 2] is not.
  bool nested() const { return tensor_.rank > 1 && tensor_.data.size() > 0 && (*tensor_.data.begin()).is_array(); }

  bool refuse_item(std::size_t row, const dom::element& item) {
    return refuse("input '{}', row {}: {} is no {}", tensor_.name, row, show_json(item), tensor_.datatype->name);
  }

  // An integer within the datatype's range, as itself or, above INT64_MAX, in `large`.
  bool read_integer(std::size_t row, const dom::element& item, std::int64_t& value, std::uint64_t& large) {
    large = 0;
    if (item.get(value) == simdjson::SUCCESS) {
      if (value >= tensor_.datatype->min && (value < 0 || static_cast<std::uint64_t>(value) <= tensor_.datatype->max))
        return true;
    } else if (item.is_uint64() && item.get(large) == simdjson::SUCCESS && large <= tensor_.datatype->max) {
      return true;
    }
    return refuse_item(row, item);
  }

  bool read_double(std::size_t row, const dom::element& item, double& value) {
    if (tensor_.datatype->kind != DatatypeKind::kFloat) {
      std::int64_t integer = 0;
      std::uint64_t large = 0;
      if (!read_integer(row, item, integer, large)) return false;
      value = large != 0 ? static_cast<double>(large) : static_cast<double>(integer);
      return true;
    }
    if (!item.is_number() || item.get(value) != simdjson::SUCCESS) return refuse_item(row, item);
    return std::abs(value) <= tensor_.datatype->float_max || refuse_item(row, item);
  }

  bool read_float(std::size_t row, const dom::element& item, float& out) {
    double value = 0;
    if (!read_double(row, item, value)) return false;
    if (std::abs(value) > kFloatMax) {
      return refuse("input '{}', row {}: {} is too large for a 32-bit float", tensor_.name, row, show_json(item));
    }
    out = static_cast<float>(value);
    return true;
  }

  bool read_bool(std::size_t row, const dom::element& item, float& out) {
    bool value = false;
    std::int64_t integer = 0;
    if (item.get(value) == simdjson::SUCCESS) {
      out = value ? 1.0F : 0.0F;
    } else if (item.get(integer) == simdjson::SUCCESS && (integer == 0 || integer == 1)) {
      out = static_cast<float>(integer);
    } else {
      return refuse_item(row, item);
    }
    return true;
  }

  bool read_category(std::size_t row, const dom::element& item, std::uint64_t seed, std::uint64_t& out) {
    switch (tensor_.datatype->kind) {
      case DatatypeKind::kBytes: {
        std::string_view text;
        if (item.get(text) != simdjson::SUCCESS) return refuse_item(row, item);
        out = hash_category(seed, text);
        return true;
      }
      case DatatypeKind::kBool: {
        float value = 0;
        if (!read_bool(row, item, value)) return false;
        out = hash_category(seed, value != 0 ? std::string_view("true") : std::string_view("false"));
        return true;
      }
      case DatatypeKind::kFloat: {
        double value = 0;
        if (!read_double(row, item, value)) return false;
        out = hash_category(seed, value);
        return true;
      }
      case DatatypeKind::kSigned:
      case DatatypeKind::kUnsigned:
        break;
    }
    std::int64_t integer = 0;
    std::uint64_t large = 0;
    if (!read_integer(row, item, integer, large)) return false;
    if (large == 0) {
      out = hash_category(seed, integer);
      return true;
    }
    out = hash_large_category(seed, large);
    return true;
  }

  bool read_time(std::size_t row, const dom::element& item, std::int64_t& out) {
    if (tensor_.datatype->kind == DatatypeKind::kBytes) {
      std::string_view text;
      if (item.get(text) != simdjson::SUCCESS) return refuse_item(row, item);
      const auto time = parse_iso_time(text);
      if (!time) return refuse("input '{}', row {}: {} is no ISO 8601 time", tensor_.name, row, show_json(item));
      out = *time;
      return true;
    }
    double ms = 0;  // exact below 2^53, far beyond the year 9999
    if (!read_double(row, item, ms)) return false;
    ms = std::floor(ms);
    if (!(ms >= static_cast<double>(kTimeMsMin) && ms <= static_cast<double>(kTimeMsMax))) {
      return refuse("input '{}', row {}: {} is beyond the year 9999; times are in milliseconds", tensor_.name, row,
                    show_json(item));
    }
    out = static_cast<std::int64_t>(ms);
    return true;
  }

 private:
  // The part of the data at `level` of the shape, whose first item is number `first`. Levels are at most kRankMax.
  template <typename Take>
  bool descend(const dom::array& part, std::size_t level, std::uint64_t first, Take& take) {
    const std::uint64_t size = tensor_.sizes[level];
    const auto wrong = [&] {
      if (level == 0)
        return refuse("input '{}' has {} rows of data where its shape makes {}", tensor_.name, part.size(), size);
      return refuse("input '{}': row {} of the data must be an array of {}", tensor_.name, first / tensor_.width, size);
    };
    const bool innermost = level + 1 == tensor_.rank;
    std::uint64_t below = 1;  // items in each of the parts
    for (std::size_t next = level + 1; next < tensor_.rank; ++next) below *= tensor_.sizes[next];
    const std::uint64_t row = first / tensor_.width;
    std::uint64_t seen = 0;
    for (const dom::element item : part) {
      if (seen == size) return wrong();
      if (innermost) {  // all of one row
        if (!take(row, first % tensor_.width + seen, item)) return false;
        ++seen;
        continue;
      }
      const std::uint64_t at = first + seen * below;
      ++seen;
      dom::array inner;
      if (item.get(inner) != simdjson::SUCCESS) {
        return refuse("input '{}': row {} of the data must be an array of {}", tensor_.name, at / tensor_.width,
                      tensor_.sizes[level + 1]);
      }
      if (!descend(inner, level + 1, at, take)) return false;
    }
    return seen == size || wrong();
  }

  const Tensor& tensor_;
  std::string error_;
};

constexpr std::size_t kCountedMax = 0xFFFFFF;  // what simdjson's size() says of this many items or more

}  // namespace

Status check_extent(const Tensor& tensor) {
  if (tensor.binary) return check_bytes_extent(tensor);
  const std::size_t size = tensor.data.size();
  const std::uint64_t items = tensor.rows * tensor.width;
  if (size == items || size == kCountedMax) return Status::ok();
  if (tensor.rank > 1 && size == tensor.rows && (*tensor.data.begin()).is_array()) return Status::ok();
  return invalid_argument(
      fmt::format("input '{}' has {} items of data where its shape makes {}", tensor.name, size, items));
}

std::uint64_t hash_large_category(std::uint64_t seed, std::uint64_t value) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return hash_category(seed, std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
}

Status fill_column(const Tensor& tensor, const Column& column, EventBatch& batch) {
  if (tensor.binary) return fill_column_from_bytes(tensor, column, batch);
  TensorReader reader(tensor);
  bool good = false;
  if (column.kind == ColumnKind::kVector) {
    good = reader.for_each_item([&](std::size_t row, std::size_t at, const dom::element& item) {
      if (item.is_null())
        return reader.refuse("input '{}', row {}: an item of a vector cannot be null", tensor.name, row);
      return reader.read_float(row, item, batch.vectors(row)[column.index + at]);
    });
  } else if (column.kind == ColumnKind::kCategory) {
    std::uint64_t* const target = batch.categories(column.index);
    good = reader.for_each_item([&](std::size_t row, std::size_t, const dom::element& item) {
      return item.is_null() || reader.read_category(row, item, column.seed, target[row]);
    });
  } else {
    float* const target = batch.numbers(column.index);
    good = reader.for_each_item([&](std::size_t row, std::size_t, const dom::element& item) {
      if (item.is_null()) return true;
      return column.boolean ? reader.read_bool(row, item, target[row]) : reader.read_float(row, item, target[row]);
    });
  }
  return std::move(reader).status(good);
}

Status fill_time(const Tensor& tensor, EventBatch& batch) {
  if (tensor.binary) return fill_time_from_bytes(tensor, batch);
  TensorReader reader(tensor);
  const bool good = reader.for_each_item([&](std::size_t row, std::size_t, const dom::element& item) {
    return item.is_null() || reader.read_time(row, item, batch.time_ms[row]);
  });
  return std::move(reader).status(good);
}

std::string_view cut_name(std::string_view text) {
  if (text.size() <= kNameShown) return text;
  std::size_t size = kNameShown;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) --size;  // not within a character
  return text.substr(0, size);
}

std::string show_json(const dom::element& item) {
  switch (item.type()) {
    case dom::element_type::ARRAY:
      return "an array";
    case dom::element_type::OBJECT:
      return "an object";
    case dom::element_type::INT64:
      return fmt::format("the number {}", item.get_int64().value_unsafe());
    case dom::element_type::UINT64:
      return fmt::format("the number {}", item.get_uint64().value_unsafe());
    case dom::element_type::DOUBLE:
      return fmt::format("the number {}", item.get_double().value_unsafe());
    case dom::element_type::STRING:
      return fmt::format("the text \"{}\"", cut_name(item.get_string().value_unsafe()));
    case dom::element_type::BOOL:
      return item.get_bool().value_unsafe() ? "true" : "false";
    case dom::element_type::NULL_VALUE:
      return "null";
  }
  return "unknown";
}

}  // namespace freshet
