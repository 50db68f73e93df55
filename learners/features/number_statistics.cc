#include "learners/features/number_statistics.h"

#include <fmt/format.h>

namespace freshet {

void NumberStatistics::save(ByteWriter& out) const {
  out.put<std::uint64_t>(columns_.size());
  for (const Column& column : columns_) {
    out.put(column.weight);
    out.put(column.mean);
    out.put(column.squares);
    out.put(column.scale);
  }
}

Status NumberStatistics::load(ByteReader& in) {
  const auto count = in.get<std::uint64_t>();
  if (count != columns_.size()) {
    return data_loss(fmt::format("statistics of {} numbers where the feature set has {}", count, columns_.size()));
  }
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    Column& column = columns_[c];
    column.weight = in.get<double>();
    column.mean = in.get<double>();
    column.squares = in.get<double>();
    const auto scale = in.get<float>();
    if (!std::isfinite(column.weight) || !std::isfinite(column.mean) || !std::isfinite(column.squares) ||
        !std::isfinite(scale) || column.weight < 0 || scale < 0) {
      return data_loss(fmt::format("statistics of number {} are not finite", c));
    }
    publish(c, scale);
  }
  return in.ok() ? Status::ok() : data_loss("statistics of numbers are cut short");
}

}  // namespace freshet
