// freshet drift: a drift detector over numbers on standard input.
#include <fmt/format.h>

#include <charconv>
#include <iostream>
#include <string>

#include "daemon/commands/commands.h"
#include "learners/drift/detectors.h"

namespace freshet {
namespace {

Result<std::unique_ptr<DriftDetector>> chosen_detector(const DriftArguments& arguments) {
  const DetectorKind* kind = TRY(find_detector(arguments.detector));
  DetectorSettings settings(*kind);
  for (const std::string& set : arguments.sets) TRY(settings.assign(set).with_context("--set"));
  return make_detector(settings);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

Result<double> read_number(std::string_view text) {
  const std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (!digits.empty() && error == std::errc() && end == digits.data() + digits.size()) return value;
  constexpr std::size_t kShown = 40;
  return invalid_argument(fmt::format("'{}{}' is not a number; there must be one number a line, such as 0.25",
                                      text.substr(0, kShown), text.size() > kShown ? "…" : ""));
}

Status watch(DriftDetector& detector, bool warnings) {
  std::ios::sync_with_stdio(false);
  std::string line;
  std::uint64_t position = 0;
  bool blank = false;
  for (; std::getline(std::cin, line); ++position) {
    const std::string where = fmt::format("line {}", position + 1);
    const std::string_view text = trimmed(line);
    if (blank) return invalid_argument(fmt::format("line {} is empty; there must be one number a line", position));
    if (text.empty()) {  // at the end it does no harm
      blank = true;
      continue;
    }
    const double value = TRY(read_number(text).with_context(where));
    const DriftState state = TRY(detector.update(value).with_context(where));
    if (state == DriftState::kNone || (state == DriftState::kWarning && !warnings)) continue;
    fmt::print("{}{}\n", position, state == DriftState::kWarning ? " warning" : "");
    if (std::fflush(stdout) != 0) return unavailable("standard output cannot be written to");
  }
  return std::cin.bad() ? unavailable("standard input cannot be read") : Status::ok();
}

}  // namespace

std::string describe_detectors() {
  std::string text = "Detectors, with what --set takes and its default:\n";
  for (const DetectorKind* kind : detector_kinds()) {
    text += fmt::format("  {}: {}\n    input: {}\n", kind->name, kind->title, kind->input);
    for (const DetectorOption& option : kind->options) {
      text += fmt::format("    {}={}  {} ({}{}{})\n", option.name, detector_option_text(option, option.standard),
                          option.help, option.unit, option.unit.empty() ? "" : "; ", detector_option_bounds(option));
    }
    text += fmt::format("    source: {}\n", kind->source);
  }
  return text;
}

int run_drift(const DriftArguments& arguments) {
  const auto detector = chosen_detector(arguments);
  if (!detector.is_ok()) {
    fmt::print(stderr, "freshet drift: {}\n", detector.status().message());
    return kExitUsage;
  }
  const Status watched = watch(**detector, arguments.warnings);
  if (watched.is_ok()) return kExitOk;
  fmt::print(stderr, "freshet drift: {}\n", watched.message());
  return kExitFailed;
}

}  // namespace freshet
