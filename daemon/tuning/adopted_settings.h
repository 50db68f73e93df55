// AdoptedSettings: settings that a study found and the run took over: they stand in the place of what the file says, in
// every checkpoint from then on, until the file says something else of that option than it did.
//
// Threads: values.  Owns: nothing.  Failure: says which settings do not fit the configuration, as `config check` would.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "daemon/config/config.h"
#include "learners/tuning/parameter_space.h"
#include "storage/store.h"

namespace freshet {

// A checkpoint's blob of the daemon's studies.
inline constexpr std::string_view kStudiesBlob = "studies";

struct AdoptedSetting {
  std::string option;
  std::string value;
  std::string configured;  // what the file said when it was adopted
  bool operator==(const AdoptedSetting&) const = default;
};

void put_adopted(std::span<const AdoptedSetting> adopted, ByteWriter& out);
std::vector<AdoptedSetting> get_adopted(ByteReader& in);

// The settings, and the default for each of `searched` that they do not name: of an option that belongs to another
// choice (SGD's momentum, while Adagrad trains).
std::vector<tuning::Setting> whole_settings(std::span<const tuning::Setting> settings,
                                            std::span<const std::string> searched);

// learning_text: as learning_config_text() writes it.
Result<Config> with_settings(const std::string& learning_text, std::span<const tuning::Setting> settings);

// `config` with those settings in force that the file does not speak against; all of its other options stay.
Result<Config> config_in_force(const Config& config, std::span<const AdoptedSetting> adopted);
// The same with those of a checkpoint; with none where it has no such blob.
Result<Config> config_in_force(const Config& config, const Checkpoint& checkpoint);

// Of those adopted before and now: each option once, the newer value; `config` is the file's.
std::vector<AdoptedSetting> adopted_with(const Config& config, std::span<const AdoptedSetting> before,
                                         std::span<const tuning::Setting> now);

}  // namespace freshet
