// The options that each room takes, made from the one Config.
//
// Threads: pure functions, but for reading secret files.  Failure: values that a room refuses are named by their
// option.
#pragma once

#include <optional>
#include <string>

#include "core/schema.h"
#include "daemon/config/config.h"
#include "daemon/pipeline/gate.h"
#include "learners/evaluation/progressive_evaluation.h"
#include "learners/evaluation/slices.h"
#include "learners/training/learner.h"
#include "storage/replay_memory.h"
#include "storage/store.h"
#include "stream/file_source.h"
#include "stream/kafka_dead_letters.h"
#include "stream/kafka_notices.h"
#include "stream/kafka_source.h"

namespace freshet {

StoreOptions store_options(const Config& config);
StoreIdentity store_identity(const Schema& schema);
ReplayOptions replay_options(const Config& config, std::uint64_t record_bytes, std::uint64_t seed);

Result<LearnerOptions> learner_options(const Config& config, const EventSpec& spec);
GateOptions gate_options(const Config& config, const EventSpec& spec);
EvaluationOptions evaluation_options(const Config& config, const EventSpec& spec);
std::optional<SliceSpec> slice_spec(const Config& config);  // nothing: events have no slices

DecoderOptions decoder_options(const Config& config);
FileSourceOptions file_source_options(const Config& config, const std::string& path);
KafkaConnection kafka_connection(const Config& config);
KafkaSourceOptions kafka_source_options(const Config& config);
KafkaDeadLetterOptions kafka_dead_letter_options(const Config& config);
KafkaNoticeOptions kafka_notice_options(const Config& config);  // of drift.topic

}  // namespace freshet
