#include "daemon/pipeline/ingest_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/event_record.h"
#include "daemon/room_options.h"

namespace freshet {
namespace {

constexpr std::uint32_t kCountersFormat = 1;
// The generators of different purposes start apart, whatever the configured seed.
constexpr std::uint64_t kReplaySeed = 0x7265706c6179ULL;
constexpr std::uint64_t kMemorySeed = 0x6d656d6f7279ULL;
constexpr std::uint64_t kHeldOutSeed = 0x68656c64ULL;
constexpr std::uint64_t kGatingSeed = 0x67617465ULL;
constexpr std::uint64_t kTuningSeed = 0x74756e65ULL;

Result<std::string_view> blob(const Checkpoint& checkpoint, std::string_view name) {
  const auto found = checkpoint.blobs.find(name);
  if (found == checkpoint.blobs.end()) return data_loss(fmt::format("the checkpoint has no part '{}'", name));
  return std::string_view(found->second);
}

template <typename Part>
std::string saved(const Part& part) {
  ByteWriter out;
  part.save(out);
  return out.take();
}

template <typename Part>
Status load_part(const Checkpoint& checkpoint, std::string_view name, Part& part) {
  ByteReader in(TRY(blob(checkpoint, name)));
  TRY(part.load(in).with_context(name));
  return Status::ok();
}

}  // namespace

Result<std::uint64_t> first_event_needed(const Checkpoint& checkpoint) {
  ByteReader in(TRY(blob(checkpoint, "run")));
  const auto format = in.get<std::uint32_t>();
  const auto next_seq = in.get<std::uint64_t>();
  const auto round_begin_seq = in.get<std::uint64_t>();
  if (!in.ok() || format != kCountersFormat) return data_loss("the checkpoint's run counters cannot be read");
  return std::min(next_seq, round_begin_seq);
}

Result<std::unique_ptr<IngestState>> IngestState::create(const Config& config, const Schema& schema) {
  const std::uint64_t seed = config.model.seed;
  const EventSpec& spec = schema.spec();
  std::unique_ptr<IngestState> state(new IngestState(seed ^ kReplaySeed));
  state->encoder = TRY(FeatureEncoder::create(spec));
  const EventRecordCodec codec(schema, state->encoder->layout());
  state->memory_options_ = replay_options(config, codec.record_size(), seed ^ kMemorySeed);
  state->memory = TRY(ReplayMemory::create(state->memory_options_));
  HeldOutShares shares;
  shares.forgetting = config.evaluation.held_out_share;
  shares.gating = config.evaluation.gating_share;
  shares.tuning = config.evaluation.tuning_share;
  state->shares_ = shares;
  state->held_out_choice = std::make_unique<HeldOutChoice>(TRY(HeldOutChoice::create(shares)));
  HeldOutOptions held_out;
  held_out.events_per_slice_max = config.evaluation.held_out_per_slice;
  held_out.seed = seed ^ kHeldOutSeed;
  state->forgetting_set = std::make_unique<HeldOutSet>(held_out);
  const std::uint32_t sample_max = config.evaluation.held_out_per_set;
  state->gating_set = std::make_unique<HeldOutSample>(sample_max, seed ^ kGatingSeed);
  state->tuning_set = std::make_unique<HeldOutSample>(sample_max, seed ^ kTuningSeed);
  if (const auto slices = slice_spec(config)) {
    state->slices = std::make_unique<Slices>(TRY(Slices::create(*slices, schema)));
  }
  state->evaluation = std::make_unique<ProgressiveEvaluation>(evaluation_options(config, spec));
  state->forgetting = std::make_unique<Forgetting>();
  state->drift = TRY(DriftResponse::create(config, state->encoder->layout()));
  return state;
}

Status IngestState::store_with_events(std::vector<MetadataColumn> columns) {
  memory_options_.metadata.columns = std::move(columns);
  memory = TRY(ReplayMemory::create(memory_options_));
  return Status::ok();
}

std::map<std::string, std::string, std::less<>> IngestState::save() const {
  std::map<std::string, std::string, std::less<>> blobs;
  ByteWriter out;
  out.put(kCountersFormat);
  out.put(counters.next_seq);
  out.put(counters.round_begin_seq);
  out.put(counters.cut_seq);
  out.put(counters.next_round);
  out.put(counters.order_next);
  out.put(counters.served_version);
  out.put(counters.swaps);
  out.put(counters.rounds_failed);
  out.put<std::uint8_t>(counters.round_waits ? 1 : 0);
  for (const std::uint64_t word : replay_rng.state()) out.put(word);
  blobs["run"] = out.take();
  blobs["encoder"] = saved(*encoder);
  blobs[std::string(kReplayBlob)] = memory->header();
  blobs[std::string(kGarbageBlob)] = garbage.save();
  blobs["held_out_forgetting"] = forgetting_set->save();
  blobs["held_out_gating"] = gating_set->save();
  blobs["held_out_tuning"] = tuning_set->save();
  ByteWriter choice;
  for (const double share : {shares_.forgetting, shares_.gating, shares_.tuning}) choice.put(share);
  blobs["held_out_choice"] = choice.take();
  if (slices) blobs["slices"] = saved(*slices);
  blobs["evaluation"] = saved(*evaluation);
  blobs["forgetting"] = saved(*forgetting);
  blobs["drift"] = saved(*drift);
  return blobs;
}

void IngestState::hash_pages(StateHash& hash) {
  memory->dirty_pages(
      [&](std::uint32_t space, std::uint64_t page, std::string_view bytes) { page_hashes_.set(space, page, bytes); });
  for (const auto& [space, pages] : memory->page_counts()) page_hashes_.resize(space, pages);
  page_hashes_.add_to(hash);
}

// A checkpoint of an older build has none of these: the sets begin empty.
Status IngestState::load_held_out_samples(const Checkpoint& checkpoint) {
  if (checkpoint.blobs.contains("held_out_gating")) {
    const std::string_view gating = TRY(blob(checkpoint, "held_out_gating"));
    TRY(gating_set->load(gating));
    const std::string_view tuning = TRY(blob(checkpoint, "held_out_tuning"));
    TRY(tuning_set->load(tuning));
  }
  if (!checkpoint.blobs.contains("held_out_choice")) return Status::ok();
  ByteReader in(TRY(blob(checkpoint, "held_out_choice")));
  HeldOutShares stored;
  for (double* share : {&stored.forgetting, &stored.gating, &stored.tuning}) *share = in.get<double>();
  if (!in.at_end()) return data_loss("the checkpoint's held-out shares cannot be read");
  if (stored.forgetting == shares_.forgetting && stored.gating == shares_.gating && stored.tuning == shares_.tuning) {
    return Status::ok();
  }
  return failed_precondition(fmt::format(
      "the stored model was made with held-out shares of {} (forgetting), {} (gating) and {} (tuning), configured are "
      "{}, {} and {}: with these it would be judged on what it has learnt from; give back the old "
      "evaluation.held_out.* shares, or begin anew with another memory.path",
      stored.forgetting, stored.gating, stored.tuning, shares_.forgetting, shares_.gating, shares_.tuning));
}

void IngestState::hold_out(Purpose purpose, std::uint32_t slice, std::uint64_t seq, std::string_view record) {
  switch (purpose) {
    case Purpose::kTraining:
      break;
    case Purpose::kForgetting:
      forgetting_set->offer(slice, seq, record);
      break;
    case Purpose::kGating:
      gating_set->offer(seq, record);
      break;
    case Purpose::kTuning:
      tuning_set->offer(seq, record);
      break;
  }
}

Status IngestState::load(const Checkpoint& checkpoint, const Store& store) {
  ByteReader in(TRY(blob(checkpoint, "run")));
  if (in.get<std::uint32_t>() != kCountersFormat) return data_loss("the checkpoint's run counters have another format");
  counters.next_seq = in.get<std::uint64_t>();
  counters.round_begin_seq = in.get<std::uint64_t>();
  counters.cut_seq = in.get<std::uint64_t>();
  counters.next_round = in.get<std::uint64_t>();
  counters.order_next = in.get<std::uint64_t>();
  counters.served_version = in.get<std::uint64_t>();
  counters.swaps = in.get<std::uint64_t>();
  counters.rounds_failed = in.get<std::uint64_t>();
  counters.round_waits = in.get<std::uint8_t>() != 0;
  Rng::State words{};
  for (auto& word : words) word = in.get<std::uint64_t>();
  replay_rng.set_state(words);
  if (!in.at_end()) return data_loss("the checkpoint's run counters are cut short");
  TRY(load_part(checkpoint, "encoder", *encoder));
  const std::string_view memory_header = TRY(blob(checkpoint, kReplayBlob));
  page_hashes_.clear();
  TRY(memory->load(memory_header, [&](std::uint32_t space, const ReplayMemory::PageReader& reader) {
    return store.read_pages(checkpoint.info.id, space, [&](std::uint64_t page, std::string_view bytes) {
      page_hashes_.set(space, page, bytes);
      return reader(page, bytes);
    });
  }));
  const std::string_view waiting_garbage = TRY(blob(checkpoint, kGarbageBlob));
  TRY(garbage.load(waiting_garbage));
  const std::string_view held_out = TRY(blob(checkpoint, "held_out_forgetting"));
  TRY(forgetting_set->load(held_out));
  TRY(load_held_out_samples(checkpoint));
  if (slices) TRY(load_part(checkpoint, "slices", *slices));
  TRY(load_part(checkpoint, "evaluation", *evaluation));
  TRY(load_part(checkpoint, "forgetting", *forgetting));
  // A checkpoint of an older build has none: the watch begins anew.
  if (checkpoint.blobs.contains("drift")) TRY(load_part(checkpoint, "drift", *drift));
  return Status::ok();
}

}  // namespace freshet
