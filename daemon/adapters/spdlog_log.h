// SpdlogLog: log lines on standard error, for people or for machines.
//
//   text  2013-01-01T10:00:00.000Z  info     round_trained  trained round 12  steps=32 loss=0.43
//   json  {"ts": "2013-01-01T10:00:00.000Z", "level": "info", "event": "round_trained", "message": "…", "steps": 32}
//
// One line an event whatever it holds: control characters are escaped, so that text from a topic or a client can forge
// no line and move no cursor. On a terminal the level of text lines is coloured. A field called like one of the four
// fixed names gets an underscore behind it.
//
// Threads: thread-safe; the level may be changed at any time.  Owns: its sink.
// Failure: a line that cannot be written is dropped.
#pragma once

#include <iosfwd>
#include <memory>
#include <string_view>

#include "core/clock.h"
#include "core/log.h"
#include "daemon/config/config.h"

namespace freshet {

class SpdlogLog final : public Log {
 public:
  // To standard error.
  SpdlogLog(const LogConfig& config, const Clock& clock);
  // To a stream, without colours.
  SpdlogLog(const LogConfig& config, const Clock& clock, std::ostream& out);
  ~SpdlogLog() override;

  void write(LogLevel level, std::string_view event, std::string_view message,
             std::initializer_list<LogField> fields) override;

  void set_level(LogLevel level);
  LogLevel level() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string_view log_level_name(LogLevel level);

}  // namespace freshet
