#include "daemon/status_page/status_marks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <span>
#include <vector>

namespace freshet {
namespace {

// The notices behind the one that `last` finds; all of them when it is not among them any more.
template <typename Notice, typename Last>
std::span<const Notice> newer(const std::vector<Notice>& notices, Last last) {
  for (std::size_t i = notices.size(); i > 0; --i) {
    if (last(notices[i - 1])) return std::span(notices).subspan(i);
  }
  return notices;
}

std::set<std::uint64_t> rolled_back(const GateReport& gate) {
  std::set<std::uint64_t> versions;
  for (const VersionRecord& record : gate.versions) {
    if (record.rolled_back) versions.insert(record.version);
  }
  return versions;
}

MarkKind kind_of(FindingKind kind) {
  switch (kind) {
    case FindingKind::kConfirmed:
      return MarkKind::kConfirmed;
    case FindingKind::kDismissed:
      return MarkKind::kDismissed;
    case FindingKind::kWarning:
    case FindingKind::kAlarm:
      break;
  }
  return MarkKind::kAlarm;
}

}  // namespace

void StatusMarks::note(const PipelineSnapshot& now, std::int64_t time_ms, StatusHistory& history) {
  note_drift(now, time_ms, history);
  note_studies(now, time_ms, history);
  if (seen_) {
    if (seen_->redoing && !now.redoing) {
      history.mark(MarkKind::kStarted, time_ms, now.events, "The log is redone; learning goes on from here.");
    }
    // What a redo does was asked for, or found, before the restart.
    if (!seen_->redoing) note_publishing(now, time_ms, history);
  }
  seen_ = Seen{now.redoing,        now.gate.paused,    now.gate.pinned_version,
               now.gate.rollbacks, now.served_version, rolled_back(now.gate)};
}

void StatusMarks::note_drift(const PipelineSnapshot& now, std::int64_t time_ms, StatusHistory& history) {
  const auto news = newer(now.drift.notices, [&](const DriftNotice& notice) {
    return notice.finding.position == drift_position_ && notice.finding.kind == drift_kind_ &&
           notice.finding.statistic == drift_statistic_;
  });
  for (const DriftNotice& notice : news) {
    history.mark(kind_of(notice.finding.kind), time_ms, notice.finding.position, notice.finding.cause);
  }
  if (news.empty()) return;
  drift_position_ = news.back().finding.position;
  drift_kind_ = news.back().finding.kind;
  drift_statistic_ = news.back().finding.statistic;
}

void StatusMarks::note_studies(const PipelineSnapshot& now, std::int64_t time_ms, StatusHistory& history) {
  const auto news = newer(now.tuning.notices, [&](const StudyNotice& notice) {
    return notice.event == study_event_ && notice.study == study_ && notice.what == study_what_;
  });
  for (const StudyNotice& notice : news) {
    history.mark(MarkKind::kStudy, time_ms, notice.event,
                 fmt::format("{} {}{}{}", notice.study, notice.what, notice.why.empty() ? "" : ": ", notice.why));
  }
  if (news.empty()) return;
  study_event_ = news.back().event;
  study_ = news.back().study;
  study_what_ = news.back().what;
}

void StatusMarks::note_publishing(const PipelineSnapshot& now, std::int64_t time_ms, StatusHistory& history) const {
  const Seen& before = *seen_;
  const GateReport& gate = now.gate;
  const auto asked = [&](std::string text) { history.mark(MarkKind::kAsked, time_ms, now.events, std::move(text)); };
  if (gate.rollbacks > before.rollbacks) {
    std::vector<std::uint64_t> worse;
    std::ranges::set_difference(rolled_back(gate), before.rolled_back, std::back_inserter(worse));
    history.mark(
        MarkKind::kRollback, time_ms, now.events,
        fmt::format("Version{} {} turned out worse on fresh events; version {} is served now.",
                    worse.size() > 1 ? "s" : "",
                    worse.empty() ? std::to_string(before.served_version) : fmt::format("{}", fmt::join(worse, ", ")),
                    now.served_version));
  } else if (now.served_version < before.served_version && gate.pinned_version == before.pinned_version) {
    asked(fmt::format("Version {} is served again in place of version {}.", now.served_version, before.served_version));
  }
  if (gate.pinned_version != before.pinned_version && gate.pinned_version != 0) {
    asked(fmt::format("Version {} is pinned.", gate.pinned_version));
  }
  if (gate.paused && !before.paused) asked(fmt::format("Publishing is paused at version {}.", now.served_version));
  const bool held_before = before.paused || before.pinned_version != 0;
  const bool held = gate.paused || gate.pinned_version != 0;
  if (held_before && !held) asked("Publishing is resumed.");
}

}  // namespace freshet
