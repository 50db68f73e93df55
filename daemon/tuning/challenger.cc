#include "daemon/tuning/challenger.h"

#include <algorithm>
#include <span>
#include <utility>

#include "daemon/room_options.h"
#include "learners/evaluation/losses.h"
#include "learners/training/strategy.h"

namespace freshet {
namespace {

constexpr std::uint32_t kFormat = 1;

}  // namespace

Challenger::Challenger(const Config& config, const EventSpec& spec, std::unique_ptr<Learner> learner)
    : learner_(std::move(learner)),
      test_(config.tuning.challenger_alpha),
      comparison_(config.model.task, evaluation_options(config, spec).loss) {}

Result<std::unique_ptr<Challenger>> Challenger::create(const Config& config, const EventSpec& spec,
                                                       const EncodedLayout& layout, const Device& device,
                                                       std::string_view learner_state, const Learner& incumbent) {
  const LearnerOptions options = TRY(learner_options(config, spec));
  auto learner = TRY(Learner::create(options, layout, device));
  const auto columns = learner->stored_columns();
  const auto kept = incumbent.stored_columns();
  const auto same = [](const StoredColumn& a, const StoredColumn& b) { return a.name == b.name && a.width == b.width; };
  if (!std::equal(columns.begin(), columns.end(), kept.begin(), kept.end(), same)) {
    return failed_precondition("its strategy stores other columns with the events than the memory has");
  }
  if (!learner_state.empty()) {
    ByteReader in(learner_state);
    TRY(learner->load(in).with_context("reading the best trial's model"));
  }
  std::unique_ptr<Challenger> challenger(new Challenger(config, spec, std::move(learner)));
  if (!learner_state.empty()) {
    std::vector<float> weights;
    Status taken = incumbent.copy_weights(weights);
    if (taken.is_ok()) taken = challenger->learner_->take_weights(weights);
    if (!taken.is_ok() && taken.code() != Code::kUnsupported) return taken;
    challenger->has_incumbents_weights_ = taken.is_ok();
  }
  return challenger;
}

void Challenger::candidates(std::shared_ptr<const Predictor> incumbent, std::shared_ptr<const Predictor> own) {
  incumbent_candidate_ = std::move(incumbent);
  own_candidate_ = std::move(own);
}

Status Challenger::score(const EncodedBatch& rows) {
  const auto incumbent = std::exchange(incumbent_candidate_, nullptr);
  const auto own = std::exchange(own_candidate_, nullptr);
  if (incumbent == nullptr || own == nullptr || rows.size() == 0 || rows.seqs[0] < judged_from_) return Status::ok();
  TRY(comparison_.compare(*own, *incumbent, rows, 0).with_context("comparing a challenger"));
  test_.add(comparison_.challenger_losses(), comparison_.incumbent_losses(),
            std::span<const float>(rows.weights).first(rows.size()), comparison_.bounds());
  return Status::ok();
}

ChallengeVerdict Challenger::verdict(std::uint64_t rows_max) const {
  if (failed_ || test_.challenger_worse()) return ChallengeVerdict::kDropped;
  if (test_.challenger_better()) return ChallengeVerdict::kTakesOver;
  return test_.rows() >= rows_max ? ChallengeVerdict::kDropped : ChallengeVerdict::kGoesOn;
}

Status Challenger::save(ByteWriter& out) const {
  out.put(kFormat);
  out.put<std::uint8_t>(failed_ ? 1 : 0);
  out.put<std::uint8_t>(own_candidate_ != nullptr ? 1 : 0);
  out.put(judged_from_);
  ByteWriter test;
  test_.save(test);
  out.put_text(test.buffer());
  return learner_->save(out);
}

Status Challenger::load(ByteReader& in, Learner& incumbent) {
  if (in.get<std::uint32_t>() != kFormat) return data_loss("the challenger's state has another format");
  failed_ = in.get<std::uint8_t>() != 0;
  const bool candidates = in.get<std::uint8_t>() != 0;
  judged_from_ = in.get<std::uint64_t>();
  const std::string bytes = in.get_text();
  if (!in.ok()) return data_loss("the challenger's state is cut short");
  ByteReader test(bytes);
  TRY(test_.load(test));
  TRY(learner_->load(in));
  if (candidates) this->candidates(incumbent.republish(1), learner_->republish(1));
  return Status::ok();
}

}  // namespace freshet
