// Which features a run uses: those configured, or with `features: auto` those inferred once from the first events and
// then kept in the store, so that they stay the same for its life.
//
// Threads: called before the pipeline starts.  Failure: features that cannot be used are all reported at once.
#pragma once

#include "core/feature_spec.h"
#include "core/log.h"
#include "daemon/config/config.h"
#include "storage/store.h"

namespace freshet {

inline constexpr std::size_t kInferFromEvents = 1000;

// For a Kafka topic: reads its first records where features must be inferred and the store knows none yet.
Result<EventSpec> choose_event_spec(const Config& config, const Store& store, Log& log);

// For a file.
Result<EventSpec> choose_event_spec_for_file(const Config& config, const std::string& path, Log& log);

}  // namespace freshet
