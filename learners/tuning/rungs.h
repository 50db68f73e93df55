// Rungs: how far trials have come and how good they were there, as successive halving counts it. Rung k stands at
// grace * eta^k units, the last one at the most that a trial is trained. Of the trials that arrived at a rung, the best
// |rung| / eta (rounded down) may go on.
//
// Threads: one owner.  Owns: its rungs.
// Failure: load() refuses what does not fit. A trial that failed counts in |rung| and is never among the best.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/bytes.h"
#include "core/status.h"

namespace freshet::tuning {

// grace * eta^k below `max_resource`, and `max_resource`.
std::vector<std::uint64_t> rung_levels(std::uint64_t grace, std::uint32_t eta, std::uint64_t max_resource);

class Rungs {
 public:
  struct Member {
    std::uint64_t trial = 0;
    double objective = 0.0;
    bool promoted = false;
    bool operator==(const Member&) const = default;
  };

  Rungs(std::vector<std::uint64_t> levels, std::uint32_t eta)
      : levels_(std::move(levels)), eta_(eta), members_(levels_.size()) {}

  std::size_t count() const { return levels_.size(); }
  std::uint64_t level(std::size_t rung) const { return levels_[rung]; }
  std::span<const Member> members(std::size_t rung) const { return members_[rung]; }  // best first, failed ones last
  // The rung that stands at so many units.
  std::optional<std::size_t> rung_at(std::uint64_t resource) const;

  // Equal objectives stand in the order in which they arrive.
  void arrive(std::size_t rung, std::uint64_t trial, double objective);
  // The best trial of the rung that may go on and has not; it is marked as gone on.
  std::optional<std::uint64_t> promote(std::size_t rung);

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  std::vector<std::uint64_t> levels_;
  std::uint32_t eta_;
  std::vector<std::vector<Member>> members_;
};

}  // namespace freshet::tuning
