#include "learners/drift/drift_detector.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace freshet {
namespace {

constexpr std::uint32_t kFormat = 1;

}  // namespace

Result<DriftState> DriftDetector::update(double value) {
  if (!std::isfinite(value)) {
    return invalid_argument(fmt::format("{} watches finite numbers and was given {}", name(), value));
  }
  return observe(value);
}

void DriftDetector::save(ByteWriter& out) const {
  out.put(kFormat);
  out.put_text(name());
  out.put_span(settings_.values());
  save_state(out);
}

Status DriftDetector::load(ByteReader& in) {
  reset();
  const auto format = in.get<std::uint32_t>();
  const std::string stored_name = in.get_text();
  const auto stored = in.get_vector<double>();
  if (!in.ok()) return data_loss(fmt::format("the state of drift detector {} is cut short", name()));
  if (format != kFormat || stored_name != name()) {
    return data_loss(fmt::format("the state of a drift detector '{}' (format {}) where {} (format {}) is expected",
                                 stored_name, format, name(), kFormat));
  }
  if (!std::ranges::equal(stored, settings_.values())) {
    return data_loss(fmt::format("the state of drift detector {} was stored under other settings", name()));
  }
  const bool sound = load_state(in);
  if (sound && in.ok()) return Status::ok();
  reset();
  return data_loss(fmt::format("the state of drift detector {} is damaged", name()));
}

}  // namespace freshet
