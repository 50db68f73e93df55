#include "tests/integration/stored_state.h"

#include <fmt/format.h>

#include <atomic>

#include "core/hash.h"
#include "daemon/config/config_loader.h"
#include "daemon/event_spec_choice.h"
#include "daemon/room_options.h"
#include "learners/device.h"
#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

// Nothing more comes: a pipeline on it redoes the log, and ends.
class EndedSource final : public EventSource {
 public:
  Status start(const NextOffsets&) override { return Status::ok(); }
  Result<SourceState> next(EventBatch& batch, std::size_t, std::chrono::milliseconds) override {
    batch.clear();
    return SourceState::kEnd;
  }
  void committed(const NextOffsets&) override {}
  Status acknowledge_dead_letters(std::uint64_t, std::chrono::milliseconds) override { return Status::ok(); }
  void stop() override {}
  SourceProgress progress() const override { return {}; }
};

}  // namespace

Result<FinalState> finish_stored(const std::vector<std::string>& sets) {
  Config config = TRY(load_config({example_config(), std::nullopt, sets, {}}));
  config.checkpoint.every_ms = 0;
  TRY(set_threads(static_cast<int>(config.learning.threads)));
  const SystemClock clock;
  MemoryLog log;
  LocalMetrics metrics;
  auto store = TRY(Store::open(store_options(config), std::nullopt, log, metrics));
  const Schema schema(TRY(choose_event_spec(config, *store, log)));
  TRY(store->bind(store_identity(schema)));
  EndedSource source;
  ModelSlot slot(clock);
  auto pipeline = TRY(Pipeline::open(config, schema, {}, {*store, source, slot, clock, log, metrics}));
  const std::atomic<bool> stop{false};
  TRY(pipeline->run(stop));
  TRY(pipeline->finish());
  FinalState final;
  final.learner_hash = fmt::format("{:016x}", hash_text(pipeline->learner_bytes()));
  final.state = TRY(pipeline->state_hash());
  final.snapshot = pipeline->snapshot();
  return final;
}

}  // namespace freshet::test
