#include "serving/model_slot.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace freshet {

std::shared_ptr<const Predictor> ModelSlot::current() const {
  const std::lock_guard lock(flip_);
  return live_;
}

std::shared_ptr<const Predictor> ModelSlot::find(std::uint64_t version) const {
  const std::lock_guard lock(flip_);
  if (live_ && live_->version() == version) return live_;
  for (const auto& model : kept_) {
    if (model->version() == version) return model;
  }
  return nullptr;
}

std::vector<std::uint64_t> ModelSlot::loaded_versions() const {
  const std::lock_guard lock(flip_);
  std::vector<std::uint64_t> versions;
  if (live_) versions.push_back(live_->version());
  for (const auto& model : kept_) versions.push_back(model->version());
  return versions;
}

std::vector<std::shared_ptr<const Predictor>> ModelSlot::kept() const {
  const std::lock_guard lock(flip_);
  return {kept_.begin(), kept_.end()};
}

void ModelSlot::publish(std::shared_ptr<const Predictor> model, bool rolled_back_to) {
  if (!model) abort_with("ModelSlot::publish of no model");
  const std::lock_guard lock(publishing_);
  go_live(std::move(model), rolled_back_to);
  std::erase_if(retired_, [](const auto& retired) { return retired.use_count() == 1; });
}

Status ModelSlot::roll_back(std::uint64_t version) {
  const std::lock_guard lock(publishing_);
  std::shared_ptr<const Predictor> model;
  {
    const std::lock_guard flip(flip_);
    const auto found =
        std::find_if(kept_.begin(), kept_.end(), [&](const auto& kept) { return kept->version() == version; });
    if (found == kept_.end())
      return not_found(fmt::format("model version {} is not kept; cannot roll back to it", version));
    model = std::move(*found);
    kept_.erase(found);
  }
  go_live(std::move(model), true);
  return Status::ok();
}

void ModelSlot::go_live(std::shared_ptr<const Predictor> model, bool rolled_back_to) {
  const Published entry{model->version(), clock_.wall_ms(), rolled_back_to};
  std::shared_ptr<const Predictor> surplus;
  {
    const std::lock_guard lock(flip_);
    std::swap(live_, model);
    std::erase_if(kept_, [&](const auto& kept) { return kept == live_; });
    if (model) kept_.push_front(std::move(model));
    if (kept_.size() > keep_) {
      surplus = std::move(kept_.back());
      kept_.pop_back();
    }
    history_.push_front(entry);
    if (history_.size() > kHistoryMax) history_.pop_back();
  }
  // Out of kept_ nobody can get at it any more: its count only falls, and 1 means that we alone hold it.
  if (surplus) retired_.push_back(std::move(surplus));
}

std::size_t ModelSlot::release_idle() {
  const std::lock_guard lock(publishing_);
  std::erase_if(retired_, [](const auto& retired) { return retired.use_count() == 1; });
  return retired_.size();
}

std::vector<ModelSlot::Published> ModelSlot::history() const {
  const std::lock_guard lock(flip_);
  return {history_.begin(), history_.end()};
}

}  // namespace freshet
