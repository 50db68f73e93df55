// DriftDetector: watches one number an event and says when its distribution has changed.
//
// A detector that raised an alarm begins anew with the next number, as River's do; it does not say twice what it said
// once. Whether an alarm is worth acting on is DriftMonitor's business (monitor.h).
//
// Threads: one owner.  Owns: its statistics; memory is bounded by its settings, nothing is allocated in `update`.
// Failure: `update` refuses what is not finite, and what its kind cannot judge, with invalid_argument, and is then
// unchanged; `load` answers data_loss for bytes of another kind or other settings, or damaged ones, and is then reset.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/bytes.h"
#include "core/status.h"
#include "learners/drift/detector_settings.h"

namespace freshet {

enum class DriftState : std::uint8_t {
  kNone,
  kWarning,  // it may be changing; never said by detectors without a zone of warning
  kDrift,    // the alarm
};

class DriftDetector {
 public:
  explicit DriftDetector(DetectorSettings settings) : settings_(std::move(settings)) {}
  virtual ~DriftDetector() = default;
  DriftDetector(const DriftDetector&) = delete;
  DriftDetector& operator=(const DriftDetector&) = delete;

  std::string_view name() const { return settings_.kind().name; }
  const DetectorSettings& settings() const { return settings_; }

  // Takes the next number.
  Result<DriftState> update(double value);

  // What it watches, in its own terms: DetectorKind::statistic says what that is.
  virtual double statistic() const = 0;

  // As it was when it was made.
  virtual void reset() = 0;

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 protected:
  virtual Result<DriftState> observe(double value) = 0;  // finite
  virtual void save_state(ByteWriter& out) const = 0;
  virtual bool load_state(ByteReader& in) = 0;  // false where the values cannot be those of a detector

 private:
  DetectorSettings settings_;
};

}  // namespace freshet
