// What a kind of drift detector is and what can be set about it, declared once: the command line, the configuration
// and its reference page read the same declarations.
//
// Threads: declarations are immutable; settings are values.  Owns: settings their values, one a declared option.
// Failure: `set` answers invalid_argument with what was expected; asking for an option that the kind does not declare
// aborts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace freshet {

class DriftDetector;
class DetectorSettings;

enum class DetectorOptionType : std::uint8_t { kReal, kWhole, kFlag, kChoice };

struct DetectorOption {
  std::string_view name;
  DetectorOptionType type = DetectorOptionType::kReal;
  double standard = 0;  // the default; of a flag 0 or 1, of a choice its place
  double lowest = 0;
  double highest = 0;
  std::string_view unit;
  std::string_view help;
  bool above_lowest = false;   // the lowest itself is out
  bool below_highest = false;  // the highest itself is out
  std::span<const std::string_view> choices = {};
};

struct DetectorKind {
  std::string_view name;       // "page_hinkley"
  std::string_view title;      // what it is, in a line
  std::string_view source;     // the paper
  std::string_view input;      // what its numbers are
  bool errors_only;            // its numbers must be from 0 to 1
  std::string_view statistic;  // what DriftDetector::statistic is
  std::span<const DetectorOption> options;
  Status (*check)(const DetectorSettings& settings);  // what options ask of each other
  std::unique_ptr<DriftDetector> (*make)(const DetectorSettings& settings);
};

class DetectorSettings {
 public:
  explicit DetectorSettings(const DetectorKind& kind);

  const DetectorKind& kind() const { return *kind_; }

  // Both leave the settings as they were when they fail.
  Status set(std::string_view name, std::string_view text);
  Status assign(std::string_view assignment);  // "delta=0.002"

  double real(std::string_view name) const;
  std::uint64_t whole(std::string_view name) const;
  bool flag(std::string_view name) const;
  std::size_t choice(std::string_view name) const;  // its place

  // In the order of the kind's options.
  std::span<const double> values() const { return values_; }
  std::string text() const;  // "delta=0.002 clock=32 …"

 private:
  std::size_t place_of(std::string_view name) const;  // options.size(): there is none

  const DetectorKind* kind_;
  std::vector<double> values_;
};

// A value as it is written: "0.002", "true", "both".
std::string detector_option_text(const DetectorOption& option, double value);
// "above 0, at most 1", "true or false", "up, down or both".
std::string detector_option_bounds(const DetectorOption& option);

}  // namespace freshet
