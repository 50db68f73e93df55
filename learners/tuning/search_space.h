// SearchSpace: the values of one option that a tuning study may try, declared once for each option that is worth
// searching. A study draws from them; an option is searched only where the options that it depends on have been drawn,
// or are set, to fit.
//
// Threads: values.  Owns: nothing.  Failure: check() says what is wrong with a space.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"

namespace freshet {

struct SearchSpace {
  enum class Kind : std::uint8_t { kFloat, kLogFloat, kInteger, kLogInteger, kChoice };
  struct Condition {
    std::string option;
    std::vector<std::string> values;  // one of these, as the option is written
  };

  std::string option;  // dotted name: "learning.learning_rate"
  Kind kind = Kind::kFloat;
  double lowest = 0.0;  // of a number; both ends are in
  double highest = 0.0;
  std::vector<std::string> choices;   // kChoice, as the option is written
  std::vector<Condition> conditions;  // all of them

  static SearchSpace linear(std::string option, double lowest, double highest);
  static SearchSpace logarithmic(std::string option, double lowest, double highest);
  static SearchSpace integer(std::string option, std::int64_t lowest, std::int64_t highest);
  static SearchSpace log_integer(std::string option, std::int64_t lowest, std::int64_t highest);
  static SearchSpace choice(std::string option, std::vector<std::string> choices);
  // Adds a condition.
  SearchSpace&& when(std::string other, std::vector<std::string> values) &&;
};

Status check(const SearchSpace& space);

// What tuning searches of the strategies, beside which one it is: that decides what a memory stores. The weights of DER
// and DER++ span what its paper tried.
std::vector<SearchSpace> strategy_search_spaces();

// What tuning searches of the optimizers and schedules. Rates and momentum of SGD and weight decay are Renate's
// (0.001 to 0.5; 0, 0.9, 0.99; 1e-6 to 1e-2).
std::vector<SearchSpace> optimizer_search_spaces();
std::vector<SearchSpace> schedule_search_spaces();
// Of the built-in models: each of them starts from weights of its own.
std::vector<SearchSpace> model_search_spaces();

}  // namespace freshet
