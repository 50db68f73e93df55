// KafkaNotices: posts short messages that Freshet itself has to say (alarms of drift) to a topic.
//
// A notice is never waited for: the broker gets it when it can. At most `waiting_max` wait; what comes beyond is
// dropped, counted in freshet_notices_total{outcome="dropped"} and said in the log. What the broker refuses, or does
// not take within five minutes, is counted as "failed".
//
// Threads: thread-safe.  Owns: a producer of its own (idempotent), with a thread that serves its reports.
// Failure: `create` refuses wrong properties; afterwards nothing fails for the caller. The end waits 2 s for what is
// under way.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "core/log.h"
#include "core/metrics.h"
#include "core/status.h"
#include "stream/kafka_options.h"

namespace freshet {

struct KafkaNoticeOptions {
  KafkaConnection connection{};
  std::string topic{};
  std::size_t waiting_max = 10'000;
};

class KafkaNotices {
 public:
  static Result<std::unique_ptr<KafkaNotices>> create(const KafkaNoticeOptions& options, MetricsRegistry& metrics,
                                                      Log& log);
  ~KafkaNotices();

  // key: of the record, so that notices about one thing keep their order; value: what is said.
  void post(std::string_view key, std::string_view value);

 private:
  class Producer;
  explicit KafkaNotices(std::unique_ptr<Producer> producer);
  std::unique_ptr<Producer> producer_;
};

}  // namespace freshet
