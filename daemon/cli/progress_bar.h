// ProgressBar: how far a long command has come. On a terminal one line that is drawn over; elsewhere a plain line every
// few seconds, so that a log file stays readable.
//
//   learning  [###########---------]  55%  180,224/327,346 events  151k/s  0:01 left
//
// Threads: one owner.  Owns: nothing but its text.  Failure: output errors are ignored.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>

#include "core/clock.h"

namespace freshet {

struct ProgressOptions {
  std::string title;
  std::string unit = "events";
  std::uint64_t total = 0;             // 0: unknown, then there is no bar and no time left
  bool terminal = false;               // see is_terminal
  std::size_t columns = 80;
  std::int64_t plain_every_ms = 10'000;
  std::int64_t redraw_every_ms = 100;
};

class ProgressBar {
 public:
  using Write = std::function<void(std::string_view)>;

  // `write` takes the text to standard error, see write_to_stderr.
  ProgressBar(ProgressOptions options, const Clock& clock, Write write);

  // `done` so far; `note` stands at the end of the line, such as "auc 0.792". Cheap to call often.
  void update(std::uint64_t done, std::string_view note = {});
  // Draws the last state and ends the line. Further calls do nothing.
  void finish(std::uint64_t done, std::string_view note = {});

 private:
  std::string line(std::uint64_t done, std::string_view note, bool last) const;
  double rate(std::uint64_t done) const;
  void sample(std::uint64_t done);
  void draw(std::uint64_t done, std::string_view note, bool last);

  ProgressOptions options_;
  const Clock& clock_;
  Write write_;
  std::int64_t started_ns_;
  std::int64_t drawn_ns_;
  std::int64_t sampled_ns_;
  std::uint64_t sampled_ = 0;
  double recent_rate_ = 0;  // moves towards the rate of the last second
  bool finished_ = false;
};

bool is_terminal(std::FILE* stream);
std::size_t terminal_columns(std::FILE* stream);  // 80 when it cannot be known
void write_to_stderr(std::string_view text);

std::string format_count(std::uint64_t count);       // 327,346
std::string format_rate(double per_second);          // 950/s, 151k/s, 2.4M/s
std::string format_seconds_left(double seconds);     // 0:07, 12:30, 3:05:00

}  // namespace freshet
