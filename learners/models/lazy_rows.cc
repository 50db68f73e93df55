#include "learners/models/lazy_rows.h"

#include <algorithm>
#include <cmath>

namespace freshet {

void LazyRows::restart() {
  kept_.clear();
  log_product_ = 0.0;
  if (++epoch_ != 0) return;
  std::ranges::fill(epoch_of_, 0);
  epoch_ = 1;
}

// A decay of 0 has no logarithm; any product below the smallest float serves.
void LazyRows::decay(double keep) { log_product_ += keep > 0.0 ? std::log(keep) : -1000.0; }

float LazyRows::catch_up(std::uint32_t row) {
  if (!is_kept(row)) {
    epoch_of_[row] = epoch_;
    log_product_of_[row] = log_product_;
    kept_.push_back(row);
    return kNew;
  }
  const double lag = log_product_ - log_product_of_[row];
  if (lag == 0.0) return 1.0F;
  log_product_of_[row] = log_product_;
  return static_cast<float>(std::exp(lag));
}

void LazyRows::save(ByteWriter& out) const {
  out.put(log_product_);
  out.put_span(std::span<const std::uint32_t>(kept_));
  for (const auto row : kept_) out.put(log_product_of_[row]);
}

Status LazyRows::load(ByteReader& in) {
  restart();
  const auto log_product = in.get<double>();
  for (const auto row : in.get_vector<std::uint32_t>()) {
    if (row >= epoch_of_.size() || is_kept(row)) return data_loss("stored embedding rows are not a set of rows");
    catch_up(row);
  }
  for (const auto row : kept_) log_product_of_[row] = in.get<double>();
  log_product_ = log_product;
  return in.ok() ? Status::ok() : data_loss("stored embedding rows are cut short");
}

}  // namespace freshet
