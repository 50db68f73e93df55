// The part of Pipeline that decides what is served: candidates before the gate, rollbacks, what an operator asks for;
// and what a checkpoint keeps of versions that the learner itself no longer has.
#include "daemon/pipeline/publishing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "daemon/pipeline/pipeline.h"
#include "daemon/pipeline/served_average.h"

namespace freshet {
namespace {

constexpr std::string_view kGateBlob = "gate";
constexpr std::string_view kVersionsBlob = "gate_versions";
constexpr std::uint64_t kVersionsMax = 16;

// How a checkpoint has a version.
enum class StoredAs : std::uint8_t {
  kMade = 0,     // what the learner published last: its state gives it again
  kAverage = 1,  // the average that is served: its state stands in a blob of its own
  kBytes = 2,
};

constexpr std::array<std::pair<PublishingAction, std::string_view>, 5> kActions = {
    {{PublishingAction::kPause, "pause"},
     {PublishingAction::kResume, "resume"},
     {PublishingAction::kPromote, "promote"},
     {PublishingAction::kPin, "pin"},
     {PublishingAction::kRollBack, "roll_back"}}};

}  // namespace

std::string_view publishing_action_name(PublishingAction action) {
  for (const auto& [known, name] : kActions) {
    if (known == action) return name;
  }
  return "unknown";
}

Result<PublishingAction> parse_publishing_action(std::string_view name) {
  for (const auto& [action, known] : kActions) {
    if (known == name) return action;
  }
  return invalid_argument(fmt::format("'{}' is none of pause, resume, promote, pin, roll_back", name));
}

GateRows Pipeline::gate_rows(std::uint64_t round) const {
  return {gathering_, {*state_->gating_set, *codec_, state_->encoder->layout()}, state_->counters.next_seq - 1, round};
}

// Before anything else is decided at this place of the stream, so that a redo, which comes by the same places, decides
// in the same order.
Status Pipeline::watch_served(bool record, std::uint64_t recorded_rollback) {
  const auto served = parts_.slot.current();
  const bool worse = TRY(gate_->watch(*served, gate_rows(state_->counters.next_round)));
  if (!record) return recorded_rollback > 0 ? give_way(served->version(), recorded_rollback) : Status::ok();
  if (!worse) return Status::ok();
  const std::uint64_t trusted = gate_->trusted()->version();
  TRY(record_order(OrderKind::kRolledBack, state_->counters.next_round, trusted));
  return give_way(served->version(), trusted);
}

Status Pipeline::give_way(std::uint64_t worse_version, std::uint64_t to) {
  auto trusted = gate_->trusted();
  if (trusted == nullptr || trusted->version() != to) trusted = version_at_hand(to);
  if (trusted == nullptr) {
    parts_.log.warning("rollback_left_out",
                       fmt::format("the log goes back to model version {}, which is not kept any more", to));
    return Status::ok();
  }
  parts_.log.warning("rolled_back", fmt::format("model version {} was worse than version {} on fresh events, which is "
                                                "served again",
                                                worse_version, trusted->version()));
  gate_->rolled_back(worse_version);
  metrics_.rollbacks.increment();
  go_live(trusted, /*again=*/true);
  return Status::ok();
}

void Pipeline::go_live(std::shared_ptr<const Predictor> model, bool again) {
  const std::uint64_t version = model->version();
  parts_.slot.publish(std::move(model), again);
  served_average_.clear();
  state_->counters.served_version = version;
  ++state_->counters.swaps;
  metrics_.swaps.increment();
  metrics_.model_version.set(static_cast<double>(version));
  metrics_.live_since.set(static_cast<double>(parts_.clock.wall_ms()) * 1e-3);
}

// A candidate waits for fresh events to be judged by, but not for long. Where that is stands in the log.
bool Pipeline::candidate_ready() {
  if (!trainer_->done()) {
    candidate_since_ns_ = 0;
    return false;
  }
  if (!gate_->enabled() || gathering_.size() >= config_.serving.gate.rows) return true;
  if (gate_->proving()) return false;  // the next cut has more to prove it on
  const std::int64_t now = parts_.clock.monotonic_ns();
  if (candidate_since_ns_ == 0) candidate_since_ns_ = now;
  return now - candidate_since_ns_ >= config_.serving.gate.wait_ms * 1'000'000;
}

// Whether the candidate of a round may go live; recorded either way before anything comes of it. In a redo what is
// recorded counts.
Result<bool> Pipeline::judge(const std::shared_ptr<const Predictor>& candidate, std::uint64_t round,
                             Recorded recorded) {
  const GateVerdict verdict =
      TRY(gate_->judge(*candidate, *parts_.slot.current(), state_->counters.cut_seq - 1, gate_rows(round)));
  metrics_.count_verdict(verdict.reason);
  made_ = candidate;
  learner_has_made_ = true;
  if (recorded == Recorded::kNot) {
    const auto kind = verdict.passed() ? OrderKind::kGoLive : OrderKind::kRejected;
    TRY(record_order(kind, round, candidate->version()));
    if (!verdict.passed()) {
      parts_.log.info("candidate_rejected", fmt::format("model version {}: {}", candidate->version(), verdict.words),
                      {{"reason", gate_reason_name(verdict.reason)}});
    }
    return verdict.passed();
  }
  const bool went_live = recorded == Recorded::kWentLive;
  if (went_live != verdict.passed()) {
    parts_.log.info("verdict_differs", fmt::format("model version {} was {} when it was made, and would not be now",
                                                   candidate->version(), went_live ? "served" : "rejected"));
  }
  return went_live;
}

Result<PublishingAnswer> Pipeline::control_publishing(PublishingRequest request, std::chrono::milliseconds timeout) {
  return publishing_mailbox_.post(request, timeout);
}

// What could not be recorded ends nothing: who asked is told.
void Pipeline::serve_publishing() {
  for (const auto& request : publishing_mailbox_.take()) {
    publishing_mailbox_.answer(*request, publish_as_asked(request->question));
    update_snapshot();
  }
}

Result<PublishingAnswer> Pipeline::publish_as_asked(const PublishingRequest& request) {
  PublishingRequest resolved = request;
  resolved.version = TRY(version_meant(request));
  TRY(record_order(OrderKind::kPublishing, static_cast<std::uint64_t>(resolved.action), resolved.version));
  // What stands in the log is done, also where it could not be synced: a redo would do it.
  Status synced = parts_.store.sync();
  apply_publishing(resolved);
  TRY(std::move(synced));
  parts_.log.info("publishing", fmt::format("{}, asked for: model version {} is served",
                                            publishing_action_name(resolved.action), state_->counters.served_version));
  return PublishingAnswer{state_->counters.served_version, gate_->paused(), gate_->pinned_version()};
}

// The version that a request is about, which must be at hand.
Result<std::uint64_t> Pipeline::version_meant(const PublishingRequest& request) const {
  const std::uint64_t served = parts_.slot.current()->version();
  std::uint64_t version = request.version;
  switch (request.action) {
    case PublishingAction::kPause:
    case PublishingAction::kResume:
      return served;
    case PublishingAction::kPromote:
      version = made_->version();
      break;
    case PublishingAction::kPin:
      if (version == 0) version = served;
      break;
    case PublishingAction::kRollBack: {
      // An earlier one: to ask twice goes back twice, and never forth again.
      for (const std::uint64_t loaded : parts_.slot.loaded_versions()) {
        if (request.version == 0 && loaded < served) version = std::max(version, loaded);
      }
      if (version == 0) return failed_precondition("no version before the served one is kept");
      break;
    }
  }
  if (version_at_hand(version) == nullptr) {
    std::string kept;
    for (const std::uint64_t loaded : parts_.slot.loaded_versions()) {
      kept += (kept.empty() ? "" : ", ") + std::to_string(loaded);
    }
    return not_found(fmt::format("model version {} is not kept any more; there are {}", version, kept));
  }
  return version;
}

// A served average has the number of the version that was served before it: the plain one comes first.
std::shared_ptr<const Predictor> Pipeline::version_at_hand(std::uint64_t version) const {
  if (made_ != nullptr && made_->version() == version) return made_;
  for (const auto& kept : parts_.slot.kept()) {
    if (kept->version() == version) return kept;
  }
  if (auto loaded = parts_.slot.find(version)) return loaded;
  const auto& trusted = gate_->trusted();
  return trusted != nullptr && trusted->version() == version ? trusted : nullptr;
}

void Pipeline::apply_publishing(const PublishingRequest& request) {
  const auto before = parts_.slot.current();
  const bool stays = request.version == before->version() && request.action != PublishingAction::kPromote &&
                     request.action != PublishingAction::kRollBack;
  const auto model = stays ? before : version_at_hand(request.version);
  if (model == nullptr) {
    parts_.log.warning("publishing_left_out", fmt::format("the log says {} version {}, which is not kept any more",
                                                          publishing_action_name(request.action), request.version));
    return;
  }
  gate_->controlled(request, model != before);
  if (model == before) return;
  go_live(model, /*again=*/model != made_);
}

// After the learner's own state, which the versions are told beside: each once, then which of them is served, trusted
// and kept.
Status Pipeline::save_publishing(Blobs& parts) const {
  ByteWriter gate;
  gate_->save(gate);
  parts[std::string(kGateBlob)] = gate.take();

  const auto served = parts_.slot.current();
  std::vector<std::shared_ptr<const Predictor>> versions = {made_, served};
  const auto place_of = [&](const std::shared_ptr<const Predictor>& version) -> std::uint64_t {
    const auto found = std::find(versions.begin(), versions.end(), version);
    if (found != versions.end()) return static_cast<std::uint64_t>(found - versions.begin());
    versions.push_back(version);
    return versions.size() - 1;
  };
  std::vector<std::uint64_t> kept;
  for (const auto& version : parts_.slot.kept()) kept.push_back(place_of(version));
  const std::uint64_t trusted = gate_->trusted() == nullptr ? kVersionsMax : place_of(gate_->trusted());
  const std::uint64_t anchor = gate_->anchor() == nullptr ? kVersionsMax : place_of(gate_->anchor());
  const auto& reference_model = state_->drift->reference();
  const std::uint64_t reference = reference_model == nullptr ? kVersionsMax : place_of(reference_model);
  ByteWriter out;
  out.put(made_->version());
  out.put<std::uint64_t>(versions.size());
  for (const auto& version : versions) {
    const bool average = version == served && !served_average_.empty();
    const auto as =
        average ? StoredAs::kAverage : (version == made_ && learner_has_made_ ? StoredAs::kMade : StoredAs::kBytes);
    out.put(as);
    if (as == StoredAs::kBytes) {
      TRY(learner_->save_published(*version, out).with_context("saving a model version"));
    }
  }
  out.put(place_of(served));
  out.put(trusted);
  out.put(anchor);
  out.put_span(std::span<const std::uint64_t>(kept));
  if (reference != kVersionsMax) out.put(reference);
  parts[std::string(kVersionsBlob)] = out.take();
  return Status::ok();
}

Result<StoredVersions> load_versions(const std::map<std::string, std::string, std::less<>>& blobs, Learner& learner,
                                     std::uint64_t served_version,
                                     const std::function<Result<std::shared_ptr<const Predictor>>()>& served_average) {
  StoredVersions versions;
  const auto found = blobs.find(kVersionsBlob);
  if (found == blobs.end()) {
    versions.made = learner.republish(served_version);
    versions.learner_has_made = true;
    versions.served = blobs.contains(kServedAverageBlob) ? TRY(served_average()) : versions.made;
    return versions;
  }
  ByteReader in(found->second);
  const auto made_version = in.get<std::uint64_t>();
  const auto count = in.get<std::uint64_t>();
  std::vector<std::shared_ptr<const Predictor>> loaded;
  for (std::uint64_t i = 0; i < count && i < kVersionsMax && in.ok(); ++i) {
    switch (in.get<StoredAs>()) {
      case StoredAs::kMade:
        versions.learner_has_made = true;
        loaded.push_back(learner.republish(made_version));
        break;
      case StoredAs::kAverage:
        loaded.push_back(TRY(served_average()));
        break;
      case StoredAs::kBytes:
        loaded.push_back(TRY(learner.load_published(in).with_context("reading a model version")));
        break;
      default:
        return data_loss("the checkpoint's model versions are damaged");
    }
  }
  const auto served = in.get<std::uint64_t>();
  const auto trusted = in.get<std::uint64_t>();
  const auto anchor = in.get<std::uint64_t>();
  const auto kept = in.get_vector<std::uint64_t>();
  const auto reference = in.ok() && !in.at_end() ? in.get<std::uint64_t>() : kVersionsMax;
  const bool whole = in.ok() && served < loaded.size() && (trusted < loaded.size() || trusted == kVersionsMax) &&
                     (anchor < loaded.size() || anchor == kVersionsMax) &&
                     (reference < loaded.size() || reference == kVersionsMax) &&
                     std::ranges::all_of(kept, [&](std::uint64_t place) { return place < loaded.size(); });
  if (!whole) return data_loss("the checkpoint's model versions are damaged");
  versions.made = loaded[0];
  versions.served = loaded[served];
  if (trusted != kVersionsMax) versions.trusted = loaded[trusted];
  if (anchor != kVersionsMax) versions.anchor = loaded[anchor];
  if (reference != kVersionsMax) versions.reference = loaded[reference];
  for (const std::uint64_t place : kept) versions.kept.push_back(loaded[place]);
  return versions;
}

// After the learner was loaded, and the average that is served.
Status Pipeline::restore_publishing(const Checkpoint* checkpoint) {
  const Blobs none;
  const Blobs& blobs = checkpoint == nullptr ? none : checkpoint->blobs;
  if (const auto gate = blobs.find(kGateBlob); gate != blobs.end()) {
    ByteReader in(gate->second);
    TRY(gate_->load(in));
  }
  const StoredVersions versions =
      TRY(load_versions(blobs, *learner_, state_->counters.served_version, [this] { return averaged_model(); }));
  made_ = versions.made;
  learner_has_made_ = versions.learner_has_made;
  for (auto kept = versions.kept.rbegin(); kept != versions.kept.rend(); ++kept) parts_.slot.publish(*kept);
  parts_.slot.publish(versions.served);
  gate_->restore(versions.trusted, versions.anchor);
  state_->drift->restore_reference(versions.reference);
  return Status::ok();
}

}  // namespace freshet
