#include "daemon/event_spec_choice.h"

#include <fmt/format.h>

namespace freshet {

Result<EventSpec> choose_event_spec(const Config& config, const Store& store, Log&) {
  EventSpec spec = to_event_spec(config);
  if (!config.stream.features.infer) return spec;
  if (const auto identity = store.identity()) return parse_event_spec(identity->event_spec);
  return unsupported("features: auto");
}

Result<EventSpec> choose_event_spec_for_file(const Config& config, const std::string&) {
  EventSpec spec = to_event_spec(config);
  if (!config.stream.features.infer) return spec;
  return unsupported("features: auto");
}

}  // namespace freshet
