#include "daemon/pipeline/ingest_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "daemon/room_options.h"

namespace freshet {
namespace {

constexpr std::uint32_t kCountersFormat = 1;
// The generators of different purposes start apart, whatever the configured seed.
constexpr std::uint64_t kReplaySeed = 0x7265706c6179ULL;
constexpr std::uint64_t kMemorySeed = 0x6d656d6f7279ULL;
constexpr std::uint64_t kHeldOutSeed = 0x68656c64ULL;

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
  state->memory = TRY(ReplayMemory::create(replay_options(config, seed ^ kMemorySeed)));
  HeldOutShares shares;
  shares.forgetting = config.evaluation.held_out_share;
  state->held_out_choice = std::make_unique<HeldOutChoice>(TRY(HeldOutChoice::create(shares)));
  HeldOutOptions held_out;
  held_out.events_per_slice_max = config.evaluation.held_out_per_slice;
  held_out.seed = seed ^ kHeldOutSeed;
  state->forgetting_set = std::make_unique<HeldOutSet>(held_out);
  if (const auto slices = slice_spec(config)) {
    state->slices = std::make_unique<Slices>(TRY(Slices::create(*slices, schema)));
  }
  state->evaluation = std::make_unique<ProgressiveEvaluation>(evaluation_options(config, spec));
  state->forgetting = std::make_unique<Forgetting>();
  return state;
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
  if (slices) blobs["slices"] = saved(*slices);
  blobs["evaluation"] = saved(*evaluation);
  blobs["forgetting"] = saved(*forgetting);
  return blobs;
}

void IngestState::hash_pages(StateHash& hash) {
  memory->dirty_pages([&](std::uint64_t page, std::string_view bytes) { page_hashes_.set(kReplaySpace, page, bytes); });
  page_hashes_.resize(kReplaySpace, (memory->size() + kSlotsPerPage - 1) / kSlotsPerPage);
  page_hashes_.add_to(hash);
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
  TRY(memory->load_begin(memory_header));
  page_hashes_.clear();
  TRY(store.read_pages(checkpoint.info.id, kReplaySpace, [&](std::uint64_t page, std::string_view bytes) {
    page_hashes_.set(kReplaySpace, page, bytes);
    return memory->load_page(page, bytes);
  }));
  TRY(memory->load_end());
  const std::string_view waiting_garbage = TRY(blob(checkpoint, kGarbageBlob));
  TRY(garbage.load(waiting_garbage));
  const std::string_view held_out = TRY(blob(checkpoint, "held_out_forgetting"));
  TRY(forgetting_set->load(held_out));
  if (slices) TRY(load_part(checkpoint, "slices", *slices));
  TRY(load_part(checkpoint, "evaluation", *evaluation));
  TRY(load_part(checkpoint, "forgetting", *forgetting));
  return Status::ok();
}

}  // namespace freshet
