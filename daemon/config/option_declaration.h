// How options are declared: the words that option_table.cc and its parts are written in.
//
// Threads: used once, when the table is made.  Owns: nothing.  Failure: none.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "daemon/config/option_table.h"

namespace freshet::declaration {

// An accessor for one field, from which both directions of an option are made.
#define FIELD(path) [](auto& config) -> auto& { return config.path; }  // NOLINT(bugprone-macro-parentheses)

template <typename Field>
OptionValue to_value(const Field& field) {
  if constexpr (std::is_same_v<Field, bool>) {
    return field;
  } else if constexpr (std::is_enum_v<Field> || std::is_integral_v<Field>) {
    return static_cast<std::int64_t>(field);
  } else {
    return field;
  }
}

template <typename Field>
void assign(Field& field, const OptionValue& value) {
  if constexpr (std::is_same_v<Field, bool>) {
    field = std::get<bool>(value);
  } else if constexpr (std::is_enum_v<Field> || std::is_integral_v<Field>) {
    field = static_cast<Field>(std::get<std::int64_t>(value));  // within bounds: parse_option saw to it
  } else {
    field = std::get<Field>(value);
  }
}

// An Option under construction; each word says one property of it.
class Declare {
 public:
  template <typename Access>
  Declare(std::string name, OptionType type, Access access, std::string help) {
    option_.name = std::move(name);
    option_.type = type;
    option_.help = std::move(help);
    option_.set = [access](Config& config, const OptionValue& value) { assign(access(config), value); };
    option_.get = [access](const Config& config) { return to_value(access(config)); };
  }
  Declare&& between(double lowest, double highest) && {
    option_.lowest = lowest;
    option_.highest = highest;
    return std::move(*this);
  }
  Declare&& above(double lowest, double highest) && {  // the lowest itself is out
    option_.above_lowest = true;
    return std::move(*this).between(lowest, highest);
  }
  Declare&& below(double lowest, double highest) && {  // the highest itself is out
    option_.below_highest = true;
    return std::move(*this).between(lowest, highest);
  }
  Declare&& inside(double lowest, double highest) && {  // both are out
    option_.above_lowest = option_.below_highest = true;
    return std::move(*this).between(lowest, highest);
  }
  Declare&& choices(std::vector<std::string> names) && {
    option_.choices = std::move(names);
    return std::move(*this);
  }
  Declare&& example(std::string text) && {
    option_.example = std::move(text);
    return std::move(*this);
  }
  Declare&& or_none() && {
    option_.may_be_none = true;
    return std::move(*this);
  }
  Declare&& secret() && {
    option_.secret = true;
    return std::move(*this);
  }
  Declare&& live() && {
    option_.change = Change::kLive;
    return std::move(*this);
  }
  Declare&& new_state() && {
    option_.change = Change::kNewState;
    return std::move(*this);
  }
  Option take() && { return std::move(option_); }

 private:
  Option option_;
};

using Type = OptionType;
using List = std::vector<Option>;

inline constexpr double kSecond = 1000;
inline constexpr double kHour = 3600 * kSecond;
inline constexpr double kDay = 24 * kHour;
inline constexpr double kKiB = 1024;
inline constexpr double kMiB = 1024 * kKiB;
inline constexpr double kGiB = 1024 * kMiB;
inline constexpr double kThreadsMax = 256;
inline constexpr double kEventsMax = 1e12;

inline void add(List& list, Declare&& option) { list.push_back(std::move(option).take()); }

}  // namespace freshet::declaration

namespace freshet {

void add_learning_options(std::vector<Option>& list);  // learning_options.cc
void add_strategy_options(std::vector<Option>& list);  // strategy_options.cc
void add_drift_options(std::vector<Option>& list);     // drift_options.cc
void add_gate_options(std::vector<Option>& list);      // gate_options.cc
void add_security_options(std::vector<Option>& list);  // security_options.cc
void add_tuning_options(std::vector<Option>& list);    // tuning_options.cc

}  // namespace freshet
