#include "learners/drift/monitor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "learners/drift/detectors.h"

namespace freshet {
namespace {

constexpr std::uint32_t kFormat = 1;
// Alarms of one statistic that wait for their second test.
constexpr std::size_t kWaitingMax = 4;
constexpr std::string_view kFeaturePrefix = "feature:";

enum class Source : std::uint8_t { kLoss, kReference, kError, kLabel, kFeature };

std::string_view better_or_worse(ChangeDirection direction, double moved) {
  if (direction == ChangeDirection::kBoth) return "";
  return moved > 0 ? ", worse" : ", better";
}

}  // namespace

std::string_view finding_name(FindingKind kind) {
  constexpr std::array<std::string_view, 4> kNames = {"warning", "alarm", "confirmed", "dismissed"};
  return kNames[static_cast<std::size_t>(kind)];
}

struct DriftMonitor::Watch {
  std::unique_ptr<DriftDetector> detector;
  DriftState state = DriftState::kNone;
  std::uint64_t warnings = 0;
  std::uint64_t alarms = 0;
  std::uint64_t left_out = 0;
};

struct DriftMonitor::Statistic {
  struct Waiting {
    Confirmation confirmation;
    std::uint32_t watch = 0;  // whose alarm it was
  };

  std::string name;  // "loss", "feature distance"
  Source source = Source::kLoss;
  std::size_t feature = 0;
  ChangeDirection direction = ChangeDirection::kBoth;
  std::vector<Watch> watches;
  BlockHistory history;
  std::vector<Waiting> waiting;  // oldest first; at most kWaitingMax

  const DriftColumn& column(const DriftInputs& inputs) const {
    switch (source) {
      case Source::kLoss:
        return inputs.loss;
      case Source::kReference:
        return inputs.reference;
      case Source::kError:
        return inputs.error;
      case Source::kLabel:
        return inputs.label;
      case Source::kFeature:
        break;
    }
    return inputs.features[feature];
  }
};

DriftMonitor::DriftMonitor(const DriftMonitorOptions& options) : options_(options) {}
DriftMonitor::~DriftMonitor() = default;

Result<std::unique_ptr<DriftMonitor>> DriftMonitor::create(const DriftMonitorOptions& options,
                                                           std::span<const std::string> feature_names) {
  std::unique_ptr<DriftMonitor> monitor(new DriftMonitor(options));
  for (const DriftWatch& watch : options.watches) {
    const DetectorKind* kind = TRY(find_detector(watch.kind));
    const std::string where = fmt::format("{} on {}", watch.kind, watch.on);
    DetectorSettings settings(*kind);
    for (const std::string& set : watch.sets) TRY(settings.assign(set).with_context(where));
    Statistic statistic;
    statistic.name = watch.on;
    if (watch.on == "loss" || watch.on == "error" || watch.on == kReferenceStatistic) {
      statistic.source = watch.on == "loss" ? Source::kLoss : watch.on == "error" ? Source::kError : Source::kReference;
      if (statistic.source == Source::kReference) statistic.name = "loss of the reference model";
      statistic.direction = ChangeDirection::kRise;
    } else if (watch.on == "label") {
      statistic.source = Source::kLabel;
    } else if (watch.on.starts_with(kFeaturePrefix)) {
      const std::string name = watch.on.substr(kFeaturePrefix.size());
      const auto found = std::ranges::find(feature_names, name);
      if (found == feature_names.end()) {
        return invalid_argument(fmt::format("{}: there is no numeric feature '{}'", where, name));
      }
      statistic.name = "feature " + name;
      statistic.source = Source::kFeature;
      statistic.feature = static_cast<std::size_t>(found - feature_names.begin());
    } else {
      return invalid_argument(fmt::format(
          "{}: a detector watches loss, reference, error, label or feature:NAME, not '{}'", where, watch.on));
    }
    if (kind->errors_only && statistic.source != Source::kError && statistic.source != Source::kLabel) {
      return invalid_argument(fmt::format("{}: {} watches {}; set `on: error`", where, watch.kind, kind->input));
    }
    Watch made;
    made.detector = TRY(make_detector(settings).with_context(where));
    auto place = std::ranges::find(monitor->statistics_, statistic.name, &Statistic::name);
    if (place == monitor->statistics_.end()) {
      statistic.waiting.reserve(kWaitingMax);
      monitor->statistics_.push_back(std::move(statistic));
      place = monitor->statistics_.end() - 1;
    }
    place->watches.push_back(std::move(made));
  }
  return monitor;
}

void DriftMonitor::add(std::uint64_t first_position, const DriftInputs& inputs, std::vector<DriftFinding>& findings) {
  for (std::size_t row = 0; row < inputs.events; ++row) {
    for (Statistic& statistic : statistics_) {
      const DriftColumn& column = statistic.column(inputs);
      if (column.values == nullptr) continue;
      const auto value = static_cast<double>(column.values[row * column.stride]);
      if (std::isfinite(value)) {
        take(statistic, first_position + row, value, findings);
      } else {
        for (Watch& watch : statistic.watches) ++watch.left_out;
      }
    }
  }
}

void DriftMonitor::take(Statistic& statistic, std::uint64_t position, double value,
                        std::vector<DriftFinding>& findings) {
  judge(statistic, position, value, findings);
  statistic.history.add(value);
  for (Watch& watch : statistic.watches) {
    const auto said = watch.detector->update(value);
    if (!said.is_ok()) {
      ++watch.left_out;
      continue;
    }
    const DriftState before = std::exchange(watch.state, *said);
    if (watch.state == DriftState::kDrift) {
      ++watch.alarms;
      alarm(statistic, watch, position, findings);
    } else if (watch.state == DriftState::kWarning && before == DriftState::kNone) {
      ++watch.warnings;
      if (in_cooldown(position)) continue;
      const std::string_view detector = watch.detector->name();
      findings.push_back({FindingKind::kWarning, position, position, statistic.name, std::string(detector), 0, 0,
                          fmt::format("{} may be changing, says {}", statistic.name, detector)});
    }
  }
}

void DriftMonitor::alarm(Statistic& statistic, const Watch& watch, std::uint64_t position,
                         std::vector<DriftFinding>& findings) {
  // Without one there is nothing to hold the alarm against: too few events since the last change, or none that moved in
  // the direction that counts.
  const auto baseline = statistic.history.before_change(statistic.direction);
  const bool cooling = in_cooldown(position);
  if (!baseline || (cooling && !options_.confirm)) return;
  const bool open = any_waiting();
  const auto place = static_cast<std::uint32_t>(&watch - statistic.watches.data());
  const Confirmation test(*baseline, statistic.direction, position, cooldown_end_);
  DriftFinding finding{FindingKind::kAlarm,
                       position,
                       test.change(),
                       statistic.name,
                       std::string(watch.detector->name()),
                       test.before().mean,
                       baseline->after,
                       {}};
  finding.cause = fmt::format("{}: mean {:.4g} → {:.4g} since about event {} ({})", statistic.name, finding.before,
                              finding.after, finding.since, finding.detector);
  if (!options_.confirm) {
    ++counts_.changes;
    ++counts_.confirmed;
    finding.kind = FindingKind::kConfirmed;
    findings.push_back(std::move(finding));
    confirmed(position, test.change());
    return;
  }
  // The first alarm has seen most of what was before, and the newest is nearest to what is now: these stay.
  if (statistic.waiting.size() == kWaitingMax) statistic.waiting.pop_back();
  statistic.waiting.push_back({test, place});
  if (open || cooling) return;  // it belongs to the change that is open
  said_ = true;
  ++counts_.changes;
  findings.push_back(std::move(finding));
}

bool DriftMonitor::any_waiting() const {
  return std::ranges::any_of(statistics_, [](const Statistic& any) { return !any.waiting.empty(); });
}

void DriftMonitor::judge(Statistic& statistic, std::uint64_t position, double value,
                         std::vector<DriftFinding>& findings) {
  for (std::size_t i = 0; i < statistic.waiting.size();) {
    Statistic::Waiting& waiting = statistic.waiting[i];
    Confirmation& test = waiting.confirmation;
    const Verdict verdict = test.add(position, value, options_.confirmation);
    if (verdict == Verdict::kWaiting) {
      ++i;
      continue;
    }
    const double moved = test.after().mean - test.before().mean;
    DriftFinding finding{verdict == Verdict::kConfirmed ? FindingKind::kConfirmed : FindingKind::kDismissed,
                         position,
                         test.change(),
                         statistic.name,
                         std::string(statistic.watches[waiting.watch].detector->name()),
                         test.before().mean,
                         test.after().mean,
                         {}};
    finding.cause =
        fmt::format("{}: mean {:.4g} → {:.4g}{}, {:.1f} standard errors apart ({} at event {})", statistic.name,
                    finding.before, finding.after, better_or_worse(statistic.direction, moved),
                    std::fabs(test.deviations()), finding.detector, test.alarm());
    if (verdict == Verdict::kConfirmed) {
      if (!said_) ++counts_.changes;
      ++counts_.confirmed;
      findings.push_back(std::move(finding));
      confirmed(position, test.change());
      return;
    }
    statistic.waiting.erase(statistic.waiting.begin() + static_cast<std::ptrdiff_t>(i));
    if (any_waiting() || !said_) continue;  // a change is dismissed with the last of the alarms that belong to it
    said_ = false;
    ++counts_.dismissed;
    findings.push_back(std::move(finding));
  }
}

void DriftMonitor::confirmed(std::uint64_t position, std::uint64_t change) {
  cooldown_end_ = position + 1 + options_.cooldown_events;
  said_ = false;
  for (Statistic& statistic : statistics_) {
    statistic.waiting.clear();
    statistic.history.keep_newest(position + 1 - std::min(change, position + 1));
  }
}

void DriftMonitor::renew_reference() {
  for (Statistic& statistic : statistics_) {
    if (statistic.source != Source::kReference) continue;
    statistic.history = BlockHistory();
    statistic.waiting.clear();
    for (Watch& watch : statistic.watches) {
      watch.detector->reset();
      watch.state = DriftState::kNone;
    }
  }
  if (said_ && !any_waiting()) {
    said_ = false;
    ++counts_.dismissed;
  }
}

bool DriftMonitor::in_cooldown(std::uint64_t position) const { return position < cooldown_end_; }

std::vector<DriftWatchStatus> DriftMonitor::watches() const {
  std::vector<DriftWatchStatus> all;
  for (const Statistic& statistic : statistics_) {
    for (const Watch& watch : statistic.watches) {
      all.push_back({watch.detector->name(), statistic.name, watch.detector->statistic(), watch.state, watch.warnings,
                     watch.alarms, watch.left_out});
    }
  }
  return all;
}

void DriftMonitor::save(ByteWriter& out) const {
  out.put(kFormat);
  out.put(cooldown_end_);
  out.put(said_);
  out.put(counts_.changes);
  out.put(counts_.confirmed);
  out.put(counts_.dismissed);
  out.put<std::uint64_t>(statistics_.size());
  for (const Statistic& statistic : statistics_) {
    out.put_text(statistic.name);
    statistic.history.save(out);
    out.put<std::uint64_t>(statistic.waiting.size());
    for (const Statistic::Waiting& waiting : statistic.waiting) {
      waiting.confirmation.save(out);
      out.put(waiting.watch);
    }
    out.put<std::uint64_t>(statistic.watches.size());
    for (const Watch& watch : statistic.watches) {
      watch.detector->save(out);
      out.put(watch.state);
      out.put(watch.warnings);
      out.put(watch.alarms);
      out.put(watch.left_out);
    }
  }
}

void DriftMonitor::reset() {
  counts_ = {};
  cooldown_end_ = 0;
  said_ = false;
  for (Statistic& statistic : statistics_) {
    statistic.history = BlockHistory();
    statistic.waiting.clear();
    for (Watch& watch : statistic.watches) {
      watch.detector->reset();
      watch.state = DriftState::kNone;
      watch.warnings = watch.alarms = watch.left_out = 0;
    }
  }
}

bool DriftMonitor::load_parts(ByteReader& in) {
  if (in.get<std::uint32_t>() != kFormat) return false;
  cooldown_end_ = in.get<std::uint64_t>();
  said_ = in.get<bool>();
  counts_.changes = in.get<std::uint64_t>();
  counts_.confirmed = in.get<std::uint64_t>();
  counts_.dismissed = in.get<std::uint64_t>();
  if (in.get<std::uint64_t>() != statistics_.size()) return false;
  for (Statistic& statistic : statistics_) {
    if (in.get_text() != statistic.name || !statistic.history.load(in)) return false;
    const auto waiting = in.get<std::uint64_t>();
    if (waiting > kWaitingMax) return false;
    statistic.waiting.resize(waiting);
    for (Statistic::Waiting& one : statistic.waiting) {
      if (!one.confirmation.load(in)) return false;
      one.watch = in.get<std::uint32_t>();
      if (one.watch >= statistic.watches.size()) return false;
    }
    if (in.get<std::uint64_t>() != statistic.watches.size()) return false;
    for (Watch& watch : statistic.watches) {
      if (!watch.detector->load(in).is_ok()) return false;
      watch.state = in.get<DriftState>();
      watch.warnings = in.get<std::uint64_t>();
      watch.alarms = in.get<std::uint64_t>();
      watch.left_out = in.get<std::uint64_t>();
      if (watch.state > DriftState::kDrift) return false;
    }
  }
  return in.ok();
}

Status DriftMonitor::load(ByteReader& in) {
  reset();
  if (load_parts(in)) return Status::ok();
  reset();
  return data_loss("the state of the drift detectors is damaged, or of other detectors than those configured");
}

}  // namespace freshet
