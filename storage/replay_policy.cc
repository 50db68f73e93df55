#include "storage/replay_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "storage/balanced_reservoir.h"
#include "storage/time_strata.h"

namespace freshet {
namespace {

class Reservoir final : public ReplayPolicy {
 public:
  explicit Reservoir(std::uint64_t capacity) : capacity_(capacity) {}
  std::string_view name() const override { return "reservoir"; }

  std::optional<std::uint64_t> place(ReplayItem&, const SlotTable& table, Rng& rng) override {
    ++population_;
    if (held_gone_ + others_gone_ > 0) {
      if (rng.below(held_gone_ + others_gone_) < held_gone_) {
        --held_gone_;
        return table.size();
      }
      --others_gone_;
      return std::nullopt;
    }
    if (table.size() < capacity_) return table.size();
    const std::uint64_t slot = rng.below(population_);
    if (slot < capacity_) return slot;
    return std::nullopt;
  }
  void settle(std::uint64_t held, std::uint64_t others) override {
    population_ -= std::min(population_, held + others);
    held_gone_ += held;
    others_gone_ += others;
  }
  void save(ByteWriter& writer) const override {
    writer.put(population_);
    writer.put(held_gone_);
    writer.put(others_gone_);
  }
  Status load(ByteReader& reader) override {
    population_ = reader.get<std::uint64_t>();
    held_gone_ = reader.get<std::uint64_t>();
    others_gone_ = reader.get<std::uint64_t>();
    return Status::ok();
  }

 private:
  std::uint64_t capacity_;
  std::uint64_t population_ = 0;   // events offered and still alive
  std::uint64_t held_gone_ = 0;    // departures not made good yet, of events that were held
  std::uint64_t others_gone_ = 0;  // and of events that were not
};

// A policy by which one slot is always the next to go: the first in an order.
template <typename Order>
class FirstLeaves : public ReplayPolicy {
 public:
  explicit FirstLeaves(std::uint64_t capacity) : capacity_(capacity) {}
  void after(const SlotView& view, std::uint64_t slot) override { first_.update(view.table, slot); }
  void rebuild(const SlotView& view) override { first_.rebuild(view.table); }
  void save(ByteWriter&) const override {}
  Status load(ByteReader&) override { return Status::ok(); }

 protected:
  bool has_room(const SlotTable& table) const { return table.size() < capacity_; }
  std::uint64_t first(const SlotTable& table) const { return first_.first(table); }

 private:
  std::uint64_t capacity_;
  ExtremeSlot<Order> first_;
};

struct OldestFirst {
  static bool first(const SlotTable& table, std::uint64_t a, std::uint64_t b) { return table.seq(a) < table.seq(b); }
};

class SlidingWindow final : public FirstLeaves<OldestFirst> {
 public:
  SlidingWindow(std::string_view name, std::uint64_t capacity) : FirstLeaves(capacity), name_(name) {}
  std::string_view name() const override { return name_; }
  std::optional<std::uint64_t> place(ReplayItem&, const SlotTable& table, Rng&) override {
    return has_room(table) ? table.size() : first(table);
  }

 private:
  std::string_view name_;
};

struct LargestKeyFirst {
  static bool first(const SlotTable& table, std::uint64_t a, std::uint64_t b) { return table.key(a) > table.key(b); }
};

class LossPrioritised final : public FirstLeaves<LargestKeyFirst> {
 public:
  using FirstLeaves::FirstLeaves;
  std::string_view name() const override { return "loss_prioritised"; }
  SlotColumns columns() const override { return {.keys = true}; }
  std::optional<std::uint64_t> place(ReplayItem& item, const SlotTable& table, Rng& rng) override {
    const double weight = static_cast<double>(loss_weight(item.loss));
    item.key = static_cast<float>(-std::log(1.0 - rng.uniform()) / weight);
    if (has_room(table)) return table.size();
    const std::uint64_t slot = first(table);
    if (item.key >= table.key(slot)) return std::nullopt;
    return slot;
  }
};

class ClassBalanced final : public ReplayPolicy {
 public:
  explicit ClassBalanced(std::uint64_t capacity) : reservoir_(capacity) {}
  std::string_view name() const override { return "class_balanced"; }
  SlotColumns columns() const override { return {.groups = true}; }
  std::optional<std::uint64_t> place(ReplayItem& item, const SlotTable& table, Rng& rng) override {
    return reservoir_.place(item.group, table.groups(), /*thin=*/false, rng);
  }
  void removing(const SlotTable& table, std::uint64_t slot) override { reservoir_.forget_one(table.groups()[slot]); }
  void before(const SlotView& view, std::uint64_t slot) override {
    reservoir_.slots().remove(view.table.groups()[slot], slot);
  }
  void after(const SlotView& view, std::uint64_t slot) override {
    if (slot < view.table.size()) reservoir_.slots().add(view.table.groups()[slot], slot);
  }
  void rebuild(const SlotView& view) override { reservoir_.slots().rebuild(view.table.groups()); }
  void save(ByteWriter& writer) const override { reservoir_.save(writer); }
  Status load(ByteReader& reader) override { return reservoir_.load(reader); }

 private:
  BalancedReservoir reservoir_;
};

}  // namespace

float loss_weight(float loss) { return std::isfinite(loss) ? std::clamp(loss, kLossWeightMin, kLossWeightMax) : 1.0F; }

Result<std::unique_ptr<ReplayPolicy>> make_replay_policy(std::string_view name, std::uint64_t capacity) {
  if (capacity == 0) return invalid_argument("the replay memory needs room for at least one event");
  std::unique_ptr<ReplayPolicy> policy;
  if (name == "reservoir") policy = std::make_unique<Reservoir>(capacity);
  if (name == "sliding_window") policy = std::make_unique<SlidingWindow>("sliding_window", capacity);
  if (name == "unbounded") policy = std::make_unique<SlidingWindow>("unbounded", capacity);
  if (name == "class_balanced") policy = std::make_unique<ClassBalanced>(capacity);
  if (name == "loss_prioritised") policy = std::make_unique<LossPrioritised>(capacity);
  if (name == "time_stratified") policy = std::make_unique<TimeStratified>(capacity);
  if (policy == nullptr) {
    return invalid_argument(
        fmt::format("unknown replay policy \"{}\"; known are reservoir, sliding_window, class_balanced, "
                    "loss_prioritised, time_stratified, unbounded",
                    name));
  }
  return policy;
}

}  // namespace freshet
