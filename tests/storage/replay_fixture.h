// What the tests of the replay memory share: a memory with its pages as a checkpoint would keep them, and chi-square.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/replay_memory.h"

namespace freshet {

using Pages = std::map<std::pair<std::uint32_t, std::uint64_t>, std::string>;

inline std::unique_ptr<ReplayMemory> make_memory(const ReplayOptions& options) {
  auto memory = ReplayMemory::create(options);
  EXPECT_TRUE(memory.is_ok()) << memory.status().to_string();
  return std::move(memory).value();
}

inline std::vector<std::uint64_t> held_seqs(const ReplayMemory& memory) {
  std::vector<std::uint64_t> seqs;
  for (std::uint64_t slot = 0; slot < memory.size(); ++slot) seqs.push_back(memory.slots().seq(slot));
  return seqs;
}

inline Status load_memory(ReplayMemory& memory, std::string_view header, const Pages& pages) {
  return memory.load(header, [&](std::uint32_t space, const ReplayMemory::PageReader& reader) -> Status {
    for (auto page = pages.lower_bound({space, 0}); page != pages.end() && page->first.first == space; ++page) {
      TRY(reader(page->first.second, page->second));
    }
    return Status::ok();
  });
}

// A memory that can be stopped and started again. Only pages that the memory calls changed are kept, so that one that
// it forgot shows as a difference.
class StoppableMemory {
 public:
  explicit StoppableMemory(ReplayOptions options) : options_(std::move(options)), memory_(make_memory(options_)) {}
  ReplayMemory& operator*() { return *memory_; }
  ReplayMemory* operator->() { return memory_.get(); }

  void checkpoint() {
    memory_->dirty_pages([&](std::uint32_t space, std::uint64_t page, std::string_view bytes) {
      pages_[{space, page}] = std::string(bytes);
    });
    memory_->clear_dirty();
    header_ = memory_->header();
  }
  void restart() {
    memory_ = make_memory(options_);
    const Status loaded = load_memory(*memory_, header_, pages_);
    EXPECT_TRUE(loaded.is_ok()) << loaded.to_string();
  }
  const std::string& header() const { return header_; }
  const Pages& pages() const { return pages_; }

 private:
  ReplayOptions options_;
  std::unique_ptr<ReplayMemory> memory_;
  Pages pages_;
  std::string header_;
};

// Counts of `draws` draws each, that should come with probability probabilities[i]: the sum of the squared deviations,
// each over its variance, has expectation counts.size(); the bounds lie five standard deviations of chi-square away.
inline void expect_probabilities(const std::vector<std::uint64_t>& counts, const std::vector<double>& probabilities,
                                 double draws, const std::string& what) {
  ASSERT_EQ(counts.size(), probabilities.size());
  double statistic = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double p = probabilities[i];
    ASSERT_GT(p, 0) << what << " " << i;
    ASSERT_LT(p, 1) << what << " " << i;
    statistic += std::pow(static_cast<double>(counts[i]) - draws * p, 2) / (draws * p * (1 - p));
  }
  const auto freedom = static_cast<double>(counts.size());
  const double deviation = std::sqrt(2 * freedom);
  std::printf("%s: chi-square %.1f of %.0f\n", what.c_str(), statistic, freedom);
  EXPECT_GT(statistic, freedom - 5 * deviation) << what;
  EXPECT_LT(statistic, freedom + 5 * deviation) << what;
}

// The probability of each of `weights` to be among `n` successive draws by weight without replacement.
inline std::vector<double> successive_inclusion(const std::vector<double>& weights, int n) {
  std::vector<double> inclusion(weights.size(), 0);
  std::vector<bool> drawn(weights.size(), false);
  double rest = 0;
  for (const double weight : weights) rest += weight;
  const auto draw = [&](const auto& self, int left, double remaining, double probability) -> void {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (drawn[i]) continue;
      const double here = probability * weights[i] / remaining;
      inclusion[i] += here;
      if (left == 1) continue;
      drawn[i] = true;
      self(self, left - 1, remaining - weights[i], here);
      drawn[i] = false;
    }
  };
  draw(draw, n, rest, 1.0);
  return inclusion;
}

}  // namespace freshet
