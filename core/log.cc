#include "core/log.h"

#include <algorithm>

namespace freshet {

void MemoryLog::write(LogLevel, std::string_view event, std::string_view message, std::initializer_list<LogField>) {
  std::string line(event);
  line += ": ";
  line += message;
  const std::lock_guard lock(mutex_);
  lines_.push_back(std::move(line));
}

std::vector<std::string> MemoryLog::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

bool MemoryLog::contains(std::string_view text) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(lines_.begin(), lines_.end(),
                     [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

}  // namespace freshet
