// Held-out events leave no trace: not in the weights, not in the encoder's statistics.
#include <gtest/gtest.h>

#include "daemon/cli/temporary_folder.h"
#include "daemon/pipeline/held_out_rows.h"
#include "daemon/pipeline/ingest_state.h"
#include "storage/held_out.h"
#include "tests/daemon/synthetic_stream.h"

namespace freshet::test {
namespace {

struct Outcome {
  std::string learner;
  std::map<std::string, std::string, std::less<>> blobs;
};

Result<Outcome> learn(const Config& config, const StreamPlan& plan) {
  const auto folder = TRY(TemporaryFolder::create("freshet-test"));
  const SystemClock clock;
  PipelineLife life(config, folder.path(), clock);
  TRY(life.open(std::make_unique<SyntheticStream>(plan, 1, plan.offsets + 1, life.stop)));
  TRY(life.pipeline().run(life.stop));
  TRY(life.pipeline().finish());
  return Outcome{life.pipeline().learner_bytes(), TRY(life.store().latest_checkpoint())->blobs};
}

class HeldOutEvents : public ::testing::Test {
 protected:
  HeldOutEvents() {
    HeldOutShares shares;
    shares.forgetting = config_.evaluation.held_out_share;
    shares.gating = config_.evaluation.gating_share;
    shares.tuning = config_.evaluation.tuning_share;
    choice_ = std::make_unique<HeldOutChoice>(HeldOutChoice::create(shares).value());
  }
  Config config_ = synthetic_config();
  std::unique_ptr<HeldOutChoice> choice_;
};

TEST_F(HeldOutEvents, LabelsOfThemChangeNeitherWeightsNorEncoder) {
  StreamPlan plan;
  const auto as_they_are = learn(config_, plan);
  ASSERT_TRUE(as_they_are.is_ok()) << as_they_are.status().to_string();
  for (const Purpose purpose : {Purpose::kForgetting, Purpose::kGating, Purpose::kTuning}) {
    SCOPED_TRACE(purpose_name(purpose));
    plan.scrambled = [&](std::uint64_t key) { return choice_->purpose_of(key) == purpose; };
    const auto scrambled = learn(config_, plan);
    ASSERT_TRUE(scrambled.is_ok()) << scrambled.status().to_string();
    EXPECT_TRUE(scrambled->learner == as_they_are->learner) << "the weights have seen them";
    EXPECT_TRUE(scrambled->blobs.at("encoder") == as_they_are->blobs.at("encoder")) << "the encoder has seen them";
    const auto set = "held_out_" + std::string(purpose_name(purpose));
    EXPECT_FALSE(scrambled->blobs.at(set) == as_they_are->blobs.at(set)) << "there were none";
  }
  // The proof that the comparison can fail: labels of one training key.
  plan.scrambled = [&](std::uint64_t key) {
    for (std::int64_t k = 0;; ++k) {
      if (choice_->purpose_of(synthetic_key(k)) == Purpose::kTraining) return key == synthetic_key(k);
    }
  };
  const auto other = learn(config_, plan);
  ASSERT_TRUE(other.is_ok()) << other.status().to_string();
  EXPECT_FALSE(other->learner == as_they_are->learner);
  EXPECT_FALSE(other->blobs.at("encoder") == as_they_are->blobs.at("encoder"));
}

TEST_F(HeldOutEvents, SetsAreDisjointAndRowsReadBackAsEncoded) {
  const StreamPlan plan;
  const auto done = learn(config_, plan);
  ASSERT_TRUE(done.is_ok()) << done.status().to_string();
  const Schema schema(synthetic_spec());
  const auto state = IngestState::create(config_, schema);
  ASSERT_TRUE(state.is_ok()) << state.status().to_string();
  const EncodedLayout& layout = (*state)->encoder->layout();
  const EventRecordCodec codec(schema, layout);
  for (const auto& [name, purpose] :
       {std::pair{"held_out_gating", Purpose::kGating}, std::pair{"held_out_tuning", Purpose::kTuning}}) {
    HeldOutSample sample(config_.evaluation.held_out_per_set, 1);
    ASSERT_TRUE(sample.load(done->blobs.at(name)).is_ok());
    ASSERT_EQ(sample.size(), config_.evaluation.held_out_per_set);
    EncodedBatch rows;
    ASSERT_TRUE(decode_held_out(sample, codec, layout, rows).is_ok());
    ASSERT_EQ(rows.size(), sample.size());
    for (std::size_t row = 0; row < rows.size(); ++row) EXPECT_EQ(choice_->purpose_of(rows.key_hashes[row]), purpose);
    EXPECT_GT(rows.seqs[rows.size() - 1], 4900U) << "the newest is there";
  }
}

TEST_F(HeldOutEvents, OtherSharesOnTheSameStoreAreRefused) {
  const auto folder = TemporaryFolder::create("freshet-test");
  const SystemClock clock;
  const StreamPlan plan;
  {
    PipelineLife life(config_, folder->path(), clock);
    ASSERT_TRUE(life.open(std::make_unique<SyntheticStream>(plan, 1, 1000, life.stop)).is_ok());
    ASSERT_TRUE(life.pipeline().run(life.stop).is_ok());
    ASSERT_TRUE(life.pipeline().finish().is_ok());
  }
  config_.evaluation.gating_share = 0.1;
  PipelineLife life(config_, folder->path(), clock);
  const Status refused = life.open(std::make_unique<SyntheticStream>(plan, 1, 1000, life.stop));
  EXPECT_EQ(refused.code(), Code::kFailedPrecondition);
  EXPECT_NE(refused.message().find("held-out shares"), std::string::npos) << refused.message();
}

}  // namespace
}  // namespace freshet::test
