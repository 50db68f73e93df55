#include "storage/replay_sampler.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cmath>

#include "storage/distinct_choice.h"
#include "storage/replay_policy.h"

namespace freshet {
namespace {

class Uniform final : public ReplaySampler {
 public:
  std::string_view name() const override { return "uniform"; }
  void draw(std::uint64_t n, const SlotView& view, Rng& rng, std::vector<std::uint64_t>& slots) override {
    choice_.choose(n, view.table.size(), rng, [&](std::uint64_t slot) { slots.push_back(slot); });
  }

 private:
  DistinctChoice choice_;
};

class ClassBalanced final : public ReplaySampler {
 public:
  std::string_view name() const override { return "class_balanced"; }
  SlotColumns columns() const override { return {.groups = true}; }
  void before(const SlotView& view, std::uint64_t slot) override { slots_.remove(view.table.groups()[slot], slot); }
  void after(const SlotView& view, std::uint64_t slot) override {
    if (slot < view.table.size()) slots_.add(view.table.groups()[slot], slot);
  }
  void rebuild(const SlotView& view) override { slots_.rebuild(view.table.groups()); }

  // How many of each class come out first; then, of each, which.
  void draw(std::uint64_t n, const SlotView& view, Rng& rng, std::vector<std::uint64_t>& slots) override {
    std::vector<std::uint16_t> open;
    for (std::size_t group = 0; group < slots_.groups(); ++group) {
      if (slots_.count(group) > 0) open.push_back(static_cast<std::uint16_t>(group));
    }
    const std::vector<std::uint16_t> present = open;
    std::vector<std::uint64_t> wanted(slots_.groups(), 0);
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::uint64_t at = rng.below(open.size());
      const std::uint16_t group = open[at];
      if (++wanted[group] == slots_.count(group)) {
        open[at] = open.back();
        open.pop_back();
      }
    }
    for (const std::uint16_t group : present) {
      if (wanted[group] == 0) continue;
      choice_.choose(wanted[group], slots_.count(group), rng,
                     [&](std::uint64_t k) { slots.push_back(slots_.slot(group, k, view.table.groups())); });
    }
  }

 private:
  GroupSlots slots_;
  DistinctChoice choice_;
};

// A weight, or a sum of weights: mass * 2^(step / 16). Steps keep weights apart that no floating-point number holds
// together; in a sum, the step is the highest there is.
struct Weight {
  double mass = 0;
  std::int64_t step = 0;
};

// 2^(step / 16) for step <= 0, without the C library, whose last bit may depend on the machine.
double power_of_two(std::int64_t step) {
  static constexpr std::array<double, 16> kRoots = {
      1.0,
      0.95760328069857364694,
      0.91700404320467123174,
      0.87812608018664974156,
      0.84089641525371454303,
      0.80524516597462715410,
      0.77110541270397041180,
      0.73841307296974965571,
      0.70710678118654752440,
      0.67712777346844636414,
      0.64841977732550483296,
      0.62092890603674202432,
      0.59460355750136053336,
      0.56939431737834582685,
      0.54525386633262882960,
      0.52213689121370692017,
  };
  const auto down = static_cast<std::uint64_t>(-step);
  const std::uint64_t halvings = down / 16;
  if (halvings > 1000) return 0;
  return kRoots[down % 16] * std::bit_cast<double>((1023 - halvings) << 52);
}

Weight sum_of(std::span<const Weight> weights) {
  Weight sum;
  bool any = false;
  for (const Weight& weight : weights) {
    if (weight.mass == 0) continue;
    if (!any || weight.step > sum.step) sum.step = weight.step;
    any = true;
  }
  for (const Weight& weight : weights) {
    if (weight.mass != 0) sum.mass += weight.mass * power_of_two(weight.step - sum.step);
  }
  return sum;
}

// Successive draws by weight: a drawn slot weighs nothing until the sample is complete.
class Weighted : public ReplaySampler {
  virtual Weight weight(const SlotView& view, std::uint64_t slot) const = 0;

  std::span<const Weight> block_weights(const SlotView& view, std::uint64_t begin,
                                        std::array<Weight, kBlockSlots>& weights) const {
    const std::uint64_t end = std::min(begin + kBlockSlots, view.table.size());
    const std::uint64_t drawn = begin / kBlockSlots < drawn_.size() ? drawn_[begin / kBlockSlots] : 0;
    std::size_t count = 0;
    for (std::uint64_t slot = begin; slot < end; ++slot, ++count) {
      weights[count] = (drawn >> count & 1) != 0 ? Weight{} : weight(view, slot);
    }
    return std::span<const Weight>(weights).first(count);
  }
  auto leaf(const SlotView& view) const {
    return [this, &view](std::uint64_t begin) {
      std::array<Weight, kBlockSlots> weights;
      return sum_of(block_weights(view, begin, weights));
    };
  }

 public:
  void after(const SlotView& view, std::uint64_t slot) override { update(view, slot); }
  void rebuild(const SlotView& view) override { tree_.rebuild(view.table.size(), leaf(view), sum_of); }

  void draw(std::uint64_t n, const SlotView& view, Rng& rng, std::vector<std::uint64_t>& slots) override {
    const std::size_t begin = slots.size();
    const std::size_t root = tree_.root_level(view.table.size());
    drawn_.resize((view.table.size() + kBlockSlots - 1) / kBlockSlots, 0);
    for (std::uint64_t i = 0; i < n; ++i) {
      std::uint64_t block = 0;
      for (std::size_t level = root; level > 0; --level) {
        block = block * kBlockSlots + pick(tree_.children(level, block), tree_.node(level, block), rng);
      }
      std::array<Weight, kBlockSlots> weights;
      const std::span<const Weight> in_block = block_weights(view, block * kBlockSlots, weights);
      const std::uint64_t slot = block * kBlockSlots + pick(in_block, tree_.node(0, block), rng);
      slots.push_back(slot);
      drawn_[slot / kBlockSlots] |= std::uint64_t{1} << slot % kBlockSlots;
      update(view, slot);
    }
    for (std::size_t i = begin; i < slots.size(); ++i) drawn_[slots[i] / kBlockSlots] = 0;
    for (std::size_t i = begin; i < slots.size(); ++i) update(view, slots[i]);
  }

 private:
  void update(const SlotView& view, std::uint64_t slot) { tree_.update(slot, leaf(view), sum_of); }

  // One of `weights`, whose sum is `sum`, by its share.
  static std::uint64_t pick(std::span<const Weight> weights, const Weight& sum, Rng& rng) {
    double rest = rng.uniform() * sum.mass;
    std::uint64_t last = 0;
    for (std::uint64_t i = 0; i < weights.size(); ++i) {
      if (weights[i].mass == 0) continue;
      const double share = weights[i].mass * power_of_two(weights[i].step - sum.step);
      if (share == 0) continue;
      last = i;
      if (rest < share) break;
      rest -= share;
    }
    return last;
  }

  BlockTree<Weight> tree_;
  std::vector<std::uint64_t> drawn_;  // a bit for each slot, set only while a sample is drawn
};

class Priority final : public Weighted {
 public:
  explicit Priority(double alpha) {
    for (std::uint32_t i = 0; i < weights_.size(); ++i) {
      const float loss = loss_weight(std::bit_cast<float>(i << kShift));
      // Rounded, so that the last bit of the C library's pow() has no say.
      weights_[i] = std::round(std::pow(static_cast<double>(loss), alpha) * 0x1p24) * 0x1p-24;
    }
  }
  std::string_view name() const override { return "priority"; }
  bool follows_losses() const override { return true; }

 private:
  Weight weight(const SlotView& view, std::uint64_t slot) const override {
    const float loss = loss_weight(view.metadata.loss(slot));
    return {weights_[std::bit_cast<std::uint32_t>(loss) >> kShift], 0};
  }

  static constexpr int kShift = 20;  // of a positive float: 8 bits of exponent and the first 3 of the fraction stay
  std::array<double, 2048> weights_{};
};

class Recency final : public Weighted {
 public:
  explicit Recency(std::uint64_t half_life) : steps_per_event_(16.0 / static_cast<double>(half_life)) {}
  std::string_view name() const override { return "recency"; }

 private:
  Weight weight(const SlotView& view, std::uint64_t slot) const override {
    return {1.0, static_cast<std::int64_t>(static_cast<double>(view.table.seq(slot)) * steps_per_event_)};
  }

  double steps_per_event_;
};

}  // namespace

Result<std::unique_ptr<ReplaySampler>> make_replay_sampler(const SamplerOptions& options) {
  std::unique_ptr<ReplaySampler> sampler;
  if (options.kind == "uniform") sampler = std::make_unique<Uniform>();
  if (options.kind == "class_balanced") sampler = std::make_unique<ClassBalanced>();
  if (options.kind == "priority") {
    if (!(options.priority_alpha >= 0 && options.priority_alpha <= 4)) {
      return invalid_argument(fmt::format("the priority's alpha is {}; it must be in [0, 4]", options.priority_alpha));
    }
    sampler = std::make_unique<Priority>(options.priority_alpha);
  }
  if (options.kind == "recency") {
    if (options.recency_half_life == 0) return invalid_argument("the half-life of recency must be 1 event or more");
    sampler = std::make_unique<Recency>(options.recency_half_life);
  }
  if (sampler == nullptr) {
    return invalid_argument(fmt::format(
        "unknown replay sampling \"{}\"; known are uniform, class_balanced, priority, recency", options.kind));
  }
  return sampler;
}

}  // namespace freshet
