#include "daemon/cli/progress_bar.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace freshet {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr double kNsPerSecond = 1e9;
constexpr std::size_t kBarWidth = 24;

}  // namespace

ProgressBar::ProgressBar(ProgressOptions options, const Clock& clock, Write write)
    : options_(std::move(options)),
      clock_(clock),
      write_(std::move(write)),
      started_ns_(clock.monotonic_ns()),
      drawn_ns_(started_ns_),
      sampled_ns_(started_ns_) {}

void ProgressBar::update(std::uint64_t done, std::string_view note) {
  if (finished_) return;
  const std::int64_t every_ms = options_.terminal ? options_.redraw_every_ms : options_.plain_every_ms;
  if (clock_.monotonic_ns() - drawn_ns_ < every_ms * kNsPerMs) return;
  sample(done);
  draw(done, note, false);
}

void ProgressBar::finish(std::uint64_t done, std::string_view note) {
  if (finished_) return;
  finished_ = true;
  draw(done, note, true);
}

void ProgressBar::sample(std::uint64_t done) {
  const std::int64_t now = clock_.monotonic_ns();
  const double seconds = static_cast<double>(now - sampled_ns_) / kNsPerSecond;
  if (seconds <= 0 || done < sampled_) return;
  const double newest = static_cast<double>(done - sampled_) / seconds;
  const double share = recent_rate_ == 0 ? 1 : 1 - std::exp(-seconds);
  recent_rate_ += share * (newest - recent_rate_);
  sampled_ns_ = now;
  sampled_ = done;
}

double ProgressBar::rate(std::uint64_t done) const {
  const double seconds = static_cast<double>(clock_.monotonic_ns() - started_ns_) / kNsPerSecond;
  return seconds > 0 ? static_cast<double>(done) / seconds : 0;
}

std::string ProgressBar::line(std::uint64_t done, std::string_view note, bool last) const {
  std::string text = options_.title;
  if (options_.total > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(options_.total));
    if (options_.terminal) {
      const auto filled = static_cast<std::size_t>(share * static_cast<double>(kBarWidth));
      text += fmt::format("  [{}{}]", std::string(filled, '#'), std::string(kBarWidth - filled, '-'));
    }
    // 100% only when all is done.
    text += fmt::format("  {:3.0f}%  {}/{} {}", std::floor(share * 100), format_count(done), format_count(options_.total), options_.unit);
  } else {
    text += fmt::format("  {} {}", format_count(done), options_.unit);
  }
  const double shown = last || recent_rate_ <= 0 ? rate(done) : recent_rate_;
  if (shown > 0) text += "  " + format_rate(shown);
  if (last) {
    text += "  in " + format_seconds_left(static_cast<double>(clock_.monotonic_ns() - started_ns_) / kNsPerSecond);
  } else if (options_.total > done && shown > 0) {
    text += fmt::format("  {} left", format_seconds_left(static_cast<double>(options_.total - done) / shown));
  }
  if (!note.empty()) text += fmt::format("  {}", note);
  return text;
}

void ProgressBar::draw(std::uint64_t done, std::string_view note, bool last) {
  drawn_ns_ = clock_.monotonic_ns();
  std::string text = line(done, note, last);
  if (!options_.terminal) {
    write_(text + "\n");
    return;
  }
  // A line that wraps could not be drawn over: cut it one column before the edge.
  if (options_.columns > 1 && text.size() >= options_.columns) text.resize(options_.columns - 1);
  write_("\r\x1b[K" + text + (last ? "\n" : ""));
}

bool is_terminal(std::FILE* stream) { return isatty(fileno(stream)) != 0; }

std::size_t terminal_columns(std::FILE* stream) {
  winsize size{};
  constexpr std::size_t kUsual = 80;
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsual;
  return size.ws_col;
}

void write_to_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

std::string format_count(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string format_rate(double per_second) {
  if (per_second >= 999'500) return fmt::format("{:.1f}M/s", per_second / 1e6);
  if (per_second >= 10'000) return fmt::format("{:.0f}k/s", per_second / 1e3);
  if (per_second >= 10) return fmt::format("{:.0f}/s", per_second);
  return fmt::format("{:.1f}/s", per_second);
}

std::string format_seconds_left(double seconds) {
  constexpr double kMost = 1e7;  // a hundred days and more: nobody waits for the seconds of it
  const auto whole = static_cast<std::int64_t>(std::ceil(std::clamp(seconds, 0.0, kMost)));
  const std::int64_t hours = whole / 3600;
  const std::int64_t minutes = whole / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

}  // namespace freshet
