#include "daemon/pipeline/gate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "learners/evaluation/losses.h"
#include "tests/daemon/synthetic_stream.h"

namespace freshet::test {
namespace {

// Says `right` for the label that the number of a row stands for, whatever its own label is.
class FixedModel final : public Predictor {
 public:
  FixedModel(std::uint64_t version, double right, double right_in_past = -1)
      : version_(version), right_(right), right_in_past_(right_in_past < 0 ? right : right_in_past) {}
  std::uint64_t version() const override { return version_; }
  Task task() const override { return Task::kBinary; }
  std::uint32_t outputs() const override { return 1; }
  Status predict(const EncodedBatch& batch, std::size_t begin, std::size_t end, Predictions& out) const override {
    out.rows = end - begin;
    out.width = 1;
    out.values.resize(out.rows);
    for (std::size_t row = begin; row < end; ++row) {
      const double right = batch.time_ms[row] == kPast ? right_in_past_ : right_;
      out.values[row - begin] = static_cast<float>(batch.dense_row(row)[0] > 0 ? right : 1 - right);
    }
    return Status::ok();
  }
  static constexpr std::int64_t kPast = 1;

 private:
  std::uint64_t version_;
  double right_;
  double right_in_past_;
};

class GateTest : public ::testing::Test {
 protected:
  GateTest() : layout_(make_layout()), codec_(schema_, layout_) { options_.rows = 128; }

  static EncodedLayout make_layout() {
    EncodedLayout layout;
    layout.dense_names = {"truth"};
    return layout;
  }

  // The next events of the round being gathered, as `served` met them. Of the labels a share is turned round.
  void fresh_events(const Predictor& served, std::size_t rows, double turned = 0) {
    fresh_ = EncodedBatch(1, 0, rows);
    fresh_.resize(rows);
    for (std::size_t row = 0; row < rows; ++row) set_row(fresh_, row, 2, turned);
    Predictions predictions;
    ASSERT_TRUE(served.predict(fresh_, 0, rows, predictions).is_ok());
    per_sample_losses(Task::kBinary, predictions, fresh_.labels, fresh_.losses);
  }

  void set_row(EncodedBatch& rows, std::size_t row, std::int64_t time_ms, double turned) {
    // The world itself is right nine times out of ten.
    const bool truth = rng_.uniform() < 0.3;
    const bool label = (rng_.uniform() < 0.9) == truth;
    rows.dense_row(row)[0] = truth ? 1.0F : -1.0F;
    rows.labels[row] = label != (rng_.uniform() < turned) ? 1.0F : 0.0F;
    rows.weights[row] = 1;
    rows.time_ms[row] = time_ms;
    rows.seqs[row] = ++seq_;
  }

  void past_events(std::size_t rows) {
    EncodedBatch encoded(1, 0, 1);
    encoded.resize(1);
    EventBatch events(schema_, 1);
    events.begin_row();
    std::string record(codec_.record_size(), '\0');
    // The sample keeps the newest half apart: the first ones offered end up in its uniform half.
    for (std::size_t i = 0; i < 2 * rows; ++i) {
      set_row(encoded, 0, FixedModel::kPast, 0);
      events.labels[0] = encoded.labels[0];
      events.time_ms[0] = FixedModel::kPast;
      codec_.encode(events, 0, encoded, 0, kNoSlice, record.data());
      held_out_.offer(seq_, record);
    }
  }

  GateVerdict judge(Gate& gate, const Predictor& candidate, const Predictor& served) {
    auto verdict = gate.judge(candidate, served, seq_, rows());
    EXPECT_TRUE(verdict.is_ok()) << verdict.status().to_string();
    return verdict.is_ok() ? *verdict : GateVerdict{};
  }
  GateRows rows() { return {fresh_, {held_out_, codec_, layout_}, seq_, ++round_}; }

  GateOptions options_;
  Rng rng_{20130101};
  const Schema schema_{EventSpec{}};
  const EncodedLayout layout_;
  const EventRecordCodec codec_;
  EncodedBatch fresh_;
  HeldOutSample held_out_{1024, 1};
  std::uint64_t seq_ = 0;
  std::uint64_t round_ = 0;
};

TEST_F(GateTest, PassesAnEqualAndABetterCandidateAndTurnsAwayAWorseOne) {
  Gate gate(options_);
  const FixedModel served(1, 0.8);
  fresh_events(served, 500);
  EXPECT_TRUE(judge(gate, FixedModel(2, 0.8), served).passed());
  EXPECT_TRUE(judge(gate, FixedModel(3, 0.9), served).passed());
  const GateVerdict worse = judge(gate, FixedModel(4, 0.2), served);
  EXPECT_EQ(worse.reason, GateReason::kWorse);
  EXPECT_NE(worse.words.find("fresh events"), std::string::npos) << worse.words;
  EXPECT_EQ(gate.report().verdicts.at(static_cast<std::size_t>(GateReason::kWorse)), 1U);
  ASSERT_EQ(gate.report().versions.size(), 3U);
  EXPECT_GT(gate.report().versions.front().fresh_difference, 0.3);
}

TEST_F(GateTest, WithoutFreshEventsNothingSpeaksAgainstACandidate) {
  Gate gate(options_);
  fresh_ = EncodedBatch(1, 0, 1);
  EXPECT_TRUE(judge(gate, FixedModel(2, 0.2), FixedModel(1, 0.9)).passed());
}

TEST_F(GateTest, SwitchedOffItPassesEverything) {
  options_.enabled = false;
  Gate gate(options_);
  const FixedModel served(1, 0.9);
  fresh_events(served, 500);
  EXPECT_TRUE(judge(gate, FixedModel(2, 0.1), served).passed());
  gate.published(std::make_shared<FixedModel>(1, 0.9), std::make_shared<FixedModel>(2, 0.9));
  EXPECT_EQ(gate.trusted(), nullptr);
}

TEST_F(GateTest, AfterAWorseOneCandidatesHaveToProveThemselves) {
  Gate gate(options_);
  const FixedModel served(1, 0.8);
  fresh_events(served, 500);
  EXPECT_EQ(judge(gate, FixedModel(2, 0.1), served).reason, GateReason::kWorse);
  fresh_events(served, 500);
  EXPECT_EQ(judge(gate, FixedModel(3, 0.85), served).reason, GateReason::kUnproven);
  fresh_events(served, 500);
  EXPECT_TRUE(judge(gate, FixedModel(4, 0.85), served).passed());
  fresh_events(served, 500);
  EXPECT_TRUE(judge(gate, FixedModel(5, 0.85), served).passed()) << "proven once is proven";
}

// A small difference takes many events to show: the candidate passes, and gives way later.
TEST_F(GateTest, AModelThatTurnsOutWorseGivesWay) {
  Gate gate(options_);
  const auto before = std::make_shared<FixedModel>(1, 0.88);
  const FixedModel slightly_worse(2, 0.8);
  fresh_events(*before, 40);
  ASSERT_TRUE(judge(gate, slightly_worse, *before).passed());
  gate.published(before, std::make_shared<FixedModel>(2, 0.8));
  bool back = false;
  int rounds = 0;
  for (; rounds < 30 && !back; ++rounds) {
    fresh_events(slightly_worse, 500);
    const auto verdict = gate.watch(slightly_worse, rows());
    ASSERT_TRUE(verdict.is_ok());
    back = *verdict;
  }
  ASSERT_TRUE(back);
  EXPECT_GT(rounds, 1) << "this was no small difference";
  EXPECT_EQ(gate.trusted(), before);
  gate.rolled_back(2);
  EXPECT_EQ(gate.report().rollbacks, 1U);
  EXPECT_TRUE(gate.report().versions.front().rolled_back);
  fresh_events(*before, 500);
  EXPECT_EQ(judge(gate, FixedModel(3, 0.7), *before).reason, GateReason::kUnproven) << "no second chance unproven";
}

TEST_F(GateTest, AModelThatDoesNoWorseForLongIsTrusted) {
  options_.watch_rows = 1000;
  Gate gate(options_);
  const auto before = std::make_shared<FixedModel>(1, 0.8);
  const FixedModel served(2, 0.8);
  gate.published(before, std::make_shared<FixedModel>(2, 0.8));
  ASSERT_EQ(gate.trusted(), before);
  int rounds = 0;
  for (; rounds < 30 && gate.trusted() != nullptr; ++rounds) {
    fresh_events(served, 500);
    const auto verdict = gate.watch(served, rows());
    ASSERT_TRUE(verdict.is_ok() && !*verdict);
  }
  EXPECT_EQ(rounds, 8) << "128 events a round";
}

TEST_F(GateTest, TheSameEventsCountOnce) {
  Gate gate(options_);
  gate.published(std::make_shared<FixedModel>(1, 0.9), std::make_shared<FixedModel>(2, 0.9));
  fresh_events(FixedModel(2, 0.7), 500);
  const GateRows at = rows();
  ASSERT_TRUE(gate.watch(FixedModel(2, 0.7), at).is_ok());
  const double evidence = gate.report().evidence_worse;
  ASSERT_TRUE(gate.watch(FixedModel(2, 0.7), at).is_ok());
  EXPECT_EQ(gate.report().evidence_worse, evidence);
}

TEST_F(GateTest, EventsOfThePastHaveAVeto) {
  Gate gate(options_);
  past_events(512);
  const FixedModel served(1, 0.9);
  fresh_events(served, 500);
  const GateVerdict verdict = judge(gate, FixedModel(2, 0.9, /*right_in_past=*/0.6), served);
  EXPECT_EQ(verdict.reason, GateReason::kSliceWorse);
  EXPECT_NE(verdict.words.find("past"), std::string::npos) << verdict.words;
  EXPECT_TRUE(gate.report().veto_stands);
  fresh_events(served, 500);
  EXPECT_TRUE(judge(gate, FixedModel(3, 0.9), served).passed());
  EXPECT_FALSE(gate.report().veto_stands);
}

// The world turned: who follows it is wrong about the past, and right.
TEST_F(GateTest, AfterAChangeTheVetoFallsForWhoKnowsTheNewWorld) {
  Gate gate(options_);
  past_events(512);
  const FixedModel served(1, 0.9);
  const FixedModel follower(2, 0.1, /*right_in_past=*/0.1);
  fresh_events(served, 500, /*turned=*/1);
  EXPECT_EQ(judge(gate, follower, served).reason, GateReason::kSliceWorse) << "nobody has said that anything changed";
  gate.note_change(seq_);
  int rounds = 0;
  bool passed = false;
  for (; rounds < 10 && !passed; ++rounds) {
    fresh_events(served, 500, 1);
    passed = judge(gate, follower, served).passed();
  }
  EXPECT_TRUE(passed);
  EXPECT_LE(rounds, 4);
}

// Labels went bad: the candidate has learnt to be unsure, and is no better than the served model flattened.
TEST_F(GateTest, LabelNoiseDoesNotLiftTheVeto) {
  Gate gate(options_);
  past_events(512);
  const FixedModel served(1, 0.9);
  const double turned = 0.3;
  const double unsure = 0.9 * (1 - turned) + 0.1 * turned;  // the best there is under these labels
  gate.note_change(seq_);
  for (int round = 0; round < 60; ++round) {
    fresh_events(served, 500, turned);
    EXPECT_EQ(judge(gate, FixedModel(2, unsure), served).reason, GateReason::kSliceWorse) << "round " << round;
  }
  EXPECT_NEAR(gate.report().noise_share, 2 * turned, 0.15);
}

// A change that is long past explains nothing.
TEST_F(GateTest, AnOldChangeLiftsNoVeto) {
  options_.hold_events = 3000;
  Gate gate(options_);
  past_events(512);
  const FixedModel served(1, 0.9);
  const FixedModel follower(2, 0.1, /*right_in_past=*/0.1);
  gate.note_change(seq_);
  for (int round = 0; round < 8; ++round) {
    fresh_events(served, 500);
    ASSERT_TRUE(judge(gate, served, served).passed());
  }
  // Within hold_events of the first veto, but not of the change.
  for (int round = 0; round < 5; ++round) {
    fresh_events(served, 500, /*turned=*/1);
    EXPECT_EQ(judge(gate, follower, served).reason, GateReason::kSliceWorse) << "round " << round;
  }
}

// An operator who looks closer keeps the watch: what is served still gives way.
TEST_F(GateTest, APauseDoesNotEndTheWatch) {
  Gate gate(options_);
  const auto before = std::make_shared<FixedModel>(1, 0.88);
  const FixedModel worse(2, 0.6);
  gate.published(before, std::make_shared<FixedModel>(2, 0.6));
  gate.controlled({PublishingAction::kPause, 2}, /*changes=*/false);
  bool back = false;
  for (int round = 0; round < 20 && !back; ++round) {
    fresh_events(worse, 500);
    const auto verdict = gate.watch(worse, rows());
    ASSERT_TRUE(verdict.is_ok());
    back = *verdict;
  }
  EXPECT_TRUE(back);
}

TEST_F(GateTest, AVetoHoldsForABoundedNumberOfEvents) {
  options_.hold_events = 5000;
  Gate gate(options_);
  past_events(512);
  const FixedModel served(1, 0.9);
  const FixedModel candidate(2, 0.9, 0.6);
  fresh_events(served, 500);
  const std::uint64_t first = seq_;
  EXPECT_FALSE(judge(gate, candidate, served).passed());
  bool passed = false;
  for (int round = 0; round < 30 && !passed; ++round) {
    fresh_events(served, 500);
    passed = judge(gate, candidate, served).passed();
  }
  EXPECT_TRUE(passed);
  EXPECT_GE(seq_, first + 5000);
  EXPECT_LT(seq_, first + 6000);
}

TEST_F(GateTest, GoesOnTheSameAfterALoad) {
  const auto run = [&](bool reload) {
    rng_ = Rng(5);
    seq_ = round_ = 0;
    held_out_ = HeldOutSample(1024, 1);
    past_events(512);
    auto gate = std::make_unique<Gate>(options_);
    const auto trusted = std::make_shared<FixedModel>(1, 0.85);
    const FixedModel served(2, 0.8);
    gate->published(trusted, std::make_shared<FixedModel>(2, 0.8));
    std::string verdicts;
    for (int round = 0; round < 30; ++round) {
      if (reload) {
        ByteWriter out;
        gate->save(out);
        auto loaded = std::make_unique<Gate>(options_);
        ByteReader in(out.buffer());
        EXPECT_TRUE(loaded->load(in).is_ok());
        EXPECT_TRUE(in.at_end());
        loaded->restore(gate->trusted(), gate->anchor());
        gate = std::move(loaded);
      }
      if (round == 7) gate->note_change(seq_);
      fresh_events(served, 200, round > 5 ? 0.2 : 0.0);
      const auto back = gate->watch(served, rows());
      EXPECT_TRUE(back.is_ok());
      if (*back) gate->rolled_back(2);
      const FixedModel candidate(static_cast<std::uint64_t>(round) + 3, 0.5 + 0.45 * rng_.uniform());
      verdicts += std::string(gate_reason_name(judge(*gate, candidate, served).reason)) + " ";
    }
    ByteWriter out;
    gate->save(out);
    return verdicts + out.take();
  };
  EXPECT_EQ(run(true), run(false));
}

TEST_F(GateTest, DamagedBytesAreRefused) {
  Gate gate(options_);
  ByteWriter out;
  gate.save(out);
  const std::string bytes = out.take();
  for (std::size_t size = 0; size < bytes.size(); size += 7) {
    ByteReader in(std::string_view(bytes).substr(0, size));
    EXPECT_EQ(gate.load(in).code(), Code::kDataLoss) << size;
  }
}

}  // namespace
}  // namespace freshet::test
