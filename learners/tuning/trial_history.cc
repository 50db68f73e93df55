#include "learners/tuning/trial_history.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "learners/tuning/gaussian_process.h"
#include "learners/tuning/searchers.h"

namespace freshet::tuning {

bool TrialHistory::tried(const Configuration& configuration) const {
  return std::any_of(observed_.begin(), observed_.end(),
                     [&](const Observed& other) { return other.configuration == configuration; }) ||
         std::any_of(pending_.begin(), pending_.end(),
                     [&](const auto& other) { return other.second == configuration; });
}

void TrialHistory::save(ByteWriter& out) const {
  out.put<std::uint64_t>(observed_.size());
  for (const auto& one : observed_) {
    out.put(one.trial);
    put_configuration(out, one.configuration);
    out.put(one.resource);
    out.put(one.objective);
  }
  out.put<std::uint64_t>(pending_.size());
  for (const auto& [trial, configuration] : pending_) {
    out.put(trial);
    put_configuration(out, configuration);
  }
}

Status TrialHistory::load(ByteReader& in, const ParameterSpace& space) {
  observed_.clear();
  pending_.clear();
  const auto observed = in.get<std::uint64_t>();
  if (observed > in.remaining() / 32) return data_loss("a stored history is cut short");
  for (std::uint64_t i = 0; i < observed; ++i) {
    Observed one;
    one.trial = in.get<std::uint64_t>();
    TRY(get_configuration(in, space, one.configuration));
    one.resource = in.get<std::uint64_t>();
    one.objective = in.get<double>();
    observed_.push_back(std::move(one));
  }
  const auto pending = in.get<std::uint64_t>();
  if (pending > in.remaining() / 16) return data_loss("a stored history is cut short");
  for (std::uint64_t i = 0; i < pending; ++i) {
    const auto trial = in.get<std::uint64_t>();
    TRY(get_configuration(in, space, pending_[trial]));
  }
  return in.ok() ? Status::ok() : data_loss("a stored history is cut short");
}

std::vector<double> normal_scores(const std::vector<double>& objectives) {
  const auto value = [&](std::size_t i) { return std::isnan(objectives[i]) ? -INFINITY : objectives[i]; };
  std::vector<std::size_t> order(objectives.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return value(a) < value(b); });
  std::vector<double> scores(objectives.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    while (end < order.size() && value(order[end]) == value(order[begin])) ++end;
    const double rank = (static_cast<double>(begin) + static_cast<double>(end)) / 2.0;
    const double score = normal_quantile(rank / static_cast<double>(order.size()));
    for (std::size_t i = begin; i < end; ++i) scores[order[i]] = score;
    begin = end;
  }
  return scores;
}

}  // namespace freshet::tuning
