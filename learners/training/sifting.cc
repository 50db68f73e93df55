#include "learners/training/sifting.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>

namespace freshet {

namespace {

constexpr std::uint32_t kHistoryMax = 1U << 16;
constexpr double kBetaMax = 100.0;
constexpr std::size_t kBlockRows = 256;
constexpr float kFactorMax = 16.0F;  // of a row's weight: one rare survivor must not make a step alone

// Sifting has to save a twentieth of the work over a window of rows, else it rests for sixty-four such windows.
constexpr std::uint64_t kWindowRows = 8192;
constexpr std::uint64_t kRestRows = 64 * kWindowRows;
constexpr std::int64_t kWorthwhilePart = 20;

// Estimated, in the multiplications that the kernels do in the same time.
constexpr std::uint64_t kChoiceCost = 400;
constexpr std::uint64_t kRowCost = 2000;  // of a row, beside its multiplications: its labels, categories and losses

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

LossHistory::LossHistory(std::uint32_t length) : length_(length), counts_(2 * kBinsASign), not_above_(2 * kBinsASign) {
  losses_.reserve(length);
}

void LossHistory::take(std::span<const float> losses) {
  for (const float loss : losses) {
    if (!std::isfinite(loss)) continue;
    if (losses_.size() < length_) {
      losses_.push_back(loss);
    } else {
      --counts_[bin_of(losses_[next_])];
      losses_[next_] = loss;
      next_ = next_ + 1 == length_ ? 0 : next_ + 1;
    }
    const std::uint32_t bin = bin_of(loss);
    ++counts_[bin];
    first_ = std::min(first_, bin);
    last_ = std::max(last_, bin);
  }
}

void LossHistory::rank() {
  if (losses_.empty()) return;
  while (counts_[first_] == 0) ++first_;
  while (counts_[last_] == 0) --last_;
  std::uint32_t count = 0;
  for (std::uint32_t bin = first_; bin <= last_; ++bin) {
    count += counts_[bin];
    not_above_[bin] = count;
  }
}

void LossHistory::save(ByteWriter& out) const {
  out.put<std::uint64_t>(losses_.size());
  for (std::size_t i = 0; i < losses_.size(); ++i) out.put(losses_[(next_ + i) % losses_.size()]);  // the oldest first
}

Status LossHistory::load(ByteReader& in) {
  const auto stored = in.get_vector<float>();
  if (!in.ok() || !std::ranges::all_of(stored, [](float loss) { return std::isfinite(loss); })) {
    return data_loss("the stored losses of sifting are damaged");
  }
  const std::size_t skipped = stored.size() > length_ ? stored.size() - length_ : 0;
  *this = LossHistory(length_);
  take(std::span(stored).subspan(skipped));
  rank();
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

// While the history fills.
double Sifter::probability_among(std::uint32_t not_above, std::uint32_t of, bool replayed) const {
  return std::pow(static_cast<double>(not_above) / static_cast<double>(of), beta_[replayed ? 1 : 0]);
}

bool Sifter::begin_round(std::uint64_t steps_so_far, std::size_t rows) {
  if (steps_so_far < options_.delay_steps) return false;
  if (rest_rows_ == 0) return true;
  rest_rows_ -= std::min<std::uint64_t>(rest_rows_, rows);
  return false;
}

// Without a branch on what is kept, which nobody can guess.
void Sifter::keep(std::span<const float> losses, std::size_t begin, std::size_t end, bool replayed) {
  const LossHistory& history = histories_[replayed ? histories_.size() - 1 : 0];
  auto& rows = replayed ? kept_.replay : kept_.fresh;
  auto& factors = replayed ? kept_.replay_factors : kept_.fresh_factors;
  std::size_t kept = round_kept_[replayed ? 1 : 0];
  for (std::size_t i = begin; i < end; ++i) {
    const double probability =
        std::isfinite(losses[i]) ? this->probability(history.not_above(losses[i]), history.size(), replayed) : 1.0;
    probability_sum_ += probability;
    rows[kept] = static_cast<std::uint32_t>(i);
    if (options_.reweigh) factors[kept] = static_cast<float>(1.0 / probability);
    kept += rng_.uniform() < probability ? 1 : 0;
  }
  round_kept_[replayed ? 1 : 0] = kept;
}

const KeptRows& Sifter::choose(std::span<const float> fresh, std::span<const float> replay, std::size_t steps,
                               std::span<const float> fresh_reference) {
  const auto resize = [&](std::size_t fresh_rows, std::size_t replay_rows) {
    kept_.fresh.resize(fresh_rows);
    kept_.replay.resize(replay_rows);
    kept_.fresh_factors.resize(options_.reweigh ? fresh_rows : 0);
    kept_.replay_factors.resize(options_.reweigh ? replay_rows : 0);
  };
  resize(fresh.size(), replay.size());
  probability_sum_ = 0.0;
  round_kept_ = {};
  round_rows_ = fresh.size() + replay.size();
  round_steps_ = steps;
  round_looked_at_ = fresh_reference.size();
  std::span<const float> fresh_losses = fresh;
  if (!fresh_reference.empty()) {
    excess_.resize(fresh.size());
    for (std::size_t i = 0; i < fresh.size(); ++i) excess_[i] = fresh[i] - fresh_reference[i];
    fresh_losses = excess_;
  }
  // A history holds a whole block: each of its losses is one of those that it is ranked among.
  const std::size_t block = std::min<std::size_t>(kBlockRows, options_.loss_history);
  const std::size_t blocks = (round_rows_ + block - 1) / block;
  std::size_t fresh_begin = 0;
  std::size_t replay_begin = 0;
  for (std::size_t b = 1; b <= blocks; ++b) {
    const std::size_t end = b * round_rows_ / blocks;
    const std::size_t fresh_end = end * fresh.size() / round_rows_;
    const std::size_t replay_end = end - fresh_end;
    histories_.front().take(fresh_losses.subspan(fresh_begin, fresh_end - fresh_begin));
    histories_.back().take(replay.subspan(replay_begin, replay_end - replay_begin));
    for (auto& history : histories_) history.rank();
    keep(fresh_losses, fresh_begin, fresh_end, false);
    keep(replay, replay_begin, replay_end, true);
    fresh_begin = fresh_end;
    replay_begin = replay_end;
  }
  resize(round_kept_[0], round_kept_[1]);
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
