// Values of options: from a YAML node, and back to text.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "daemon/config/drift_config.h"
#include "daemon/config/feature_config.h"
#include "daemon/config/option_table.h"
#include "daemon/config/value_text.h"

namespace freshet {
namespace {

constexpr std::string_view kMask = "\"********\"";

std::string_view expectation(OptionType type) {
  switch (type) {
    case OptionType::kBool:
      return "true or false";
    case OptionType::kWhole:
      return "a whole number";
    case OptionType::kReal:
      return "a number";
    case OptionType::kText:
      return "a text";
    case OptionType::kChoice:
      return "a word";
    case OptionType::kDuration:
      return "a duration with its unit (ms, s, m, h, d, w)";
    case OptionType::kBytes:
      return "a size with its unit (B, KiB, MiB, GiB)";
    case OptionType::kWholeList:
      return "a list of whole numbers";
    case OptionType::kRealList:
      return "a list of numbers";
    case OptionType::kTextList:
      return "a list of texts";
    case OptionType::kTextMap:
      return "a map of texts";
    case OptionType::kClasses:
      return "a number of classes or a list of their names";
    case OptionType::kFeatures:
      return "`auto` or a map of features";
    case OptionType::kDetectors:
      return "a list of detectors";
  }
  return "a value";
}

std::string example_of(const Option& option) {
  if (!option.example.empty()) return option.example;
  const Config defaults;
  return format_option(option, option.get(defaults));
}

// Collects faults of one option's value; `secret` keeps the value out of the message.
class ValueReader {
 public:
  ValueReader(const Option& option, std::vector<YamlFault>& faults) : option_(option), faults_(faults) {}

  std::optional<OptionValue> expected(const YamlNode& node) {
    std::string got(node.kind_words());
    if (node.kind == YamlNode::Kind::kScalar) got = option_.secret ? "something else" : fmt::format("'{}'", node.text);
    std::string what = fmt::format("{}: expected {}, such as {}; got {}", option_.name, expectation(option_.type),
                                   example_of(option_), got);
    if (node.kind == YamlNode::Kind::kNull) what += " (remove the line for the default)";
    return fault(node, std::move(what));
  }
  std::optional<OptionValue> fault(const YamlNode& node, std::string what) {
    faults_.push_back({node.origin, std::move(what)});
    return std::nullopt;
  }

  bool within(const YamlNode& node, double value) {
    const bool low = option_.lowest && (option_.above_lowest ? value <= *option_.lowest : value < *option_.lowest);
    const bool high = option_.highest && (option_.below_highest ? value >= *option_.highest : value > *option_.highest);
    if (!low && !high) return true;
    fault(node, fmt::format("{}: must be {}; got {}", option_.name, bounds_text(option_), node.text));
    return false;
  }

  template <typename Number>
  std::optional<OptionValue> number(const YamlNode& node, std::optional<Number> value) {
    if (!value) return expected(node);
    if (!within(node, static_cast<double>(*value))) return std::nullopt;
    return OptionValue(*value);
  }

  std::optional<OptionValue> choice(const YamlNode& node) {
    const auto found = std::find(option_.choices.begin(), option_.choices.end(), node.text);
    if (found != option_.choices.end()) return OptionValue(std::int64_t{found - option_.choices.begin()});
    const auto near = nearest_name(node.text, option_.choices);
    return fault(node, fmt::format("{}: expected {}{}; got '{}'{}", option_.name,
                                   option_.choices.size() > 1 ? "one of " : "", fmt::join(option_.choices, ", "),
                                   node.text, near ? fmt::format(" (did you mean '{}'?)", *near) : ""));
  }

  std::optional<OptionValue> scalar(const YamlNode& node) {
    switch (option_.type) {
      case OptionType::kBool: {
        const auto value = parse_bool(node.text);
        return value ? std::optional<OptionValue>(*value) : expected(node);
      }
      case OptionType::kWhole:
        return number(node, parse_whole(node.text));
      case OptionType::kReal:
        return number(node, parse_real(node.text));
      case OptionType::kDuration:
        return number(node, parse_duration_ms(node.text));
      case OptionType::kBytes:
        return number(node, parse_bytes(node.text));
      case OptionType::kChoice:
        return choice(node);
      case OptionType::kText:
        if (node.text.empty()) return expected(node);
        return OptionValue(node.text);
      default:
        return expected(node);
    }
  }

  // A list, or a single text with commas: `a:1,b:2`.
  std::optional<OptionValue> texts(const YamlNode& node) {
    std::vector<std::string> list;
    if (node.kind == YamlNode::Kind::kScalar) {
      std::string_view left = node.text;
      while (!left.empty()) {
        const auto comma = left.find(',');
        std::string_view part = left.substr(0, comma);
        left.remove_prefix(comma == std::string_view::npos ? left.size() : comma + 1);
        while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
        while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
        if (!part.empty()) list.emplace_back(part);
      }
      return OptionValue(list);
    }
    if (node.kind != YamlNode::Kind::kList) return expected(node);
    for (const auto& item : node.items) {
      if (item.kind != YamlNode::Kind::kScalar || item.text.empty()) return expected(item);
      list.push_back(item.text);
    }
    return OptionValue(list);
  }

  // A list of what `parse` reads: whole numbers, or any.
  template <typename Parse>
  std::optional<OptionValue> numbers(const YamlNode& node, Parse parse) {
    if (node.kind != YamlNode::Kind::kList) return expected(node);
    std::vector<typename decltype(parse(node.text))::value_type> list;
    for (const auto& item : node.items) {
      const auto value = item.kind == YamlNode::Kind::kScalar ? parse(item.text) : std::nullopt;
      if (!value) return expected(item);
      if (!within(item, static_cast<double>(*value))) return std::nullopt;
      list.push_back(*value);
    }
    return OptionValue(list);
  }

  std::optional<OptionValue> map(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::kMap) return expected(node);
    std::map<std::string, std::string> values;
    for (const auto& entry : node.entries) {
      if (entry.value.kind != YamlNode::Kind::kScalar) {
        fault(entry.value, fmt::format("{}: '{}' must have a single value; got {}", option_.name, entry.key,
                                       entry.value.kind_words()));
        return std::nullopt;
      }
      values[entry.key] = entry.value.text;
    }
    return OptionValue(std::move(values));
  }

  std::optional<OptionValue> classes(const YamlNode& node) {
    ClassList list;
    if (node.kind == YamlNode::Kind::kScalar) {
      const auto count = parse_whole(node.text);
      if (!count) return expected(node);
      if (!within(node, static_cast<double>(*count))) return std::nullopt;
      list.count = static_cast<std::uint32_t>(*count);
      return OptionValue(list);
    }
    const auto names = texts(node);
    if (!names) return std::nullopt;
    list.names = std::get<std::vector<std::string>>(*names);
    YamlNode count = node;
    count.text = fmt::format("{} names", list.names.size());
    if (!within(count, static_cast<double>(list.names.size()))) return std::nullopt;
    return OptionValue(list);
  }

 private:
  const Option& option_;
  std::vector<YamlFault>& faults_;
};

OptionValue none_of(const Option& option) {
  switch (option.type) {
    case OptionType::kText:
      return std::string();
    case OptionType::kReal:
      return 0.0;
    case OptionType::kClasses:
      return ClassList{};
    default:
      return std::int64_t{0};
  }
}

std::string join_texts(const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  quoted.reserve(texts.size());
  for (const auto& text : texts) quoted.push_back(quote_yaml(text));
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}

std::string join_map(const std::map<std::string, std::string>& map, bool reveal) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : map) {
    const bool hidden = !reveal && is_secret_property(key);
    parts.push_back(fmt::format("{}: {}", quote_yaml(key), hidden ? std::string(kMask) : quote_yaml(value)));
  }
  return fmt::format("{{{}}}", fmt::join(parts, ", "));
}

}  // namespace

std::optional<OptionValue> parse_option(const Option& option, const YamlNode& node, std::vector<YamlFault>& faults) {
  ValueReader reader(option, faults);
  const bool says_none =
      node.kind == YamlNode::Kind::kNull || (node.kind == YamlNode::Kind::kScalar && node.text == "none");
  if (option.may_be_none && says_none) return none_of(option);
  if (node.kind == YamlNode::Kind::kNull) return reader.expected(node);
  switch (option.type) {
    case OptionType::kTextList:
      return reader.texts(node);
    case OptionType::kWholeList:
      return reader.numbers(node, [](const std::string& text) { return parse_whole(text); });
    case OptionType::kRealList:
      return reader.numbers(node, [](const std::string& text) { return parse_real(text); });
    case OptionType::kTextMap:
      return reader.map(node);
    case OptionType::kClasses:
      return reader.classes(node);
    case OptionType::kFeatures: {
      auto features = parse_features(node, faults);
      return features ? std::optional<OptionValue>(std::move(*features)) : std::nullopt;
    }
    case OptionType::kDetectors: {
      auto detectors = parse_detectors(option.name, node, faults);
      return detectors ? std::optional<OptionValue>(std::move(*detectors)) : std::nullopt;
    }
    default:
      return node.kind == YamlNode::Kind::kScalar ? reader.scalar(node) : reader.expected(node);
  }
}

std::string format_option(const Option& option, const OptionValue& value, bool reveal) {
  if (option.secret && !reveal && option.type != OptionType::kTextMap) return std::string(kMask);
  switch (option.type) {
    case OptionType::kBool:
      return std::get<bool>(value) ? "true" : "false";
    case OptionType::kReal: {
      const double number = std::get<double>(value);
      return option.may_be_none && number == 0 ? "none" : format_real(number);
    }
    case OptionType::kText: {
      const auto& text = std::get<std::string>(value);
      return option.may_be_none && text.empty() ? "none" : quote_yaml(text);
    }
    case OptionType::kTextList:
      return join_texts(std::get<std::vector<std::string>>(value));
    case OptionType::kWholeList:
      return fmt::format("[{}]", fmt::join(std::get<std::vector<std::int64_t>>(value), ", "));
    case OptionType::kRealList: {
      std::vector<std::string> numbers;
      for (const double number : std::get<std::vector<double>>(value)) numbers.push_back(format_real(number));
      return fmt::format("[{}]", fmt::join(numbers, ", "));
    }
    case OptionType::kTextMap:
      return join_map(std::get<std::map<std::string, std::string>>(value), reveal || !option.secret);
    case OptionType::kClasses: {
      const auto& classes = std::get<ClassList>(value);
      if (!classes.names.empty()) return join_texts(classes.names);
      return classes.count == 0 ? "none" : fmt::format("{}", classes.count);
    }
    case OptionType::kFeatures:
      return format_features(std::get<FeatureList>(value));
    case OptionType::kDetectors:
      return format_detectors(std::get<DetectorList>(value));
    case OptionType::kWhole:
    case OptionType::kChoice:
    case OptionType::kDuration:
    case OptionType::kBytes:
      break;
  }
  const std::int64_t number = std::get<std::int64_t>(value);
  if (option.may_be_none && number == 0) return "none";
  if (option.type == OptionType::kChoice) return option.choices.at(static_cast<std::size_t>(number));
  if (option.type == OptionType::kDuration) return format_duration_ms(number);
  if (option.type == OptionType::kBytes) return format_bytes(number);
  return fmt::format("{}", number);
}

std::string bounds_text(const Option& option) {
  const auto text = [&](double bound) {
    if (option.type == OptionType::kDuration) return format_duration_ms(static_cast<std::int64_t>(bound));
    if (option.type == OptionType::kBytes) return format_bytes(static_cast<std::int64_t>(bound));
    if (option.type == OptionType::kReal || option.type == OptionType::kRealList) return format_real(bound);
    return fmt::format("{}", static_cast<std::int64_t>(bound));
  };
  if (!option.lowest || !option.highest) return "";
  if (option.above_lowest && option.below_highest) {
    return fmt::format("above {}, below {}", text(*option.lowest), text(*option.highest));
  }
  if (option.above_lowest) return fmt::format("above {}, at most {}", text(*option.lowest), text(*option.highest));
  if (option.below_highest) return fmt::format("at least {}, below {}", text(*option.lowest), text(*option.highest));
  return fmt::format("{} to {}", text(*option.lowest), text(*option.highest));
}

std::string_view type_words(OptionType type) {
  static constexpr std::array<std::string_view, 14> kWords = {
      "boolean",         "whole number",  "number", "text",
      "choice",          "duration",      "size",   "list of whole numbers",
      "list of numbers", "list of texts", "map",    "count or names",
      "features",        "detectors"};
  return kWords.at(static_cast<std::size_t>(type));
}

bool is_secret_property(std::string_view property) {
  return property.find("password") != std::string_view::npos || property.find("secret") != std::string_view::npos ||
         property == "ssl.key.pem" || property == "sasl.oauthbearer.config";
}

}  // namespace freshet
