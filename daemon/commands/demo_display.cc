#include "daemon/commands/demo_display.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <iterator>
#include <vector>

namespace freshet {
namespace {

constexpr std::size_t kBarWidth = 28;

std::string day_of(std::int64_t time_ms) {
  if (time_ms == 0) return "-";
  const std::time_t seconds = time_ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

std::string number_or_dash(std::span<const MetricValue> values, std::string_view name) {
  const auto value = find_metric(values, name);
  return value ? fmt::format("{:.4f}", *value) : "-";
}

double share_of(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0.0 : std::min(1.0, static_cast<double>(part) / static_cast<double>(whole));
}

std::string plain_line(const PipelineSnapshot& snapshot, const DemoProgress& progress) {
  std::string line = fmt::format(
      "{}  {:>6.1f} %  {:>8} events  {:>7.0f}/s  lag {:>6}  live AUC {} (recent {})", day_of(snapshot.event_time_ms),
      100 * share_of(snapshot.events, progress.events_total), snapshot.events, progress.events_per_second,
      progress.produced - std::min(progress.produced, snapshot.events + snapshot.skipped),
      number_or_dash(snapshot.evaluation.stream, "auc"), number_or_dash(snapshot.evaluation.window, "auc"));
  if (snapshot.baseline.frozen) {
    line += fmt::format("  since the freeze: live {} frozen {}", number_or_dash(snapshot.baseline.live.stream, "auc"),
                        number_or_dash(snapshot.baseline.frozen_whole.stream, "auc"));
  }
  return line + fmt::format("  model v{}\n", snapshot.served_version);
}

std::string comparison_line(std::string_view name, const EvaluationReport& report) {
  return fmt::format("    {:<33} AUC {}   log loss {}", name, number_or_dash(report.stream, "auc"),
                     number_or_dash(report.stream, "log_loss"));
}

std::string verdict(const BaselineReport& baseline) {
  const auto live = find_metric(baseline.live.stream, "log_loss");
  const auto weights = find_metric(baseline.frozen_weights.stream, "log_loss");
  const auto whole = find_metric(baseline.frozen_whole.stream, "log_loss");
  if (!live || !weights || !whole) return "  Too few flights to compare.\n";
  const bool better = *live < *weights && *live < *whole;
  return fmt::format(
      "  The continuously trained model {}: log loss {:+.1f} % against the copy with frozen weights, "
      "{:+.1f} % against the one frozen with its statistics.\n",
      better ? "beat both copies" : "did not beat both copies", 100 * (*live / *weights - 1),
      100 * (*live / *whole - 1));
}

std::vector<std::string> forgetting_lines(const PipelineSnapshot& snapshot) {
  std::vector<std::string> lines;
  for (const SliceForgetting& slice : snapshot.forgetting.slices) {
    const auto& name = slice.slice < snapshot.slice_names.size() ? snapshot.slice_names[slice.slice] : "?";
    lines.push_back(fmt::format("    {:<9} accuracy {:.3f}  forgotten {:.3f}  {}", name, slice.now, slice.forgetting,
                                bar(slice.now, 20)));
  }
  return lines;
}

}  // namespace

std::string bar(double share, std::size_t width) {
  const double clipped = std::isfinite(share) ? std::clamp(share, 0.0, 1.0) : 0.0;
  const auto full = static_cast<std::size_t>(std::lround(clipped * static_cast<double>(width)));
  std::string text;
  for (std::size_t i = 0; i < width; ++i) text += i < full ? "█" : "░";
  return text;
}

std::string DemoDisplay::draw(const PipelineSnapshot& snapshot, const DemoProgress& progress) {
  if (!terminal_) return plain_line(snapshot, progress);
  std::vector<std::string> lines;
  lines.push_back(fmt::format("  flights of {}   {} {:5.1f} %", day_of(snapshot.event_time_ms),
                              bar(share_of(snapshot.events, progress.events_total), kBarWidth),
                              100 * share_of(snapshot.events, progress.events_total)));
  lines.push_back(fmt::format("  learnt       {:>9} events   {:>8.0f} events/s   lag {:>7} events", snapshot.events,
                              progress.events_per_second,
                              progress.produced - std::min(progress.produced, snapshot.events + snapshot.skipped)));
  lines.push_back(fmt::format("  model        version {:<7} {} rounds, {} swaps, {} events in the replay memory",
                              snapshot.served_version, snapshot.rounds, snapshot.swaps, snapshot.memory_events));
  lines.push_back(fmt::format("  live         AUC {}   log loss {}   (last {} events: {} / {})",
                              number_or_dash(snapshot.evaluation.stream, "auc"),
                              number_or_dash(snapshot.evaluation.stream, "log_loss"), snapshot.evaluation.window_events,
                              number_or_dash(snapshot.evaluation.window, "auc"),
                              number_or_dash(snapshot.evaluation.window, "log_loss")));
  if (snapshot.baseline.frozen) {
    lines.push_back(fmt::format("  since a copy was frozen at {} flights:", progress.freeze_after));
    lines.push_back(comparison_line("continuously trained", snapshot.baseline.live));
    lines.push_back(comparison_line("frozen weights, live statistics", snapshot.baseline.frozen_weights));
    lines.push_back(comparison_line("frozen weights and statistics", snapshot.baseline.frozen_whole));
  } else {
    lines.push_back(fmt::format("  a copy is frozen at {} flights, to compare with", progress.freeze_after));
  }
  if (!snapshot.forgetting.slices.empty()) {
    lines.emplace_back("  what it still knows of each month (held-out flights):");
    for (auto& line : forgetting_lines(snapshot)) lines.push_back(std::move(line));
  }
  lines.push_back(fmt::format("  ask it: curl -s localhost:{}/v2/models/flights", progress.port));

  std::string text;
  if (lines_drawn_ > 0) text += fmt::format("\x1b[{}A", lines_drawn_);
  for (const auto& line : lines) text += "\x1b[2K" + line + "\n";
  lines_drawn_ = std::max(lines_drawn_, lines.size());
  return text;
}

std::string demo_summary(const PipelineSnapshot& snapshot, double seconds) {
  std::string text = fmt::format(
      "\nSummary\n"
      "  {} flights learnt in {:.0f} s, each predicted by the served model before it was trained on\n"
      "  {} rounds, {} model swaps, {} records dead-lettered\n"
      "  whole stream:   AUC {}   log loss {}\n",
      snapshot.events, seconds, snapshot.rounds, snapshot.swaps, snapshot.skipped,
      number_or_dash(snapshot.evaluation.stream, "auc"), number_or_dash(snapshot.evaluation.stream, "log_loss"));
  if (snapshot.baseline.frozen) {
    text += fmt::format("  on the {} flights after a copy was frozen:\n{}\n{}\n{}\n", snapshot.baseline.live.events,
                        comparison_line("continuously trained", snapshot.baseline.live),
                        comparison_line("frozen weights, live statistics", snapshot.baseline.frozen_weights),
                        comparison_line("frozen weights and statistics", snapshot.baseline.frozen_whole));
    text += verdict(snapshot.baseline);
  }
  if (!snapshot.forgetting.slices.empty()) {
    text += "  What it knows at the end of each month, on flights it never trained on:\n";
    for (const auto& line : forgetting_lines(snapshot)) text += line + "\n";
  }
  return text;
}

}  // namespace freshet
