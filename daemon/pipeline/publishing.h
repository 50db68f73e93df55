// What an operator may ask of publishing, and the way of such a request into a running pipeline.
//
//   pause      candidates are no longer served; training goes on        resume     the gate decides again
//   promote    the newest candidate is served, whatever the gate said   pin        a version is served, and stays
//   roll_back  a kept version is served until a candidate proves itself to be no worse
//
// A request is recorded in the order of the log, durably, before it takes effect, so that a redo does the same there.
//
// Threads: values.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/predictor.h"
#include "core/status.h"
#include "learners/training/learner.h"

namespace freshet {

// Stored: new ones at the end.
enum class PublishingAction : std::uint8_t { kPause = 1, kResume, kPromote, kPin, kRollBack };

struct PublishingRequest {
  PublishingAction action = PublishingAction::kPause;
  std::uint64_t version = 0;  // pin, roll_back; 0: the served one, or the one before it
};

struct PublishingAnswer {
  std::uint64_t served_version = 0;
  bool paused = false;
  std::uint64_t pinned_version = 0;  // 0: none
};

// The model versions of a checkpoint.
struct StoredVersions {
  std::shared_ptr<const Predictor> made;  // the candidate of the last round
  bool learner_has_made = false;          // its state gives it again: no round failed since
  std::shared_ptr<const Predictor> served;
  std::shared_ptr<const Predictor> trusted;            // by the gate; null: none
  std::shared_ptr<const Predictor> anchor;             // the gate's; null: none
  std::shared_ptr<const Predictor> reference;          // of the drift watch; null: none
  std::vector<std::shared_ptr<const Predictor>> kept;  // newest first, without the served one
};
// `learner` has loaded the checkpoint's state already. data_loss for damaged bytes. Blobs: of the checkpoint; those of
// a time without the gate give the learner's last version.
Result<StoredVersions> load_versions(const std::map<std::string, std::string, std::less<>>& blobs, Learner& learner,
                                     std::uint64_t served_version,
                                     const std::function<Result<std::shared_ptr<const Predictor>>()>& served_average);

std::string_view publishing_action_name(PublishingAction action);
Result<PublishingAction> parse_publishing_action(std::string_view name);

}  // namespace freshet
