// What GET /status shows, as JSON: where the run stands, how good the served model is, what it forgets.
//
// Threads: pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/json_writer.h"
#include "daemon/pipeline/pipeline.h"

namespace freshet {

// `stopped`: why learning has stopped; empty while it has not.
std::string to_status_json(std::string_view model, const PipelineSnapshot& snapshot, std::string_view stopped);

// Its members, into the open object.
void write_status(JsonWriter& json, std::string_view model, const PipelineSnapshot& snapshot, std::string_view stopped);

// {"slices": [names], "rounds": [{"round", "scores": […]}]}; a score is null where the slice was not scored.
void write_slice_scores(JsonWriter& json, const PipelineSnapshot& snapshot);

// Parts that the backtest's JSON has too; each writes one member of the open object, or none.
void write_metrics(JsonWriter& json, std::string_view name, std::span<const MetricValue> metrics);
void write_baseline(JsonWriter& json, const PipelineSnapshot& snapshot);
void write_sifting(JsonWriter& json, const PipelineSnapshot& snapshot);
void write_drift(JsonWriter& json, const PipelineSnapshot& snapshot);
void write_tuning(JsonWriter& json, const PipelineSnapshot& snapshot);
void write_gate(JsonWriter& json, const PipelineSnapshot& snapshot);
void write_own_measures(JsonWriter& json, const PipelineSnapshot& snapshot);
// `matrix`: the scores of each slice in the kept rounds besides.
void write_forgetting(JsonWriter& json, const PipelineSnapshot& snapshot, bool matrix = false);

}  // namespace freshet
