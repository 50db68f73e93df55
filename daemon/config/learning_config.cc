#include "daemon/config/learning_config.h"

#include <algorithm>

#include "daemon/config/config_loader.h"
#include "daemon/config/config_text.h"
#include "daemon/config/reload.h"

namespace freshet {

Config learning_part(const Config& config) {
  const Config standard;
  Config part = config;
  part.model.name = standard.model.name;
  part.model.recompute = standard.model.recompute;  // the same to the bit
  part.stream = standard.stream;
  part.stream.format = config.stream.format;
  part.stream.label = config.stream.label;
  part.stream.time = config.stream.time;
  part.stream.key = config.stream.key;
  part.stream.features = config.stream.features;
  part.memory.path = standard.memory.path;
  part.memory.keep_events = standard.memory.keep_events;
  part.memory.block_cache_bytes = standard.memory.block_cache_bytes;
  part.memory.write_buffer_bytes = standard.memory.write_buffer_bytes;
  part.learning.round.every_ms = standard.learning.round.every_ms;
  part.learning.round.go_live = standard.learning.round.go_live;
  if (!config.tuning.on_drift) part.tuning = standard.tuning;  // else studies decide how it learns
  part.tuning.cpu_share = standard.tuning.cpu_share;
  part.checkpoint = standard.checkpoint;
  part.serving = standard.serving;
  part.serving.weights = config.serving.weights;
  part.serving.gate = config.serving.gate;
  part.serving.gate.wait_ms = standard.serving.gate.wait_ms;
  part.log = standard.log;
  return part;
}

std::string learning_config_text(const Config& config) {
  const std::string page = show_config({learning_part(config), {}});
  std::string text;
  for (std::size_t begin = 0; begin < page.size();) {
    const std::size_t end = std::min(page.find('\n', begin), page.size());
    std::string_view line = std::string_view(page).substr(begin, end - begin);
    begin = end + 1;
    constexpr std::string_view kOrigin = "  # default";  // says nothing here
    if (line.ends_with(kOrigin)) line.remove_suffix(kOrigin.size());
    while (line.ends_with(' ')) line.remove_suffix(1);
    text += line;
    text += '\n';
  }
  return text;
}

Result<Config> parse_learning_config(std::string_view text) {
  LoadOptions options;
  options.file = "the checkpoint's configuration";
  options.text = std::string(text);
  return load_config(options);
}

std::string learning_differences(const Config& before, const Config& now) {
  const ReloadPlan plan = plan_reload(learning_part(before), learning_part(now));
  std::string text;
  for (const auto* changes : {&plan.applied, &plan.pending}) {
    for (const OptionChange& change : *changes) text += (text.empty() ? "" : ", ") + describe(change);
  }
  return text;
}

}  // namespace freshet
