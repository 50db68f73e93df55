// The table itself: what must hold for every option, whoever adds one.
#include "daemon/config/option_table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "daemon/config/config_loader.h"
#include "daemon/config/value_text.h"
#include "learners/tuning/search_space.h"

namespace freshet {
namespace {

const Config& defaults() {
  static const Config kDefaults;
  return kDefaults;
}

YamlNode parse(const std::string& text) {
  std::vector<YamlFault> faults;
  auto node = parse_yaml(text, Origin{Origin::Kind::kFile, "t", 0, 0}, faults);
  EXPECT_TRUE(node.is_ok()) << text;
  return node.is_ok() ? std::move(node).value() : YamlNode{};
}

TEST(OptionTable, NamesAreUniqueAndSectionsStandTogether) {
  std::set<std::string> names;
  std::set<std::string> closed;
  std::string section;
  for (const auto& option : option_table()) {
    EXPECT_TRUE(names.insert(option.name).second) << option.name;
    EXPECT_EQ(option.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_."), std::string::npos)
        << option.name;
    EXPECT_EQ(option.name.find("__"), std::string::npos) << option.name;
    const auto top = option.name.substr(0, option.name.find('.'));
    ASSERT_LT(top.size(), option.name.size()) << "an option needs a section: " << option.name;
    if (top != section) {
      EXPECT_TRUE(closed.insert(top).second) << "section " << top << " is torn apart";
      section = top;
    }
    EXPECT_FALSE(is_section(option.name)) << option.name;
  }
}

TEST(OptionTable, EveryOptionSaysWhatItDoes) {
  for (const auto& option : option_table()) {
    EXPECT_GT(option.help.size(), 10U) << option.name;
    EXPECT_EQ(option.help.back(), '.') << option.name;
    EXPECT_EQ(option.help.find('|'), std::string::npos) << option.name << " would break the reference's table";
  }
}

TEST(OptionTable, DefaultsAndExamplesAreValidAndReadBack) {
  for (const auto& option : option_table()) {
    const std::string standard = format_option(option, option.get(defaults()), true);
    for (const auto& text : {standard, option.example}) {
      if (text.empty()) continue;
      std::vector<YamlFault> faults;
      const auto value = parse_option(option, parse(text), faults);
      ASSERT_TRUE(value.has_value()) << option.name << " = " << text << ": " << (faults.empty() ? "" : faults[0].what);
      Config config;
      option.set(config, *value);
      const std::string again = format_option(option, option.get(config), true);
      const auto reparsed = parse_option(option, parse(again), faults);
      ASSERT_TRUE(reparsed.has_value()) << option.name << " = " << again;
      EXPECT_EQ(format_option(option, *reparsed, true), again) << option.name;
      if (text == standard) {
        EXPECT_EQ(again, standard) << option.name;
      }
    }
  }
}

TEST(OptionTable, NumbersAreBoundedSoThatTheyFitTheirField) {
  for (const auto& option : option_table()) {
    const bool number = option.type == OptionType::kWhole || option.type == OptionType::kReal ||
                        option.type == OptionType::kDuration || option.type == OptionType::kBytes ||
                        option.type == OptionType::kWholeList || option.type == OptionType::kRealList;
    if (!number) continue;
    ASSERT_TRUE(option.lowest && option.highest) << option.name;
    if (option.type != OptionType::kWhole) continue;
    // Both ends survive the way into the field and back.
    for (const double bound : {*option.lowest, *option.highest}) {
      Config config;
      option.set(config, static_cast<std::int64_t>(bound));
      EXPECT_EQ(std::get<std::int64_t>(option.get(config)), static_cast<std::int64_t>(bound)) << option.name;
    }
  }
}

TEST(OptionTable, EveryChoiceReachesItsFieldAndNoOther) {
  for (const auto& option : option_table()) {
    if (option.type != OptionType::kChoice) continue;
    ASSERT_FALSE(option.choices.empty()) << option.name;
    for (const auto& choice : option.choices) {
      std::vector<YamlFault> faults;
      const auto value = parse_option(option, parse(choice), faults);
      ASSERT_TRUE(value.has_value()) << option.name;
      Config config;
      option.set(config, *value);
      EXPECT_EQ(option_text(config, option.name), choice);
      for (const auto& other : option_table()) {
        if (other.name != option.name) {
          EXPECT_EQ(option_text(config, other.name), option_text(defaults(), other.name))
              << option.name << " writes " << other.name;
        }
      }
    }
  }
}

TEST(OptionTable, EveryOptionIsSetFromTheEnvironment) {
  for (const auto& option : option_table()) {
    std::string variable = "FRESHET_";
    for (const char c : option.name)
      variable += c == '.' ? std::string("__") : std::string(1, static_cast<char>(std::toupper(c)));
    LoadOptions options;
    const std::string value =
        option.example.empty() ? format_option(option, option.get(defaults()), true) : option.example;
    options.environment = {{variable, value}};
    const auto loaded = load_config_with_origins(options);
    if (!loaded) {  // the value may need another option beside it, but it must have been read
      EXPECT_EQ(loaded.status().message().find("no such option"), std::string::npos) << loaded.status().message();
      continue;
    }
    EXPECT_EQ(loaded->origins.count(option.name), 1U) << variable;
  }
}

TEST(OptionTable, ASecretIsMaskedAndKeptOutOfErrors) {
  Option option = *find_option("stream.topic");
  option.secret = true;
  EXPECT_EQ(format_option(option, std::string("hunter2")), "\"********\"");
  EXPECT_EQ(format_option(option, std::string("hunter2"), true), "hunter2");
  option.type = OptionType::kWhole;
  option.may_be_none = false;
  std::vector<YamlFault> faults;
  EXPECT_FALSE(parse_option(option, parse("hunter2"), faults).has_value());
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0].what.find("hunter2"), std::string::npos);
}

// Each end of a range and each choice can be written, and so can what a space depends on.
TEST(OptionTable, SearchSpacesHoldValuesOfTheirOptions) {
  auto spaces = optimizer_search_spaces();
  for (auto& space : schedule_search_spaces()) spaces.push_back(std::move(space));
  for (auto& space : model_search_spaces()) spaces.push_back(std::move(space));
  for (auto& space : strategy_search_spaces()) spaces.push_back(std::move(space));
  for (const auto& space : spaces) {
    SCOPED_TRACE(space.option);
    EXPECT_TRUE(check(space).is_ok()) << check(space).to_string();
    std::vector<std::pair<std::string, std::string>> written;
    for (const auto& choice : space.choices) written.emplace_back(space.option, choice);
    for (const auto& condition : space.conditions) {
      for (const auto& value : condition.values) written.emplace_back(condition.option, value);
    }
    if (space.kind != SearchSpace::Kind::kChoice) {
      written.emplace_back(space.option, fmt::format("{}", space.lowest));
      written.emplace_back(space.option, fmt::format("{}", space.highest));
    }
    for (const auto& [name, text] : written) {
      const Option* option = find_option(name);
      ASSERT_NE(option, nullptr) << name;
      std::vector<YamlFault> faults;
      EXPECT_TRUE(parse_option(*option, parse(text), faults).has_value()) << name << " = " << text;
    }
  }
}

// A study must never have two ranges to draw one option from, and every optimizer needs a rate.
TEST(OptionTable, EveryOptimizerHasOneSearchSpaceForItsRate) {
  for (const auto& optimizer : find_option("learning.optimizer")->choices) {
    int ranges = 0;
    for (const auto& space : optimizer_search_spaces()) {
      if (space.option != "learning.learning_rate") continue;
      const auto& values = space.conditions.at(0).values;
      ranges += std::count(values.begin(), values.end(), optimizer) > 0 ? 1 : 0;
    }
    EXPECT_EQ(ranges, 1) << optimizer;
  }
}

TEST(ValueText, ReadsNumbersDurationsAndSizes) {
  EXPECT_EQ(parse_whole("1_000_000"), 1'000'000);
  EXPECT_EQ(parse_whole("64k"), 64'000);
  EXPECT_EQ(parse_whole("1.5M"), 1'500'000);
  EXPECT_EQ(parse_whole("1e6"), 1'000'000);
  EXPECT_EQ(parse_whole("-3"), -3);
  EXPECT_EQ(parse_whole("9007199254740993"), 9'007'199'254'740'993);
  EXPECT_EQ(parse_duration_ms("250ms"), 250);
  EXPECT_EQ(parse_duration_ms("1.5h"), 5'400'000);
  EXPECT_EQ(parse_duration_ms("2 w"), 14LL * 86'400'000);
  EXPECT_EQ(parse_duration_ms("0"), 0);
  EXPECT_EQ(parse_bytes("64MiB"), 64LL << 20);
  EXPECT_EQ(parse_bytes("1.5kB"), 1500);
  EXPECT_EQ(parse_bytes("4096"), 4096);
  for (const char* bad : {"", "_1", "1_", "k", "1.5", "1e30", "0x10", "1 000", "--1", "1k5"})
    EXPECT_FALSE(parse_whole(bad)) << bad;
  for (const char* bad : {"", "5", "s", "-5s", "5 parsecs", "5sec", "1e300d", "..s"})
    EXPECT_FALSE(parse_duration_ms(bad)) << bad;
  for (const char* bad : {"", "MiB", "-1", "64 mib", "1e6GiB"}) EXPECT_FALSE(parse_bytes(bad)) << bad;
  for (const char* bad : {"", "nan", "inf", "1,5", "1e999", "1 "}) EXPECT_FALSE(parse_real(bad)) << bad;
}

TEST(ValueText, WhatIsWrittenReadsBack) {
  for (const std::int64_t ms :
       {0LL, 1LL, 999LL, 1000LL, 1500LL, 60'000LL, 3'600'000LL, 86'400'000LL, 7 * 86'400'000LL, 123'456'789LL}) {
    EXPECT_EQ(parse_duration_ms(format_duration_ms(ms)), ms) << format_duration_ms(ms);
  }
  for (const std::int64_t bytes : {0LL, 1LL, 1000LL, 1024LL, 1500LL, 1LL << 20, 3LL << 30, 5LL << 40}) {
    EXPECT_EQ(parse_bytes(format_bytes(bytes)), bytes) << format_bytes(bytes);
  }
  for (const double real : {0.0, 0.1, 1e-300, 123456789.123, 0.9999}) EXPECT_EQ(parse_real(format_real(real)), real);
  for (const std::string text : {"plain", "a:9092", "none", "true", "", "a: b", "- x", "#", "\"quoted\"", "line\nfeed",
                                 "\x01", "Größe", "null", "~", "*a", "{", "x:", "[::1]:80"}) {
    EXPECT_EQ(parse("k: " + quote_yaml(text)).entries.at(0).value.text, text) << quote_yaml(text);
    EXPECT_EQ(parse("[" + quote_yaml(text) + "]").items.at(0).text, text) << quote_yaml(text);
  }
}

TEST(ValueText, FindsTheNearestName) {
  const std::vector<std::string> names = {"batch_size", "momentum", "loss"};
  EXPECT_EQ(nearest_name("batchsize", names), "batch_size");
  EXPECT_EQ(nearest_name("momentun", names), "momentum");
  EXPECT_EQ(nearest_name("los", names), "loss");
  EXPECT_FALSE(nearest_name("frobnicate", names).has_value());
  EXPECT_FALSE(nearest_name(std::string(100'000, 'x'), names).has_value());
}

}  // namespace
}  // namespace freshet
