#include "daemon/tuning/adopted_settings.h"

#include <algorithm>

#include "daemon/config/config_loader.h"
#include "daemon/config/learning_config.h"
#include "daemon/config/option_table.h"

namespace freshet {

void put_adopted(std::span<const AdoptedSetting> adopted, ByteWriter& out) {
  out.put<std::uint64_t>(adopted.size());
  for (const AdoptedSetting& one : adopted) {
    out.put_text(one.option);
    out.put_text(one.value);
    out.put_text(one.configured);
  }
}

std::vector<AdoptedSetting> get_adopted(ByteReader& in) {
  std::vector<AdoptedSetting> adopted;
  const auto count = in.get<std::uint64_t>();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    AdoptedSetting one;
    one.option = in.get_text();
    one.value = in.get_text();
    one.configured = in.get_text();
    adopted.push_back(std::move(one));
  }
  return adopted;
}

std::vector<tuning::Setting> whole_settings(std::span<const tuning::Setting> settings,
                                            std::span<const std::string> searched) {
  std::vector<tuning::Setting> whole(settings.begin(), settings.end());
  const Config standard;
  for (const std::string& option : searched) {
    const auto named = [&](const tuning::Setting& setting) { return setting.option == option; };
    if (std::ranges::none_of(whole, named)) whole.push_back({option, option_text(standard, option)});
  }
  return whole;
}

Result<Config> with_settings(const std::string& learning_text, std::span<const tuning::Setting> settings) {
  LoadOptions options;
  options.file = "the trial's configuration";
  options.text = learning_text;
  for (const tuning::Setting& setting : settings) options.sets.push_back(setting.option + "=" + setting.value);
  return load_config(options);
}

Result<Config> config_in_force(const Config& config, std::span<const AdoptedSetting> adopted) {
  std::vector<tuning::Setting> settings;
  for (const AdoptedSetting& one : adopted) {
    if (find_option(one.option) == nullptr || option_text(config, one.option) != one.configured) continue;
    settings.push_back({one.option, one.value});
  }
  Config in_force = config;
  if (settings.empty()) return in_force;
  auto loaded = with_settings(learning_config_text(config), settings);
  if (!loaded.is_ok()) {
    return failed_precondition(
        "the settings that a study found and the run adopted do not fit the configuration any more: " +
        loaded.status().message());
  }
  for (const tuning::Setting& setting : settings) {
    const Option* option = find_option(setting.option);
    option->set(in_force, option->get(*loaded));
  }
  return in_force;
}

Result<Config> config_in_force(const Config& config, const Checkpoint& checkpoint) {
  const auto found = checkpoint.blobs.find(kStudiesBlob);
  if (found == checkpoint.blobs.end()) return config;
  ByteReader in(found->second);
  in.get<std::uint32_t>();  // the format: what comes first is the same in all
  const auto adopted = get_adopted(in);
  if (!in.ok()) return data_loss("the checkpoint's adopted settings cannot be read");
  return config_in_force(config, adopted);
}

std::vector<AdoptedSetting> adopted_with(const Config& config, std::span<const AdoptedSetting> before,
                                         std::span<const tuning::Setting> now) {
  std::vector<AdoptedSetting> adopted(before.begin(), before.end());
  for (const tuning::Setting& setting : now) {
    std::erase_if(adopted, [&](const AdoptedSetting& one) { return one.option == setting.option; });
    adopted.push_back({setting.option, setting.value, option_text(config, setting.option)});
  }
  return adopted;
}

}  // namespace freshet
