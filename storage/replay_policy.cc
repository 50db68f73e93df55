#include "storage/replay_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace freshet {
namespace {

class Reservoir final : public ReplayPolicy {
 public:
  explicit Reservoir(std::uint64_t capacity) : capacity_(capacity) {}
  std::string_view name() const override { return "reservoir"; }

  std::optional<std::uint64_t> place(const ReplayItem&, const SlotTable& table, Rng& rng) override {
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
  void removed(std::uint16_t) override {}
  void settle(std::uint64_t held, std::uint64_t others, SlotTable&) override {
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

class SlidingWindow final : public ReplayPolicy {
 public:
  explicit SlidingWindow(std::uint64_t capacity) : capacity_(capacity) {}
  std::string_view name() const override { return "sliding_window"; }

  std::optional<std::uint64_t> place(const ReplayItem&, const SlotTable& table, Rng&) override {
    // Below the capacity the oldest is in slot 0: the ring has not turned, or settle() has turned it back.
    if (table.size() < capacity_) return table.size();
    const std::uint64_t slot = oldest_;
    oldest_ = (oldest_ + 1) % capacity_;
    return slot;
  }
  void removed(std::uint16_t) override {}
  void settle(std::uint64_t held, std::uint64_t, SlotTable& table) override {
    if (held == 0) return;
    table.sort_by_seq();
    oldest_ = 0;
  }
  void save(ByteWriter& writer) const override { writer.put(oldest_); }
  Status load(ByteReader& reader) override {
    oldest_ = reader.get<std::uint64_t>();
    return oldest_ < capacity_ ? Status::ok() : data_loss("the sliding window's oldest slot is out of range");
  }

 private:
  std::uint64_t capacity_;
  std::uint64_t oldest_ = 0;
};

class ClassBalanced final : public ReplayPolicy {
 public:
  explicit ClassBalanced(std::uint64_t capacity) : capacity_(capacity) {}
  std::string_view name() const override { return "class_balanced"; }
  bool needs_groups() const override { return true; }

  std::optional<std::uint64_t> place(const ReplayItem& item, const SlotTable& table, Rng& rng) override {
    if (item.group >= groups_.size()) groups_.resize(std::size_t{item.group} + 1);
    ++groups_[item.group].seen;
    if (table.size() < capacity_) {
      ++groups_[item.group].held;
      return table.size();
    }
    const std::uint16_t largest = pick_largest(rng);
    groups_[largest].full = true;
    if (!groups_[item.group].full) {
      --groups_[largest].held;
      ++groups_[item.group].held;
      return slot_of(largest, table, rng);
    }
    // A group that was once the largest is a reservoir over its own events.
    if (rng.below(groups_[item.group].seen) >= groups_[item.group].held) return std::nullopt;
    return slot_of(item.group, table, rng);
  }
  void removed(std::uint16_t group) override { --groups_[group].held; }
  void settle(std::uint64_t, std::uint64_t, SlotTable&) override {}
  void save(ByteWriter& writer) const override {
    writer.put<std::uint64_t>(groups_.size());
    for (const Group& group : groups_) {
      writer.put(group.seen);
      writer.put(group.held);
      writer.put(group.full);
    }
  }
  Status load(ByteReader& reader) override {
    const auto count = reader.get<std::uint64_t>();
    if (count > kGroupsMax) return data_loss("the class-balanced memory has too many groups");
    groups_.assign(count, Group{});
    for (Group& group : groups_) {
      group.seen = reader.get<std::uint64_t>();
      group.held = reader.get<std::uint64_t>();
      group.full = reader.get<bool>();
    }
    return Status::ok();
  }

 private:
  static constexpr std::uint64_t kGroupsMax = 65536;
  struct Group {
    std::uint64_t seen = 0;
    std::uint64_t held = 0;
    bool full = false;
  };

  std::uint16_t pick_largest(Rng& rng) const {
    std::uint64_t most = 0;
    std::uint64_t ties = 0;
    std::uint16_t picked = 0;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      if (groups_[g].held < most || groups_[g].held == 0) continue;
      ties = groups_[g].held > most ? 1 : ties + 1;
      most = groups_[g].held;
      if (ties == 1 || rng.below(ties) == 0) picked = static_cast<std::uint16_t>(g);
    }
    return picked;
  }

  // A random slot of a group that holds at least one: by trying, so that no list per group has to be kept and stored.
  static std::uint64_t slot_of(std::uint16_t group, const SlotTable& table, Rng& rng) {
    constexpr int kTriesMax = 4096;
    std::uint64_t slot = 0;
    for (int i = 0; i < kTriesMax; ++i) {
      slot = rng.below(table.size());
      if (table.group(slot) == group) return slot;
    }
    for (std::uint64_t i = 0; i < table.size(); ++i) {  // a rare group: the next one after a random place
      const std::uint64_t at = (slot + i) % table.size();
      if (table.group(at) == group) return at;
    }
    abort_with("class-balanced replay: a group without a slot");
  }

  std::uint64_t capacity_;
  std::vector<Group> groups_;
};

}  // namespace

Result<std::unique_ptr<ReplayPolicy>> make_replay_policy(std::string_view name, std::uint64_t capacity) {
  if (capacity == 0) return invalid_argument("the replay memory needs room for at least one event");
  std::unique_ptr<ReplayPolicy> policy;
  if (name == "reservoir") policy = std::make_unique<Reservoir>(capacity);
  if (name == "sliding_window") policy = std::make_unique<SlidingWindow>(capacity);
  if (name == "class_balanced") policy = std::make_unique<ClassBalanced>(capacity);
  if (policy == nullptr) {
    return invalid_argument(
        fmt::format("unknown replay policy \"{}\"; known are reservoir, sliding_window, class_balanced", name));
  }
  return policy;
}

}  // namespace freshet
