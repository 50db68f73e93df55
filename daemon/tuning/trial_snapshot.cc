#include "daemon/tuning/trial_snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "core/rng.h"
#include "daemon/pipeline/held_out_rows.h"

namespace freshet {
namespace {

constexpr std::uint32_t kFormat = 2;  // 1: without the change
constexpr std::size_t kFeaturesMost = 16;
constexpr std::size_t kJudgingMin = 50;
constexpr std::size_t kNewestShare = 10;

// A uniform sample, in order; the first steps of a shuffle choose it.
void keep_sample(std::vector<std::uint64_t>& seqs, std::size_t most, Rng& rng) {
  if (seqs.size() <= most) return;
  for (std::size_t i = 0; i < most; ++i) std::swap(seqs[i], seqs[i + rng.below(seqs.size() - i)]);
  seqs.resize(most);
  std::ranges::sort(seqs);
}

std::vector<std::uint64_t> chosen_events(const ReplayMemory& memory, const SnapshotPlan& plan) {
  std::vector<std::uint64_t> seqs(memory.size());
  for (std::uint64_t slot = 0; slot < memory.size(); ++slot) seqs[slot] = memory.slots().seq(slot);
  std::ranges::sort(seqs);
  if (seqs.size() <= plan.events_max) return seqs;
  Rng rng(plan.seed);
  std::vector<std::uint64_t> since;
  if (plan.change_seq > 0) {
    const auto first = std::ranges::lower_bound(seqs, plan.change_seq);
    since.assign(first, seqs.end());
    seqs.erase(first, seqs.end());
    keep_sample(since, plan.events_max / 2, rng);
  }
  keep_sample(seqs, plan.events_max - since.size(), rng);
  seqs.insert(seqs.end(), since.begin(), since.end());
  return seqs;
}

// Which rows came since the change, and how thin they are.
void note_change(const SnapshotPlan& plan, std::uint64_t next_seq, TrialSnapshot& snapshot) {
  const auto& seqs = snapshot.training.seqs;
  const std::size_t rows = snapshot.training.size();
  snapshot.since_change = rows;
  if (plan.change_seq == 0) return;
  const auto end = seqs.begin() + static_cast<std::ptrdiff_t>(rows);
  const auto first = std::lower_bound(seqs.begin(), end, plan.change_seq);
  const auto since = static_cast<std::size_t>(end - first);
  if (since < kEventsSinceChangeMin) return;
  snapshot.since_change = rows - since;
  snapshot.events_a_row = static_cast<double>(next_seq - plan.change_seq) / static_cast<double>(since);
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

void put_rows(const EncodedBatch& rows, ByteWriter& out) {
  const std::size_t size = rows.size();
  out.put<std::uint64_t>(size);
  out.put(rows.dense_width());
  out.put(rows.categorical_width());
  const auto column = [&](const auto& values, std::size_t width) {
    out.append(values, size * width * sizeof(*values));
  };
  column(rows.dense(), rows.dense_width());
  column(rows.hashes(), rows.categorical_width());
  column(rows.labels.data(), 1);
  column(rows.weights.data(), 1);
  column(rows.losses.data(), 1);
  column(rows.time_ms.data(), 1);
  column(rows.key_hashes.data(), 1);
  column(rows.seqs.data(), 1);
}

Status get_rows(ByteReader& in, const EncodedLayout& layout, EncodedBatch& rows) {
  const auto size = in.get<std::uint64_t>();
  const auto dense = in.get<std::uint32_t>();
  const auto categorical = in.get<std::uint32_t>();
  if (size == 0) return Status::ok();  // such as events to judge by where trials follow a change
  if (dense != layout.dense() || categorical != layout.categorical()) {
    return data_loss("the stored events of a study have other features");
  }
  const std::uint64_t row_bytes = (dense + categorical + 3) * 4ULL + 24;
  if (size > in.remaining() / row_bytes) return data_loss("the stored events of a study are cut short");
  rows = EncodedBatch(dense, categorical, size);
  rows.resize(size);
  const auto column = [&](auto* values, std::size_t width) { in.read(values, size * width * sizeof(*values)); };
  column(rows.dense(), dense);
  column(rows.hashes(), categorical);
  column(rows.labels.data(), 1);
  column(rows.weights.data(), 1);
  column(rows.losses.data(), 1);
  column(rows.time_ms.data(), 1);
  column(rows.key_hashes.data(), 1);
  column(rows.seqs.data(), 1);
  return Status::ok();
}

template <typename At>
void add_moments(std::size_t rows, const At& at, std::vector<double>& features) {
  double sum = 0.0;
  double squares = 0.0;
  double count = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    const auto value = static_cast<double>(at(i));
    if (!std::isfinite(value)) continue;
    sum += value;
    squares += value * value;
    count += 1.0;
  }
  const double mean = count > 0.0 ? sum / count : 0.0;
  features.push_back(mean);
  features.push_back(count > 0.0 ? std::sqrt(std::max(0.0, squares / count - mean * mean)) : 0.0);
}

}  // namespace

void save(const TrialSnapshot& snapshot, ByteWriter& out) {
  out.put(kFormat);
  out.put<std::uint8_t>(snapshot.judged_by_newest ? 1 : 0);
  out.put<std::uint64_t>(snapshot.since_change);
  out.put(snapshot.events_a_row);
  put_rows(snapshot.training, out);
  put_rows(snapshot.judging, out);
  out.put<std::uint64_t>(snapshot.slices.size());
  for (const EncodedBatch& rows : snapshot.slices) put_rows(rows, out);
}

Result<TrialSnapshot> load_snapshot(ByteReader& in, const EventSpec& spec, const EncodedLayout& layout) {
  const auto format = in.get<std::uint32_t>();
  if (format == 0 || format > kFormat) return data_loss("the stored events of a study have another format");
  TrialSnapshot snapshot;
  snapshot.spec = spec;
  snapshot.layout = layout;
  snapshot.judged_by_newest = in.get<std::uint8_t>() != 0;
  snapshot.since_change = SIZE_MAX;
  if (format > 1) {
    snapshot.since_change = static_cast<std::size_t>(in.get<std::uint64_t>());
    snapshot.events_a_row = in.get<double>();
    if (!(snapshot.events_a_row >= 1)) return data_loss("the stored events of a study cannot be read");
  }
  TRY(get_rows(in, layout, snapshot.training));
  snapshot.since_change = std::min(snapshot.since_change, snapshot.training.size());
  TRY(get_rows(in, layout, snapshot.judging));
  const auto slices = in.get<std::uint64_t>();
  if (slices > in.remaining() / 16) return data_loss("the stored events of a study are cut short");
  snapshot.slices.resize(slices);
  for (EncodedBatch& rows : snapshot.slices) TRY(get_rows(in, layout, rows));
  if (!in.at_end()) return data_loss("the stored events of a study are cut short");
  return snapshot;
}

std::vector<double> meta_features(const TrialSnapshot& snapshot) {
  const EncodedBatch& rows = snapshot.training;
  std::vector<double> features = {std::log1p(static_cast<double>(rows.size()))};
  add_moments(
      rows.size(), [&](std::size_t i) { return rows.labels[i]; }, features);
  add_moments(
      rows.size(), [&](std::size_t i) { return rows.losses[i]; }, features);
  const std::size_t width = rows.dense_width();
  for (std::size_t f = 0; f < std::min(width, kFeaturesMost); ++f) {
    add_moments(
        rows.size(), [&](std::size_t i) { return rows.dense()[i * width + f]; }, features);
  }
  // Of the stream's rate: events a millisecond of event time.
  double rate = 0.0;
  if (rows.size() > 1) {
    const auto span = static_cast<double>(rows.time_ms[rows.size() - 1] - rows.time_ms[0]);
    rate = span > 0.0 ? static_cast<double>(rows.seqs[rows.size() - 1] - rows.seqs[0]) / span : 0.0;
  }
  features.push_back(std::log1p(rate));
  return features;
}

std::size_t events_since(const ReplayMemory& memory, std::uint64_t seq) {
  std::size_t found = 0;
  for (std::uint64_t slot = 0; slot < memory.size(); ++slot) found += memory.slots().seq(slot) >= seq ? 1 : 0;
  return found;
}

Result<TrialSnapshot> take_snapshot(const IngestState& state, const Store& store, const EventSpec& spec,
                                    const SnapshotPlan& plan) {
  TrialSnapshot snapshot;
  snapshot.spec = spec;
  snapshot.layout = state.encoder->layout();
  const EventRecordCodec codec(Schema(spec), snapshot.layout);
  const auto seqs = chosen_events(*state.memory, plan);
  if (seqs.size() < kSnapshotEventsMin) {
    return failed_precondition(
        fmt::format("the replay memory holds {} events; tuning needs {} at least", seqs.size(), kSnapshotEventsMin));
  }
  snapshot.training = EncodedBatch(snapshot.layout.dense(), snapshot.layout.categorical(), seqs.size());
  TRY(read_rows(store, codec, seqs, snapshot.training).with_context("reading the memory"));
  TRY(decode_held_out(*state.tuning_set, codec, snapshot.layout, snapshot.judging));
  note_change(plan, state.counters.next_seq, snapshot);
  if (snapshot.judging.size() < kJudgingMin && !snapshot.knows_change()) {
    snapshot.judged_by_newest = true;
    snapshot.judging = split_newest(snapshot.training, snapshot.layout,
                                    std::max(kJudgingMin, snapshot.training.size() / kNewestShare));
    snapshot.since_change = snapshot.training.size();
  }
  for (const std::uint32_t slice : state.forgetting_set->slices()) {
    if (state.forgetting_set->size(slice) == 0) continue;
    EncodedBatch rows;
    TRY(decode_held_out(*state.forgetting_set, slice, codec, snapshot.layout, rows));
    snapshot.slices.push_back(std::move(rows));
  }
  return snapshot;
}

Result<TrialSnapshot> read_snapshot(const Config& config, Store& store, const SnapshotPlan& plan) {
  const auto identity = store.identity();
  const auto checkpoint = TRY(store.latest_checkpoint());
  if (!identity.has_value() || !checkpoint.has_value()) {
    return failed_precondition("there is no checkpoint yet: let a daemon or `freshet backtest --state` learn first");
  }
  const EventSpec spec = TRY(parse_event_spec(identity->event_spec));
  const auto state = TRY(IngestState::create(config, Schema(spec)));
  TRY(state->load(*checkpoint, store).with_context("reading the checkpoint"));
  return take_snapshot(*state, store, spec, plan);
}

}  // namespace freshet
