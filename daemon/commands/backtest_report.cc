#include "daemon/commands/backtest_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>

#include "core/html_page.h"

namespace freshet {
namespace {

constexpr double kWidth = 860;
constexpr double kHeight = 220;
constexpr double kLeft = 56;
constexpr double kBottom = 24;

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root{color-scheme:light dark;--ink:#1c2733;--paper:#fff;--soft:#8795a5;--line:#1668b8;--band:#eef3f8}
@media(prefers-color-scheme:dark){:root{--ink:#dfe7ef;--paper:#11171e;--soft:#74838f;--line:#62aef5;--band:#1b2530}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:900px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}svg{width:100%;height:auto}
table{border-collapse:collapse;width:100%}td,th{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--band)}
td:first-child,th:first-child{text-align:left}pre{background:var(--band);padding:1rem;overflow:auto;border-radius:6px}
.curve{fill:none;stroke:var(--line);stroke-width:1.6}.axis{stroke:var(--soft);stroke-width:.6}text{fill:var(--soft);font-size:11px}
</style></head><body>
)";

std::string head(const std::string& title) {
  std::string text(kHead);
  constexpr std::string_view kMark = "{title}";
  text.replace(text.find(kMark), kMark.size(), html_text(title));
  return text + "<h1>" + html_text(title) + "</h1>\n";
}

// A curve of one windowed measure over the events, as an inline drawing with three marked values.
std::string curve(const std::vector<HistoryPoint>& history, std::string_view name) {
  std::vector<std::pair<double, double>> points;
  for (const auto& point : history) {
    const auto value = find_metric(point.window, name);
    if (value && std::isfinite(*value)) points.emplace_back(static_cast<double>(point.events), *value);
  }
  if (points.size() < 2) return {};
  const auto by_value = [](const auto& a, const auto& b) { return a.second < b.second; };
  const double low = std::min_element(points.begin(), points.end(), by_value)->second;
  const double high = std::max_element(points.begin(), points.end(), by_value)->second;
  const double span = high > low ? high - low : 1.0;
  const double last = points.back().first;
  const auto x = [&](double events) { return kLeft + (kWidth - kLeft - 8) * events / last; };
  const auto y = [&](double value) { return 10 + (kHeight - kBottom - 20) * (1 - (value - low) / span); };
  std::string text = fmt::format(
      "<h2>{} over the last events</h2>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" "
      "aria-label=\"{} from {:.4f} to {:.4f}\">",
      html_text(name), kWidth, kHeight, html_text(name), points.front().second, points.back().second);
  for (const double value : {low, (low + high) / 2, high}) {
    text += fmt::format(
        "<line class=\"axis\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
        "<text x=\"4\" y=\"{3:.1f}\">{4:.4f}</text>",
        kLeft, kWidth - 8, y(value), y(value) + 4, value);
  }
  for (int i = 0; i <= 4; ++i) {
    const double events = last * i / 4;
    text += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"{}\">{:.0f}k</text>", x(events), kHeight - 6,
                        i == 4 ? "end" : "middle", events / 1000);
  }
  text += "<polyline class=\"curve\" points=\"";
  for (const auto& [events, value] : points)
    fmt::format_to(std::back_inserter(text), "{:.1f},{:.1f} ", x(events), y(value));
  return text + "\"/></svg>\n";
}

constexpr double kCellHeight = 18;
constexpr double kLetter = 6.6;  // width of one in a slice's name

// From light to dark, so that it can be read without colours too.
std::string shade(double share) {
  const auto mix = [share](double from, double to) {
    return static_cast<int>(std::lround(from + share * (to - from)));
  };
  return fmt::format("#{:02x}{:02x}{:02x}", mix(0xf3, 0x0b), mix(0xee, 0x3d), mix(0xd9, 0x6e));
}

std::string label(double x, double y, std::string_view anchor, const std::string& text) {
  return fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>)", x, y, anchor, text);
}

// The matrix of scores: a row a slice, a column a kept round, darker is better. A slice that no round had trained on
// yet shows as nothing until its first event is held out.
std::string score_map(const PipelineSnapshot& snapshot) {
  const auto& rounds = snapshot.slice_scores;
  const auto& slices = snapshot.forgetting.slices;
  if (rounds.empty() || slices.empty()) return {};
  double low = HUGE_VAL;
  double high = -HUGE_VAL;
  for (const ScoreRow& row : rounds) {
    for (const SliceForgetting& slice : slices) {
      const auto score = static_cast<double>(row.scores[slice.slice]);
      if (!std::isfinite(score)) continue;
      low = std::min(low, score);
      high = std::max(high, score);
    }
  }
  if (!(low <= high)) return {};
  const double span = high > low ? high - low : 1.0;
  std::size_t letters = 0;
  for (const SliceForgetting& slice : slices) letters = std::max(letters, snapshot.slice_names[slice.slice].size());
  const double names = std::min(kWidth / 3, 12 + kLetter * static_cast<double>(letters));
  const double cell = (kWidth - names - 8) / static_cast<double>(rounds.size());
  const double bottom = kCellHeight * static_cast<double>(slices.size());
  std::string text = fmt::format(
      "<h2>Each slice over the rounds</h2>\n<p>Score on the slice's held-out events after a round, darker is better; a "
      "row that grows lighter is being forgotten.</p>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"score of "
      "{} "
      "slices in {} rounds, from {:.4f} to {:.4f}\">",
      kWidth, bottom + 56, slices.size(), rounds.size(), low, high);
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const std::string name = html_text(snapshot.slice_names[slices[i].slice]);
    const double y = kCellHeight * static_cast<double>(i);
    text += label(names - 6, y + kCellHeight - 5, "end", name);
    for (std::size_t r = 0; r < rounds.size(); ++r) {
      const auto score = static_cast<double>(rounds[r].scores[slices[i].slice]);
      if (!std::isfinite(score)) continue;
      fmt::format_to(std::back_inserter(text),
                     R"(<rect x="{:.2f}" y="{:.1f}" width="{:.2f}" height="{}" fill="{}"><title>{}, round {}: {:.4f})"
                     "</title></rect>",
                     names + cell * static_cast<double>(r), y, cell + 0.2, kCellHeight - 2, shade((score - low) / span),
                     name, rounds[r].round, score);
    }
  }
  text += label(names, bottom + 14, "start", fmt::format("round {}", rounds.front().round));
  text += label(kWidth - 8, bottom + 14, "end", fmt::format("round {}", rounds.back().round));
  constexpr int kSteps = 24;
  constexpr double kStep = 8;
  text += label(names + 52, bottom + 42, "end", fmt::format("{:.4f}", low));
  for (int i = 0; i < kSteps; ++i) {
    fmt::format_to(std::back_inserter(text), R"(<rect x="{:.1f}" y="{:.1f}" width="{}" height="12" fill="{}"/>)",
                   names + 60 + kStep * i, bottom + 32, kStep + 0.2, shade(static_cast<double>(i) / (kSteps - 1)));
  }
  text += label(names + 68 + kStep * kSteps, bottom + 42, "start", fmt::format("{:.4f}", high));
  return text + "</svg>\n";
}

std::string transfer_lines(const ForgettingReport& report) {
  std::string text;
  const auto line = [&](std::string_view name, const std::optional<double>& value) {
    if (value) text += fmt::format("<tr><td>{}</td><td>{:+.4f}</td></tr>\n", name, *value);
  };
  line("mean forgetting", report.mean_forgetting);
  line("largest forgetting", report.max_forgetting);
  line("backward transfer", report.backward_transfer);
  line("forward transfer", report.forward_transfer);
  return text.empty() ? text : "<table>" + text + "</table>\n";
}

std::string forgetting_table(const PipelineSnapshot& snapshot) {
  if (snapshot.forgetting.slices.empty()) return {};
  std::string text =
      "<h2>What the final model still knows</h2>\n<p>Scored on held-out events of each slice, which training never saw."
      "</p><table><tr><th>slice</th><th>now</th><th>best</th><th>forgotten</th></tr>\n";
  for (const SliceForgetting& slice : snapshot.forgetting.slices) {
    text += fmt::format("<tr><td>{}</td><td>{:.4f}</td><td>{:.4f}</td><td>{:.4f}</td></tr>\n",
                        html_text(snapshot.slice_names[slice.slice]), slice.now, slice.best, slice.forgetting);
  }
  return text + "</table>\n" + transfer_lines(snapshot.forgetting);
}

}  // namespace

Status write_file(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) return unavailable(fmt::format("cannot write {}; is the folder there, and is there room?", path));
  return Status::ok();
}

Status write_backtest_report(const std::string& path, const std::string& title, const PipelineSnapshot& snapshot,
                             const std::string& json) {
  std::string page = head(title);
  page += "<table><tr><th>measure</th><th>whole stream</th><th>last events</th></tr>\n";
  for (const MetricValue& metric : snapshot.evaluation.stream) {
    const auto recent = find_metric(snapshot.evaluation.window, metric.name);
    page += fmt::format("<tr><td>{}</td><td>{:.4f}</td><td>{}</td></tr>\n", html_text(metric.name), metric.value,
                        recent ? fmt::format("{:.4f}", *recent) : "-");
  }
  page += "</table>\n";
  for (const MetricValue& metric : snapshot.evaluation.stream) {
    if (metric.name == "auc" || metric.name == "log_loss" || metric.name == "accuracy" || metric.name == "rmse") {
      page += curve(snapshot.history, metric.name);
    }
  }
  page += forgetting_table(snapshot);
  page += score_map(snapshot);
  page += "<h2>Everything</h2>\n<pre>" + html_text(json) + "</pre>\n</body></html>\n";
  return write_file(path, page);
}

}  // namespace freshet
