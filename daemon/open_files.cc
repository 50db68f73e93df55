#include "daemon/open_files.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace freshet {

void raise_open_files(std::uint64_t needed, Log& log) {
  // More would only cost what goes through all numbers, as some libraries do.
  constexpr rlim_t kMost = rlim_t{1} << 20;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t before = limit.rlim_cur;
  const rlim_t wanted = std::min(limit.rlim_max, std::max(kMost, static_cast<rlim_t>(needed)));
  if (wanted > before) {
    limit.rlim_cur = wanted;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      log.warning("open_files", fmt::format("the limit of open files stays at {}: {}", before, std::strerror(errno)));
      limit.rlim_cur = before;
    } else {
      log.info("open_files", fmt::format("the limit of open files was {} and is {} now", before, wanted));
    }
  }
  if (limit.rlim_cur < needed) {
    log.warning(
        "open_files_few",
        fmt::format("the limit of open files is {}, and serving.connections_max with the store can take {}: raise "
                    "the hard limit (ulimit -Hn, LimitNOFILE=), or allow fewer connections",
                    limit.rlim_cur, needed));
  }
}

}  // namespace freshet
