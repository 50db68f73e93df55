// The option table: every option of Freshet, declared once. Parsing, bounds, `--set`, the environment, `config show`,
// the reference page and the reload plan are all read from it.
//
// An Option reaches its field of Config through two functions, made from one accessor, so that the field's own default
// is the option's default.
//
// Threads: the table is immutable.  Failure: none; `parse_option` answers with what was expected.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/config/yaml_tree.h"

namespace freshet {

enum class OptionType : std::uint8_t {
  kBool,
  kWhole,
  kReal,
  kText,
  kChoice,
  kDuration,
  kBytes,
  kWholeList,
  kRealList,
  kTextList,
  kTextMap,
  kClasses,
  kFeatures,
  kDetectors,
};

// When a changed value takes effect.
enum class Change : std::uint8_t {
  kLive,      // on SIGHUP
  kRestart,   // after a restart
  kNewState,  // with a fresh memory.path: what is stored depends on it
};

using OptionValue =
    std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>,
                 std::vector<std::string>, std::map<std::string, std::string>, ClassList, FeatureList, DetectorList>;

struct Option {
  std::string name;  // dotted
  OptionType type = OptionType::kText;
  std::string help;
  Change change = Change::kRestart;
  std::vector<std::string> choices;  // kChoice, in the order of the enum
  // Bounds of a number, of each number of a list, of a duration in ms, of a size in bytes.
  std::optional<double> lowest;
  std::optional<double> highest;
  bool above_lowest = false;   // the lowest itself is out
  bool below_highest = false;  // the highest itself is out
  bool may_be_none = false;    // zero, or an empty text, means "none" and is written so
  bool secret = false;         // never printed; of a map: the values of properties that is_secret_property names
  std::string example;

  std::function<void(Config&, const OptionValue&)> set;
  std::function<OptionValue(const Config&)> get;
};

// In the order of the reference page; options of one section stand together.
const std::vector<Option>& option_table();
const Option* find_option(std::string_view name);

// The value of an option as it is written: option_text(config, "learning.optimizer") is "adagrad". Aborts on a name
// that is no option.
std::string option_text(const Config& config, std::string_view name);

// True when options live below `name`: "learning", "learning.round".
bool is_section(std::string_view name);

// `name` with what it was probably meant to be: "did you mean 'x'?", or the empty text.
std::string option_hint(std::string_view name);

// Reads a value. On failure each fault says what was expected, where, with an example; no value comes back.
std::optional<OptionValue> parse_option(const Option& option, const YamlNode& node, std::vector<YamlFault>& faults);

// The value as one line of YAML that reads back as the same value. Secrets are masked unless `reveal`.
std::string format_option(const Option& option, const OptionValue& value, bool reveal = false);

// "0 to 1", "at least 1", "above 0, at most 10", or the empty text.
std::string bounds_text(const Option& option);
std::string_view type_words(OptionType type);

// True for librdkafka properties whose value must not be seen.
bool is_secret_property(std::string_view property);

}  // namespace freshet
