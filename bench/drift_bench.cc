// Drift detection on made-up streams: how late, how often wrong, and F1, of every detector and of the monitor, beside
// one that always fires; and whether the monitor confirms anything in long streams without a change.
//
//   drift_bench [--turns 30] [--events 10000000]
//
// In the first part a stream has 20,000 events, with at most one change at 10,000. The first alarm within 5,000 events
// of a change is right, every other alarm is wrong. Exit code 1: something was confirmed where nothing changed.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/drift/streams.h"
#include "learners/drift/detectors.h"
#include "learners/drift/monitor.h"

namespace freshet::bench {
namespace {

constexpr std::uint64_t kEvents = 20'000;
constexpr std::uint64_t kChange = 10'000;
constexpr std::uint64_t kTolerance = 5'000;

// Says at each event whether it raises the alarm.
using Alarm = std::function<bool(std::uint64_t position, ScoredNumbers numbers)>;

struct Contender {
  std::string name;
  std::function<Alarm()> make;
};

struct Score {
  std::uint64_t changes = 0;
  std::uint64_t found = 0;
  std::uint64_t wrong = 0;
  std::uint64_t events = 0;
  std::vector<double> delays;

  void add(const Score& other) {
    changes += other.changes;
    found += other.found;
    wrong += other.wrong;
    events += other.events;
    delays.insert(delays.end(), other.delays.begin(), other.delays.end());
  }
  double f1() const {
    const double both = 2.0 * static_cast<double>(found);
    const double all = both + static_cast<double>(wrong) + static_cast<double>(changes - found);
    return all > 0 ? both / all : 1;
  }
};

template <typename T>
T checked(Result<T> result) {
  if (!result.is_ok()) abort_with(result.status().to_string());
  return std::move(result).value();
}

Alarm detector_alarm(const DetectorKind& kind, bool on_loss) {
  std::shared_ptr<DriftDetector> detector = checked(make_detector(DetectorSettings(kind)));
  return [detector, on_loss](std::uint64_t, ScoredNumbers numbers) {
    return checked(detector->update(static_cast<double>(on_loss ? numbers.loss : numbers.error))) == DriftState::kDrift;
  };
}

Alarm monitor_alarm(const DriftMonitorOptions& options) {
  std::shared_ptr<DriftMonitor> monitor = checked(DriftMonitor::create(options, {}));
  return [monitor, findings = std::vector<DriftFinding>()](std::uint64_t position, ScoredNumbers numbers) mutable {
    findings.clear();
    DriftInputs inputs;
    inputs.events = 1;
    inputs.loss = {&numbers.loss, 1};
    inputs.error = {&numbers.error, 1};
    monitor->add(position, inputs, findings);
    return std::ranges::any_of(findings, [](const auto& one) { return one.kind == FindingKind::kConfirmed; });
  };
}

std::vector<Contender> contenders() {
  std::vector<Contender> all;
  all.push_back({"always fires", [] { return [](std::uint64_t, ScoredNumbers) { return true; }; }});
  for (const DetectorKind* kind : detector_kinds()) {
    all.push_back({fmt::format("{}, error", kind->name), [kind] { return detector_alarm(*kind, false); }});
    if (kind->errors_only) continue;
    all.push_back({fmt::format("{}, loss", kind->name), [kind] { return detector_alarm(*kind, true); }});
  }
  all.push_back({"monitor, default (adwin, loss)", [] { return monitor_alarm(DriftMonitorOptions()); }});
  DriftMonitorOptions more;
  more.watches = {{"adwin", "loss", {}}, {"hddm_w", "error", {}}};
  all.push_back({"monitor, adwin loss + hddm_w error", [more] { return monitor_alarm(more); }});
  return all;
}

Score run(const Contender& contender, const ShapeOfStream& shape, std::uint64_t seed) {
  DriftStream stream(shape.shape, seed, kChange);
  const Alarm alarm = contender.make();
  Score score;
  score.changes = shape.changes ? 1 : 0;
  score.events = kEvents;
  for (std::uint64_t position = 0; position < kEvents; ++position) {
    if (!alarm(position, stream.next())) continue;
    const bool in_time = shape.changes && position >= kChange && position < kChange + kTolerance;
    if (in_time && score.found == 0) {
      score.found = 1;
      score.delays.push_back(static_cast<double>(position - kChange));
    } else {
      ++score.wrong;
    }
  }
  return score;
}

void print_scores(std::uint64_t turns) {
  fmt::print("{} turns of each stream. By stream: found (median delay) or false alarms per 10,000 events.\n\n", turns);
  fmt::print("| |");
  for (const ShapeOfStream& shape : kShapes) fmt::print(" {} |", shape.name);
  fmt::print(" F1 |\n|---|");
  for (std::size_t i = 0; i <= kShapes.size(); ++i) fmt::print("---|");
  fmt::print("\n");
  for (const Contender& contender : contenders()) {
    fmt::print("| {} |", contender.name);
    Score all;
    for (const ShapeOfStream& shape : kShapes) {
      Score score;
      for (std::uint64_t seed = 1; seed <= turns; ++seed) score.add(run(contender, shape, seed));
      all.add(score);
      std::ranges::sort(score.delays);
      const auto false_rate = static_cast<double>(score.wrong) * 1e4 / static_cast<double>(score.events);
      if (shape.changes && score.found > 0) {
        fmt::print(" {:.0f} % ({:.0f}) |", 100.0 * static_cast<double>(score.found) / static_cast<double>(turns),
                   score.delays[score.delays.size() / 2]);
      } else if (shape.changes) {
        fmt::print(" 0 % |");
      } else {
        fmt::print(" {:.2f} |", false_rate);
      }
    }
    fmt::print(" {:.3f} |\n", all.f1());
    std::fflush(stdout);
  }
}

// Long streams without a change, through the monitor at its defaults.
bool nothing_confirmed(std::uint64_t events) {
  fmt::print("\n{} events of each stream without a change, monitor at its defaults.\n\n", events);
  fmt::print("| stream | adwin's alarms | said | confirmed | ns an event |\n|---|---|---|---|---|\n");
  bool none = true;
  for (const ShapeOfStream& shape : kShapes) {
    if (shape.changes) continue;
    const auto monitor = checked(DriftMonitor::create(DriftMonitorOptions(), {}));
    DriftStream stream(shape.shape, 4711, 0);
    std::vector<DriftFinding> findings;
    std::vector<float> losses(1024);
    std::chrono::nanoseconds spent{0};
    for (std::uint64_t position = 0; position < events; position += losses.size()) {
      for (float& loss : losses) loss = stream.next().loss;
      DriftInputs inputs;
      inputs.events = losses.size();
      inputs.loss = {losses.data(), 1};
      const auto begin = std::chrono::steady_clock::now();
      monitor->add(position, inputs, findings);
      spent += std::chrono::steady_clock::now() - begin;
    }
    const DriftCounts& counts = monitor->counts();
    fmt::print("| {} | {} | {} | {} | {:.0f} |\n", shape.name, monitor->watches()[0].alarms, counts.changes,
               counts.confirmed, static_cast<double>(spent.count()) / static_cast<double>(events));
    std::uint64_t shown = 0;
    for (const DriftFinding& finding : findings) {
      constexpr std::uint64_t kShownMax = 5;
      if (finding.kind != FindingKind::kConfirmed || ++shown > kShownMax) continue;
      fmt::print("    confirmed: {}\n", finding.cause);
    }
    std::fflush(stdout);
    none = none && counts.confirmed == 0;
  }
  return none;
}

}  // namespace
}  // namespace freshet::bench

int main(int argc, char** argv) {
  std::uint64_t turns = 30;
  std::uint64_t events = 10'000'000;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string(argv[i]) == "--turns") turns = std::stoull(argv[i + 1]);
    if (std::string(argv[i]) == "--events") events = std::stoull(argv[i + 1]);
  }
  if (turns > 0) freshet::bench::print_scores(turns);
  return events == 0 || freshet::bench::nothing_confirmed(events) ? 0 : 1;
}
