#include "daemon/tuning/trial_snapshot.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/rng.h"
#include "daemon/pipeline/held_out_rows.h"

namespace freshet {
namespace {

constexpr std::size_t kEventsMin = 200;
constexpr std::size_t kJudgingMin = 50;
constexpr std::size_t kNewestShare = 10;

std::vector<std::uint64_t> chosen_events(const ReplayMemory& memory, std::uint64_t events_max, std::uint64_t seed) {
  std::vector<std::uint64_t> seqs(memory.size());
  for (std::uint64_t slot = 0; slot < memory.size(); ++slot) seqs[slot] = memory.slots().seq(slot);
  std::ranges::sort(seqs);
  if (seqs.size() <= events_max) return seqs;
  // The first steps of a shuffle choose a uniform sample.
  Rng rng(seed);
  for (std::size_t i = 0; i < events_max; ++i) std::swap(seqs[i], seqs[i + rng.below(seqs.size() - i)]);
  seqs.resize(events_max);
  std::ranges::sort(seqs);
  return seqs;
}

Status read_rows(const Store& store, const EventRecordCodec& codec, const std::vector<std::uint64_t>& seqs,
                 EncodedBatch& rows) {
  rows.resize(seqs.size());
  Status decoded;
  TRY(store.read(seqs, [&](std::size_t i, std::string_view record) {
    rows.seqs[i] = seqs[i];
    if (Status status = codec.decode_encoded(record, rows, i); !status.is_ok()) decoded = std::move(status);
  }));
  return decoded;
}

// The last `count` rows of `from` go to a batch of their own.
EncodedBatch split_newest(EncodedBatch& from, const EncodedLayout& layout, std::size_t count) {
  EncodedBatch newest(layout.dense(), layout.categorical(), count);
  newest.resize(count);
  const std::size_t kept = from.size() - count;
  for (std::size_t i = 0; i < count; ++i) newest.take_row(from, kept + i, i);
  from.resize(kept);
  return newest;
}

}  // namespace

Result<TrialSnapshot> take_snapshot(const IngestState& state, const Store& store, const EventSpec& spec,
                                    std::uint64_t events_max, std::uint64_t seed) {
  TrialSnapshot snapshot;
  snapshot.spec = spec;
  snapshot.layout = state.encoder->layout();
  const EventRecordCodec codec(Schema(spec), snapshot.layout);
  const auto seqs = chosen_events(*state.memory, events_max, seed);
  if (seqs.size() < kEventsMin) {
    return failed_precondition(
        fmt::format("the replay memory holds {} events; tuning needs {} at least", seqs.size(), kEventsMin));
  }
  snapshot.training = EncodedBatch(snapshot.layout.dense(), snapshot.layout.categorical(), seqs.size());
  TRY(read_rows(store, codec, seqs, snapshot.training).with_context("reading the memory"));
  TRY(decode_held_out(*state.tuning_set, codec, snapshot.layout, snapshot.judging));
  if (snapshot.judging.size() < kJudgingMin) {
    snapshot.judged_by_newest = true;
    snapshot.judging = split_newest(snapshot.training, snapshot.layout,
                                    std::max(kJudgingMin, snapshot.training.size() / kNewestShare));
  }
  for (const std::uint32_t slice : state.forgetting_set->slices()) {
    if (state.forgetting_set->size(slice) == 0) continue;
    EncodedBatch rows;
    TRY(decode_held_out(*state.forgetting_set, slice, codec, snapshot.layout, rows));
    snapshot.slices.push_back(std::move(rows));
  }
  return snapshot;
}

Result<TrialSnapshot> read_snapshot(const Config& config, Store& store, std::uint64_t events_max, std::uint64_t seed) {
  const auto identity = store.identity();
  const auto checkpoint = TRY(store.latest_checkpoint());
  if (!identity.has_value() || !checkpoint.has_value()) {
    return failed_precondition("there is no checkpoint yet: let a daemon or `freshet backtest --state` learn first");
  }
  const EventSpec spec = TRY(parse_event_spec(identity->event_spec));
  const auto state = TRY(IngestState::create(config, Schema(spec)));
  TRY(state->load(*checkpoint, store).with_context("reading the checkpoint"));
  return take_snapshot(*state, store, spec, events_max, seed);
}

}  // namespace freshet
