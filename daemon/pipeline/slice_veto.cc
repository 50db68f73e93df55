#include "daemon/pipeline/slice_veto.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "learners/evaluation/losses.h"

namespace freshet {
namespace {

// Sums over the events of a group.
struct Group {
  double count = 0, candidate = 0, reference = 0, difference = 0, squares = 0;

  void add(double candidate_loss, double reference_loss) {
    const double gap = candidate_loss - reference_loss;
    count += 1;
    candidate += candidate_loss;
    reference += reference_loss;
    difference += gap;
    squares += gap * gap;
  }
  // That the mean difference is above `margin`, one-sided: the probability of what was seen if it is not.
  double p_value(double margin) const {
    const double mean = difference / count;
    const double variance = std::max(squares - difference * mean, 0.0) / (count - 1);
    if (variance == 0) return mean > margin ? 0.0 : 1.0;
    return 0.5 * std::erfc((mean - margin) / std::sqrt(variance / count) / std::numbers::sqrt2);
  }
};

struct Finding {
  std::uint32_t slice = kNoSlice;
  const Group* group = nullptr;
  double p = 1;
};

std::string describe(const Finding& finding) {
  const std::string what = finding.slice == kNoSlice ? "held-out events of the past"
                                                     : fmt::format("held-out events of slice {}", finding.slice);
  const Group& group = *finding.group;
  return fmt::format("{}: loss {:.4f} against {:.4f} on {:.0f} events", what, group.candidate / group.count,
                     group.reference / group.count, group.count);
}

}  // namespace

Status SliceVeto::gather(const HeldOutSource& source, std::uint64_t from_seq, bool all, std::uint64_t turn) {
  const std::size_t past = source.sample.past_size();
  const std::size_t stride = all ? 1 : std::max<std::size_t>(1, past / std::max<std::uint32_t>(1, options_.rows));
  if (rows_.capacity() < source.sample.size()) {
    rows_ = EncodedBatch(source.layout.dense(), source.layout.categorical(), source.sample.size());
  }
  rows_.clear();
  slices_.clear();
  past_.clear();
  Status outcome;
  std::size_t place = 0;
  source.sample.records([&](std::uint64_t seq, std::string_view record) {
    const std::size_t at = place++;
    const bool wanted = all || (at < past && at % stride == turn % stride);
    if (!wanted || seq < from_seq || !outcome.is_ok()) return;
    const std::size_t row = rows_.size();
    rows_.resize(row + 1);
    rows_.seqs[row] = seq;
    outcome = source.codec.decode_encoded(record, rows_, row);
    const auto slice = source.codec.slice_of(record);
    slices_.push_back(slice.is_ok() ? *slice : kNoSlice);
    past_.push_back(at < past);
  });
  return outcome;
}

Status SliceVeto::losses_of(const Predictor& model, std::vector<float>& losses) {
  TRY(model.predict(rows_, 0, rows_.size(), predictions_).with_context("judging on held-out events"));
  losses.resize(rows_.size());
  per_sample_losses(options_.task, predictions_, rows_.labels, losses, options_.loss);
  return Status::ok();
}

Result<SliceVeto::Look> SliceVeto::look(const Predictor& candidate, const Predictor& reference,
                                        const HeldOutSource& source, std::uint64_t from_seq, bool all,
                                        std::uint64_t turn) {
  TRY(gather(source, from_seq, all, turn));
  Look look;
  if (rows_.size() < kGroupRowsMin) return look;
  TRY(losses_of(candidate, candidate_losses_));
  TRY(losses_of(reference, reference_losses_));
  std::map<std::uint32_t, Group> groups;  // the past under kNoSlice
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    if (past_[i]) groups[kNoSlice].add(candidate_losses_[i], reference_losses_[i]);
    if (all && slices_[i] != kNoSlice) groups[slices_[i]].add(candidate_losses_[i], reference_losses_[i]);
  }
  std::vector<Finding> findings;
  for (const auto& [slice, group] : groups) {
    if (group.count < static_cast<double>(kGroupRowsMin)) continue;
    const double scale = options_.task == Task::kRegression ? group.reference / group.count : 1.0;
    findings.push_back({slice, &group, group.p_value(options_.margin * scale)});
  }
  std::sort(findings.begin(), findings.end(),
            [](const Finding& a, const Finding& b) { return a.p != b.p ? a.p < b.p : a.slice < b.slice; });
  const auto past = groups.find(kNoSlice);
  look.no_worse_in_all = all && past != groups.end() && past->second.difference <= 0;
  for (std::size_t i = 0; i < findings.size(); ++i) {
    if (findings[i].p > options_.alpha / static_cast<double>(findings.size() - i)) break;
    look.worse += (look.worse.empty() ? "" : "; ") + describe(findings[i]);
  }
  return look;
}

}  // namespace freshet
