#include "learners/training/sifting.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/core.h>

namespace freshet {

namespace {

constexpr std::uint32_t kHistoryMax = 1U << 16;
constexpr double kBetaMax = 100.0;
constexpr float kFactorMax = 16.0F;  // of a row's weight: one rare survivor must not make a step alone

// Sifting has to save a twentieth of the work over a window of rows, else it rests for sixty-four such windows.
constexpr std::uint64_t kWindowRows = 8192;
constexpr std::uint64_t kRestRows = 64 * kWindowRows;
constexpr std::int64_t kWorthwhilePart = 20;

// Estimated, in the multiplications that the kernels do in the same time.
constexpr std::uint64_t kChoiceCost = 400;
constexpr std::uint64_t kRowCost = 2000;  // of a row, beside its multiplications: its labels, categories and losses

// How many of the first `size` sorted values are not above `value`; without branches to guess.
std::size_t rank_of(const float* sorted, std::size_t size, float value) {
  if (size == 0) return 0;
  const float* base = sorted;
  while (size > 1) {
    const std::size_t half = size / 2;
    base += base[half - 1] <= value ? half : 0;
    size -= half;
  }
  return static_cast<std::size_t>(base - sorted) + (*base <= value ? 1 : 0);
}

}  // namespace

Result<SiftingKind> parse_sifting(std::string_view name) {
  if (name == "none") return SiftingKind::kNone;
  if (name == "relative_probabilistic") return SiftingKind::kRelativeProbabilistic;
  if (name == "rho") return SiftingKind::kRho;
  return invalid_argument(fmt::format("no sifting \"{}\"; there are none, relative_probabilistic and rho", name));
}

SiftingCosts sifting_costs(std::uint64_t dense_weights, std::uint64_t row_values) {
  SiftingCosts costs;
  costs.forward = dense_weights + kRowCost / 2;
  costs.row = 3 * dense_weights + kRowCost;
  costs.step = 8 * dense_weights;               // gradients cleared, weights moved
  costs.choice = kChoiceCost + row_values / 4;  // a kept row is copied
  return costs;
}

LossHistory::LossHistory(std::uint32_t length) : length_(length) {
  ring_.reserve(length);
  sorted_.reserve(length);
}

std::uint32_t LossHistory::add(float loss) {
  const std::size_t size = sorted_.size();
  std::size_t place = rank_of(sorted_.data(), size, loss);
  if (size < length_) {
    ring_.push_back(loss);
    sorted_.insert(sorted_.begin() + static_cast<std::ptrdiff_t>(place), loss);
    return static_cast<std::uint32_t>(place + 1);
  }
  const float oldest = ring_[next_];
  ring_[next_] = loss;
  next_ = next_ + 1 == length_ ? 0 : next_ + 1;
  // The last of those equal to the oldest: which one of them leaves makes no difference.
  const std::size_t hole = rank_of(sorted_.data(), size, oldest) - 1;
  float* values = sorted_.data();
  if (place > hole) {
    --place;
    std::memmove(values + hole, values + hole + 1, (place - hole) * sizeof(float));
  } else {
    std::memmove(values + place + 1, values + place, (hole - place) * sizeof(float));
  }
  values[place] = loss;
  return static_cast<std::uint32_t>(place + 1);
}

void LossHistory::save(ByteWriter& out) const {
  out.put<std::uint64_t>(ring_.size());
  for (std::size_t i = 0; i < ring_.size(); ++i) out.put(ring_[(next_ + i) % ring_.size()]);  // the oldest first
}

Status LossHistory::load(ByteReader& in) {
  const auto stored = in.get_vector<float>();
  if (!in.ok() || !std::ranges::all_of(stored, [](float loss) { return std::isfinite(loss); })) {
    return data_loss("the stored losses of sifting are damaged");
  }
  const std::size_t skipped = stored.size() > length_ ? stored.size() - length_ : 0;
  ring_.assign(stored.begin() + static_cast<std::ptrdiff_t>(skipped), stored.end());
  sorted_ = ring_;
  sorted_.reserve(length_);
  ring_.reserve(length_);
  std::ranges::sort(sorted_);
  next_ = 0;
  return Status::ok();
}

Result<Sifter> Sifter::create(const SiftingOptions& options, const SiftingCosts& costs) {
  const auto usable = [](double beta) { return beta > 0.0 && beta <= kBetaMax; };
  if (!usable(options.beta) || !(options.replay_beta == 0.0 || usable(options.replay_beta))) {
    return invalid_argument(fmt::format("learning.sifting: a beta must be above 0 and at most {}", kBetaMax));
  }
  if (options.loss_history == 0 || options.loss_history > kHistoryMax) {
    return invalid_argument(fmt::format("learning.sifting.loss_history is {}; it must be between 1 and {}",
                                        options.loss_history, kHistoryMax));
  }
  return Sifter(options, costs);
}

Sifter::Sifter(const SiftingOptions& options, const SiftingCosts& costs)
    : options_(options),
      costs_(costs),
      beta_{options.beta, options.replay_beta > 0.0 ? options.replay_beta : options.beta},
      rng_(options.seed) {
  for (std::size_t kind = 0; kind < 2; ++kind) {
    probabilities_[kind].resize(options.loss_history + 1);
    for (std::uint32_t rank = 1; rank <= options.loss_history; ++rank) {
      probabilities_[kind][rank] =
          std::pow(static_cast<double>(rank) / static_cast<double>(options.loss_history), beta_[kind]);
    }
  }
  const std::size_t histories = options.kind == SiftingKind::kRho ? 2 : 1;
  for (std::size_t i = 0; i < histories; ++i) histories_.emplace_back(options.loss_history);
}

double Sifter::probability(std::uint32_t not_above, std::uint32_t of, bool replayed) const {
  if (of == options_.loss_history) return probabilities_[replayed ? 1 : 0][not_above];
  return std::pow(static_cast<double>(not_above) / static_cast<double>(of), beta_[replayed ? 1 : 0]);
}

bool Sifter::begin_round(std::uint64_t steps_so_far, std::size_t rows) {
  if (steps_so_far < options_.delay_steps) return false;
  if (rest_rows_ == 0) return true;
  rest_rows_ -= std::min<std::uint64_t>(rest_rows_, rows);
  return false;
}

void Sifter::consider(float loss, bool replayed, std::uint32_t row) {
  double probability = 1.0;
  if (std::isfinite(loss)) {
    LossHistory& history = histories_[replayed && histories_.size() > 1 ? 1 : 0];
    const std::uint32_t rank = history.add(loss);
    probability = this->probability(rank, history.size(), replayed);
  }
  probability_sum_ += probability;
  if (!(rng_.uniform() < probability)) return;
  (replayed ? kept_.replay : kept_.fresh).push_back(row);
  if (options_.reweigh) {
    (replayed ? kept_.replay_factors : kept_.fresh_factors).push_back(static_cast<float>(1.0 / probability));
  }
}

const KeptRows& Sifter::choose(std::span<const float> fresh, std::span<const float> replay, std::size_t steps,
                               std::span<const float> fresh_reference) {
  kept_.fresh.clear();
  kept_.replay.clear();
  kept_.fresh_factors.clear();
  kept_.replay_factors.clear();
  probability_sum_ = 0.0;
  round_rows_ = fresh.size() + replay.size();
  round_steps_ = steps;
  round_looked_at_ = fresh_reference.size();
  for (std::size_t s = 0; s < steps; ++s) {
    for (std::size_t i = s * fresh.size() / steps; i < (s + 1) * fresh.size() / steps; ++i) {
      const float loss = fresh_reference.empty() ? fresh[i] : fresh[i] - fresh_reference[i];
      consider(loss, false, static_cast<std::uint32_t>(i));
    }
    for (std::size_t i = s * replay.size() / steps; i < (s + 1) * replay.size() / steps; ++i) {
      consider(replay[i], true, static_cast<std::uint32_t>(i));
    }
  }
  // The weights of the kept rows are 1 on average, so that a step is as long as it was.
  const auto mean = static_cast<float>(probability_sum_ / static_cast<double>(std::max<std::uint64_t>(round_rows_, 1)));
  for (auto* factors : {&kept_.fresh_factors, &kept_.replay_factors}) {
    for (float& factor : *factors) factor = std::min(factor * mean, kFactorMax);
  }
  return kept_;
}

void Sifter::end_round(std::size_t steps_taken) {
  const std::uint64_t kept = kept_.fresh.size() + kept_.replay.size();
  totals_.considered += round_rows_;
  totals_.left_out += round_rows_ - kept;
  totals_.looked_at += round_looked_at_;
  window_rows_ += round_rows_;
  const auto signed_cost = [](std::uint64_t count, std::uint64_t cost) {
    return static_cast<std::int64_t>(count) * static_cast<std::int64_t>(cost);
  };
  window_whole_ += signed_cost(round_rows_, costs_.row) + signed_cost(round_steps_, costs_.step);
  window_saved_ += signed_cost(round_rows_ - kept, costs_.row) + signed_cost(round_steps_, costs_.step) -
                   signed_cost(steps_taken, costs_.step) - signed_cost(round_rows_, costs_.choice) -
                   signed_cost(round_looked_at_, costs_.forward);
  if (window_rows_ < kWindowRows) return;
  if (options_.only_where_it_pays && window_saved_ < window_whole_ / kWorthwhilePart) rest_rows_ = kRestRows;
  window_rows_ = 0;
  window_whole_ = 0;
  window_saved_ = 0;
}

void Sifter::save(ByteWriter& out) const {
  out.put(options_.kind);
  for (const auto word : rng_.state()) out.put(word);
  out.put(totals_.considered);
  out.put(totals_.left_out);
  out.put(totals_.looked_at);
  out.put(window_rows_);
  out.put(window_whole_);
  out.put(window_saved_);
  out.put(rest_rows_);
  out.put<std::uint64_t>(histories_.size());
  for (const auto& history : histories_) history.save(out);
}

Status Sifter::load(ByteReader& in) {
  const auto kind = in.get<SiftingKind>();
  Rng::State generator{};
  for (auto& word : generator) word = in.get<std::uint64_t>();
  SiftingTotals totals;
  totals.considered = in.get<std::uint64_t>();
  totals.left_out = in.get<std::uint64_t>();
  totals.looked_at = in.get<std::uint64_t>();
  const auto window_rows = in.get<std::uint64_t>();
  const auto window_whole = in.get<std::int64_t>();
  const auto window_saved = in.get<std::int64_t>();
  const auto rest_rows = in.get<std::uint64_t>();
  const auto histories = in.get<std::uint64_t>();
  if (!in.ok() || histories > 2) return data_loss("the stored state of sifting is damaged");
  totals_ = totals;
  // What another kind has learnt about losses says nothing about this one's.
  if (kind != options_.kind || histories != histories_.size()) {
    LossHistory unused(options_.loss_history);
    for (std::uint64_t i = 0; i < histories; ++i) TRY(unused.load(in));
    return Status::ok();
  }
  for (auto& history : histories_) TRY(history.load(in));
  rng_.set_state(generator);
  window_rows_ = window_rows;
  window_whole_ = window_whole;
  window_saved_ = window_saved;
  rest_rows_ = rest_rows;
  return Status::ok();
}

}  // namespace freshet
