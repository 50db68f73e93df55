// What commands that change a stopped daemon's state share: the store, opened for writing, and a pipeline on it that
// has redone its log.
//
// Threads: one owner.  Owns: all parts.  Failure: kFailedPrecondition while a daemon has the store open.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "core/clock.h"
#include "daemon/commands/commands.h"
#include "daemon/pipeline/pipeline.h"

namespace freshet {

// The folder that --path names, or else --config. kInvalidArgument when neither is given.
Result<std::string> state_folder(const std::string& path, const ConfigArguments& config);

// Opens the store at `path` with no thought of its contents; `config` may be nothing.
Result<std::unique_ptr<Store>> open_stopped_store(const std::string& path, const Config* config, bool create, Log& log,
                                                  MetricsRegistry& metrics);

class StoppedState {
 public:
  // Reads `source` after redoing the log of the store at `path`; a source over no store ends at once.
  static Result<std::unique_ptr<StoppedState>> open(const Config& config, const std::string& path, bool create,
                                                    const Store* events);
  Store& store() { return *store_; }
  Pipeline& pipeline() { return *pipeline_; }
  const Schema& schema() const { return *schema_; }
  const EncodedLayout& layout() const { return layout_->layout(); }
  // Redoes the log and learns what the source has.
  Status run();

 private:
  StoppedState() = default;
  const std::atomic<bool> never_{false};  // the pipeline looks at it as long as it lives
  Config config_;
  SystemClock clock_;
  NullLog log_;
  LocalMetrics metrics_;
  std::unique_ptr<Store> store_;
  std::optional<Schema> schema_;
  std::unique_ptr<FeatureEncoder> layout_;  // for the layout of the records that are read
  std::unique_ptr<EventRecordCodec> codec_;
  std::unique_ptr<EventSource> source_;
  std::unique_ptr<ModelSlot> slot_;
  std::unique_ptr<Pipeline> pipeline_;
};

}  // namespace freshet
