#include "daemon/event_spec_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>
#include <vector>

#include "daemon/room_options.h"
#include "stream/consume.h"
#include "stream/infer_features.h"
#include "stream/line_reader.h"

namespace freshet {
namespace {

Result<EventSpec> infer(const Config& config, const std::vector<std::string>& samples, Log& log) {
  EventSpec spec = to_event_spec(config);
  const std::vector<std::string_view> views(samples.begin(), samples.end());
  InferredFeatures inferred = TRY(infer_features(views, spec).with_context("stream.features: auto"));
  spec.features = std::move(inferred.features);
  std::vector<std::string> names;
  for (const FeatureSpec& feature : spec.features) {
    names.push_back(fmt::format("{}: {}", feature.name, feature_kind_name(feature.kind)));
  }
  log.info("features_inferred",
           fmt::format("from {} events: {}; left out: {}. They stay as they are for the life of "
                       "this store",
                       samples.size(), fmt::join(names, ", "), fmt::join(inferred.left_out, ", ")));
  return spec;
}

}  // namespace

Result<EventSpec> choose_event_spec(const Config& config, const Store& store, Log& log) {
  if (!config.stream.features.infer) return to_event_spec(config);
  if (const auto identity = store.identity()) return parse_event_spec(identity->event_spec);
  ConsumeOptions options;
  options.connection = kafka_connection(config);
  options.topic = config.stream.topic;
  options.records_max = kInferFromEvents;
  std::vector<std::string> samples;
  TRY(consume_topic(options, log, [&](const ConsumedRecord* record) {
        if (record != nullptr && record->has_value) samples.emplace_back(record->value);
        return true;
      }).with_context("reading the first events for `features: auto`"));
  return infer(config, samples, log);
}

Result<EventSpec> choose_event_spec_for_file(const Config& config, const std::string& path, Log& log) {
  if (!config.stream.features.infer) return to_event_spec(config);
  const auto reader = TRY(LineReader::open(path, static_cast<std::size_t>(config.stream.record_bytes_max)));
  std::vector<std::string> samples;
  Line line;
  while (samples.size() < kInferFromEvents) {
    const bool more = TRY(reader->next(line));
    if (!more) break;
    samples.emplace_back(line.text);
  }
  return infer(config, samples, log);
}

}  // namespace freshet
