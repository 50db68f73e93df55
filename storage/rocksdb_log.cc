#include "storage/rocksdb_log.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

namespace freshet {

void RocksDbLog::Logv(const char* format, va_list arguments) {
  std::array<char, 1024> line{};
  const int length = std::vsnprintf(line.data(), line.size(), format, arguments);
  if (length <= 0) return;
  log_.debug("rocksdb",
             std::string_view(line.data(), std::min<std::size_t>(static_cast<std::size_t>(length), line.size() - 1)));
}

}  // namespace freshet
