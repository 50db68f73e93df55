#include "learners/tuning/rungs.h"

#include <algorithm>
#include <cmath>

namespace freshet::tuning {

std::vector<std::uint64_t> rung_levels(std::uint64_t grace, std::uint32_t eta, std::uint64_t max_resource) {
  std::vector<std::uint64_t> levels;
  std::uint64_t level = grace;
  while (level < max_resource) {
    levels.push_back(level);
    if (level > max_resource / eta) break;
    level *= eta;
  }
  levels.push_back(max_resource);
  return levels;
}

std::optional<std::size_t> Rungs::rung_at(std::uint64_t resource) const {
  const auto found = std::lower_bound(levels_.begin(), levels_.end(), resource);
  if (found == levels_.end() || *found != resource) return std::nullopt;
  return static_cast<std::size_t>(found - levels_.begin());
}

void Rungs::arrive(std::size_t rung, std::uint64_t trial, double objective) {
  auto& members = members_[rung];
  const auto place =
      std::upper_bound(members.begin(), members.end(), objective, [](double value, const Member& member) {
        if (std::isnan(value)) return false;
        return std::isnan(member.objective) || value > member.objective;
      });
  members.insert(place, {trial, objective, false});
}

std::optional<std::uint64_t> Rungs::promote(std::size_t rung) {
  auto& members = members_[rung];
  for (std::size_t i = 0; i < members.size() / eta_; ++i) {
    if (std::isnan(members[i].objective)) break;
    if (members[i].promoted) continue;
    members[i].promoted = true;
    return members[i].trial;
  }
  return std::nullopt;
}

void Rungs::save(ByteWriter& out) const {
  out.put<std::uint64_t>(members_.size());
  for (std::size_t rung = 0; rung < members_.size(); ++rung) {
    out.put(levels_[rung]);
    out.put<std::uint64_t>(members_[rung].size());
    for (const auto& member : members_[rung]) {
      out.put(member.trial);
      out.put(member.objective);
      out.put<std::uint8_t>(member.promoted ? 1 : 0);
    }
  }
}

Status Rungs::load(ByteReader& in) {
  if (in.get<std::uint64_t>() != members_.size()) return failed_precondition("the stored rungs are others");
  for (std::size_t rung = 0; rung < members_.size(); ++rung) {
    if (in.get<std::uint64_t>() != levels_[rung]) return failed_precondition("the stored rungs are others");
    const auto count = in.get<std::uint64_t>();
    if (count > in.remaining() / 17) return data_loss("the stored rungs are cut short");
    members_[rung].clear();
    for (std::uint64_t i = 0; i < count; ++i) {
      Member member;
      member.trial = in.get<std::uint64_t>();
      member.objective = in.get<double>();
      member.promoted = in.get<std::uint8_t>() != 0;
      members_[rung].push_back(member);
    }
  }
  return in.ok() ? Status::ok() : data_loss("the stored rungs are cut short");
}

}  // namespace freshet::tuning
