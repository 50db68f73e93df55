#include "daemon/pipeline/gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "learners/evaluation/losses.h"

namespace freshet {
namespace {

constexpr std::uint32_t kFormat = 1;
constexpr std::size_t kVersionsKept = 64;
constexpr std::uint64_t kNoiseRows = 256;  // from then on the share of noise is known well enough to be beaten
constexpr std::array<std::string_view, kGateReasons> kReasonNames = {"passed",   "worse",  "slice_worse",
                                                                     "unproven", "paused", "pinned"};

// Adds the time that it lives to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds) {}
  ~Stopwatch() { seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

SliceVetoOptions slice_options(const GateOptions& options) {
  SliceVetoOptions slices;
  slices.task = options.task;
  slices.loss = options.loss;
  slices.alpha = options.alpha;
  slices.margin = options.slice_margin;
  slices.rows = options.rows;
  return slices;
}

void save_record(ByteWriter& out, const VersionRecord& record) {
  out.put(record.version);
  out.put(record.last_event);
  out.put(record.judged_at);
  out.put(record.reason);
  out.put(record.rolled_back);
  out.put(record.fresh_loss);
  out.put(record.fresh_difference);
  out.put(record.fresh_rows);
}

VersionRecord load_record(ByteReader& in) {
  VersionRecord record;
  record.version = in.get<std::uint64_t>();
  record.last_event = in.get<std::uint64_t>();
  record.judged_at = in.get<std::uint64_t>();
  record.reason = in.get<GateReason>();
  record.rolled_back = in.get<std::uint8_t>() != 0;
  record.fresh_loss = in.get<double>();
  record.fresh_difference = in.get<double>();
  record.fresh_rows = in.get<std::uint64_t>();
  return record;
}

}  // namespace

std::string_view gate_reason_name(GateReason reason) { return kReasonNames.at(static_cast<std::size_t>(reason)); }

Gate::Gate(const GateOptions& options)
    : options_(options),
      watch_(options.alpha),
      proof_(options.alpha),
      news_(options.alpha),
      noise_(std::max<std::uint32_t>(2, options.classes)),
      slices_(slice_options(options)),
      comparison_(options.task, options.loss) {}

Result<GateVerdict> Gate::judge(const Predictor& candidate, const Predictor& served, std::uint64_t trained_to,
                                const GateRows& rows) {
  const Stopwatch stopwatch(seconds_);
  VersionRecord record;
  record.version = candidate.version();
  record.last_event = trained_to;
  record.judged_at = rows.last_seq;
  GateVerdict verdict;
  if (options_.enabled) verdict = TRY(decide(candidate, served, rows, record));
  if (paused_) verdict = {GateReason::kPaused, "publishing is paused"};
  if (pinned_version_ > 0) verdict = {GateReason::kPinned, fmt::format("version {} is pinned", pinned_version_)};
  record.reason = verdict.reason;
  remember(record);
  return verdict;
}

Result<GateVerdict> Gate::decide(const Predictor& candidate, const Predictor& served, const GateRows& rows,
                                 VersionRecord& record) {
  const std::size_t size = rows.fresh.size();
  const std::size_t begin = size - std::min<std::size_t>(size, options_.rows);
  const std::span<const float> weights = std::span(rows.fresh.weights).subspan(begin, size - begin);
  PairedTest fresh(options_.alpha);
  if (begin < size) {
    TRY(comparison_.compare(candidate, served, rows.fresh, begin).with_context("judging on fresh events"));
    const auto losses = comparison_.challenger_losses();
    fresh.add(losses, comparison_.incumbent_losses(), weights, comparison_.bounds());
    record.fresh_rows = fresh.rows();
    record.fresh_difference = fresh.mean_difference();
    double sum = 0;
    for (const float loss : losses) sum += static_cast<double>(loss);
    record.fresh_loss = sum / static_cast<double>(losses.size());
    if (proving_) proof_.add(losses, comparison_.incumbent_losses(), weights, comparison_.bounds());
  }
  if (fresh.challenger_worse()) {
    proving_ = true;
    proof_.clear();
    return GateVerdict{GateReason::kWorse, fmt::format("worse than what is served on {} fresh events: loss {:+.4f}",
                                                       fresh.rows(), fresh.mean_difference())};
  }
  const Predictor& reference = anchor_ ? *anchor_ : served;
  const bool all = veto_since_ > 0 || rows.round % options_.slices_every_rounds == 0;
  const SliceVeto::Look look = TRY(slices_.look(candidate, reference, rows.held_out, lifted_seq_, all, rows.round));
  renews_anchor_ = look.no_worse_in_all;
  if (!look.worse.empty()) {
    if (veto_since_ == 0 || rows.last_seq > veto_last_ + options_.hold_events) veto_since_ = rows.last_seq;
    veto_last_ = rows.last_seq;
    if (begin < size) note_veto(weights, rows.last_seq);
    if (rows.last_seq >= veto_since_ + options_.hold_events) lifted_seq_ = rows.last_seq + 1;
    if (lifted_seq_ <= rows.last_seq) return GateVerdict{GateReason::kSliceWorse, look.worse};
    renews_anchor_ = true;
  }
  renews_anchor_ = renews_anchor_ || rows.last_seq >= anchor_seq_ + options_.hold_events;
  veto_since_ = 0;
  if (proving_) {
    if (proof_.rows() < options_.proof_rows) {
      return GateVerdict{GateReason::kUnproven, fmt::format("has to prove itself on {} more fresh events",
                                                            options_.proof_rows - proof_.rows())};
    }
    const double difference = proof_.mean_difference();
    proof_.clear();
    if (difference > 0) {
      return GateVerdict{GateReason::kUnproven,
                         fmt::format("no better than what is served on {} fresh events: loss {:+.4f}",
                                     options_.proof_rows, difference)};
    }
    proving_ = false;
  }
  return GateVerdict{};
}

void Gate::note_veto(std::span<const float> weights, std::uint64_t last_seq) {
  // What changed long ago is no reason any more.
  if (change_seq_ == 0 || last_seq > change_seq_ + options_.hold_events) return;
  if (options_.classes > 0) {
    const auto served = comparison_.incumbent_losses();
    flattened_.resize(served.size());
    const bool known = noise_.rows() >= kNoiseRows;
    comparison_.flattened_bounds(noise_.share(), bounds_);
    noise_.flatten(served, flattened_);
    if (!known) return;
    news_.add(comparison_.challenger_losses(), flattened_, weights, bounds_);
    if (!news_.challenger_better()) return;
  }
  lifted_seq_ = last_seq + 1;
  change_seq_ = 0;
}

void Gate::note_change(std::uint64_t seq) {
  if (!options_.enabled) return;
  change_seq_ = seq;
  news_.clear();
  noise_.clear();
}

void Gate::published(const std::shared_ptr<const Predictor>& before,
                     const std::shared_ptr<const Predictor>& candidate) {
  if (!options_.enabled) {
    replaced();
    return;
  }
  if (trusted_ == nullptr) {
    trusted_ = before;
    watch_.clear();
  }
  if (anchor_ == nullptr || renews_anchor_) {
    anchor_ = candidate;
    anchor_seq_ = versions_.empty() ? 0 : versions_.front().judged_at;
  }
}

Result<bool> Gate::watch(const Predictor& served, const GateRows& rows) {
  if (!options_.enabled || rows.last_seq <= watched_seq_) return false;
  const std::uint64_t watched = std::exchange(watched_seq_, rows.last_seq);
  if (trusted_ == nullptr || pinned_version_ > 0) return false;
  const Stopwatch stopwatch(seconds_);
  const EncodedBatch& fresh = rows.fresh;
  const std::size_t size = fresh.size();
  std::size_t begin = size - std::min<std::size_t>(size, options_.rows);
  while (begin < size && fresh.seqs[begin] <= watched) ++begin;
  if (begin == size) return false;
  TRY(comparison_.compare(served, *trusted_, fresh, begin).with_context("watching what is served"));
  watch_.add(comparison_.challenger_losses(), comparison_.incumbent_losses(),
             std::span(fresh.weights).subspan(begin, size - begin), comparison_.bounds());
  if (watch_.challenger_worse()) return true;
  if (watch_.challenger_better() || watch_.rows() >= options_.watch_rows) {
    trusted_ = nullptr;
    watch_.clear();
  }
  return false;
}

void Gate::rolled_back(std::uint64_t from_version) {
  for (VersionRecord& record : versions_) record.rolled_back = record.rolled_back || record.version == from_version;
  ++rollbacks_;
  trusted_ = nullptr;
  watch_.clear();
  proving_ = true;
  proof_.clear();
}

void Gate::replaced() {
  trusted_ = nullptr;
  anchor_ = nullptr;
  watch_.clear();
}

void Gate::controlled(const PublishingRequest& request, bool changes) {
  if (changes) replaced();
  switch (request.action) {
    case PublishingAction::kPause:
      paused_ = true;
      break;
    case PublishingAction::kResume:
      paused_ = false;
      pinned_version_ = 0;
      break;
    case PublishingAction::kPin:
      pinned_version_ = request.version;
      break;
    case PublishingAction::kPromote:
      pinned_version_ = 0;
      proving_ = false;
      veto_since_ = 0;
      break;
    case PublishingAction::kRollBack:
      // Without the gate nobody would ask the next candidate for proof.
      pinned_version_ = options_.enabled ? 0 : request.version;
      proving_ = options_.enabled;
      proof_.clear();
      break;
  }
}

void Gate::remember(const VersionRecord& record) {
  ++verdicts_.at(static_cast<std::size_t>(record.reason));
  versions_.push_front(record);
  if (versions_.size() > kVersionsKept) versions_.pop_back();
}

GateReport Gate::report() const {
  GateReport report;
  report.enabled = options_.enabled;
  report.verdicts = verdicts_;
  report.rollbacks = rollbacks_;
  report.trusted_version = trusted_ ? trusted_->version() : 0;
  report.anchor_version = anchor_ ? anchor_->version() : 0;
  report.evidence_worse = watch_.evidence_worse();
  report.paused = paused_;
  report.pinned_version = pinned_version_;
  report.proving = proving_;
  report.veto_stands = veto_since_ > 0;
  report.noise_share = noise_.rows() > 0 ? noise_.share() : 0;
  report.seconds = seconds_;
  report.versions.assign(versions_.begin(), versions_.end());
  return report;
}

void Gate::save(ByteWriter& out) const {
  out.put(kFormat);
  out.put(anchor_seq_);
  watch_.save(out);
  out.put(watched_seq_);
  out.put(paused_);
  out.put(pinned_version_);
  out.put(proving_);
  proof_.save(out);
  out.put(veto_since_);
  out.put(veto_last_);
  out.put(change_seq_);
  out.put(lifted_seq_);
  news_.save(out);
  noise_.save(out);
  for (const std::uint64_t count : verdicts_) out.put(count);
  out.put(rollbacks_);
  out.put<std::uint64_t>(versions_.size());
  for (const VersionRecord& record : versions_) save_record(out, record);
}

Status Gate::load(ByteReader& in) {
  if (in.get<std::uint32_t>() != kFormat) return data_loss("the state of the gate has another format");
  anchor_seq_ = in.get<std::uint64_t>();
  TRY(watch_.load(in));
  watched_seq_ = in.get<std::uint64_t>();
  paused_ = in.get<std::uint8_t>() != 0;
  pinned_version_ = in.get<std::uint64_t>();
  proving_ = in.get<std::uint8_t>() != 0;
  TRY(proof_.load(in));
  veto_since_ = in.get<std::uint64_t>();
  veto_last_ = in.get<std::uint64_t>();
  change_seq_ = in.get<std::uint64_t>();
  lifted_seq_ = in.get<std::uint64_t>();
  TRY(news_.load(in));
  TRY(noise_.load(in));
  for (std::uint64_t& count : verdicts_) count = in.get<std::uint64_t>();
  rollbacks_ = in.get<std::uint64_t>();
  const auto count = in.get<std::uint64_t>();
  versions_.clear();
  for (std::uint64_t i = 0; i < count && i < kVersionsKept && in.ok(); ++i) versions_.push_back(load_record(in));
  const bool known = std::ranges::all_of(
      versions_, [](const VersionRecord& record) { return static_cast<std::size_t>(record.reason) < kGateReasons; });
  return in.ok() && known && count <= kVersionsKept ? Status::ok() : data_loss("the state of the gate is damaged");
}

}  // namespace freshet
