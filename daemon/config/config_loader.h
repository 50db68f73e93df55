// Loads the configuration: defaults, then the file, then the environment, then `--set`; the later wins.
//
// FRESHET_LEARNING__BATCH_SIZE=32 sets learning.batch_size. A variable without two underscores together is somebody
// else's (Kubernetes names its own FRESHET_PORT_...) and is left alone. One property of librdkafka is set by
// FRESHET_STREAM__PROPERTIES__SASL_PASSWORD, or by `--set stream.properties.linger.ms=5`; one feature, or one key of
// it, by `--set stream.features.distance=number`.
//
// Threads: pure but for reading the file.
// Failure: every error at once in one message, a line each, with its place; kNotFound when there is no such file.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/config/yaml_tree.h"

namespace freshet {

struct LoadOptions {
  std::string file;                 // empty: no file, or only the name that stands in errors when `text` is given
  std::optional<std::string> text;  // instead of the file's content
  std::vector<std::string> sets;    // "a.b=c" each
  std::map<std::string, std::string> environment;
};

struct LoadedConfig {
  Config config;
  // Where each option was set, by its dotted name, also each feature as "stream.features.NAME"; absent: default.
  std::map<std::string, Origin> origins;
};

Result<LoadedConfig> load_config_with_origins(const LoadOptions& options);
Result<Config> load_config(const LoadOptions& options);

// The variables of this process whose name begins with FRESHET_.
std::map<std::string, std::string> process_environment();

}  // namespace freshet
