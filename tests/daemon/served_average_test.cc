// An average of checkpoints that is served: what a restart, a redo and a kill leave of it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <span>

#include "daemon/cli/temporary_folder.h"
#include "daemon/pipeline/held_out_scores.h"
#include "daemon/pipeline/served_average.h"
#include "learners/training/state_average.h"
#include "storage/verify.h"
#include "tests/daemon/synthetic_stream.h"

namespace freshet::test {
namespace {

const WorkStep kGoOn = [](std::uint64_t, std::uint64_t) { return true; };

// Copies the store's folder right before a checkpoint, where it is told to: what a kill there leaves.
class CopyingClock final : public Clock {
 public:
  std::int64_t monotonic_ns() const override { return real_.monotonic_ns(); }
  std::int64_t wall_ms() const override {
    if (!from.empty() && !std::filesystem::exists(to))
      std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
    return real_.wall_ms();
  }
  std::string from, to;

 private:
  SystemClock real_;
};

class ServedAverage : public ::testing::Test {
 protected:
  ServedAverage() : folder_(TemporaryFolder::create("freshet-test").value()) {
    config_.checkpoint.keep = 4;
    first_.offsets = 3000;
  }
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }

  // Learns the first 3,000 events in `name`, and serves the average of the checkpoints.
  void learn_and_average(const std::string& name) {
    life_ = std::make_unique<PipelineLife>(config_, path(name), clock_);
    Status status = life_->open(std::make_unique<SyntheticStream>(first_, 1, first_.offsets + 1, life_->stop));
    ASSERT_TRUE(status.is_ok()) << status.to_string();
    Pipeline& pipeline = life_->pipeline();
    ASSERT_TRUE(pipeline.run(life_->stop).is_ok());
    ASSERT_TRUE(pipeline.settle().is_ok());
    learner_before_ = pipeline.learner_bytes();
    const Schema schema(synthetic_spec());
    const auto encoder = FeatureEncoder::create(schema.spec()).value();
    auto average = StateAverage::create(learner_options(config_, schema.spec()).value(), encoder->layout()).value();
    const auto kept = life_->store().checkpoints();
    ASSERT_GE(kept.size(), 4U);
    for (const CheckpointInfo& info : std::span(kept).last(4)) {
      const auto checkpoint = life_->store().read_checkpoint(info.id, "learner").value();
      ASSERT_TRUE(average.add(checkpoint.blobs.at("learner")).is_ok());
    }
    learner_ = average.take().value();
    ByteWriter out;
    ASSERT_TRUE(learner_->save(out).is_ok());
    average_ = out.take();
  }
  void serve() {
    const Status status = life_->pipeline().serve_average(average_, 4);
    ASSERT_TRUE(status.is_ok()) << status.to_string();
  }

  // The rest of the stream, on a store where all before is learnt; the last checkpoint's blobs.
  Result<std::map<std::string, std::string, std::less<>>> learn_rest(const std::string& name,
                                                                     std::uint64_t batch_seed) {
    PipelineLife life(config_, path(name), clock_);
    TRY(life.open(std::make_unique<SyntheticStream>(whole_, batch_seed, whole_.offsets + 1, life.stop)));
    TRY(life.pipeline().run(life.stop));
    TRY(life.pipeline().finish());
    return TRY(life.store().latest_checkpoint())->blobs;
  }
  void copy(const std::string& from, const std::string& to) const {
    std::filesystem::copy(path(from), path(to), std::filesystem::copy_options::recursive);
  }

  TemporaryFolder folder_;
  Config config_ = synthetic_config();
  StreamPlan first_;
  StreamPlan whole_;
  CopyingClock clock_;
  std::unique_ptr<PipelineLife> life_;
  std::unique_ptr<Learner> learner_;
  std::string average_;
  std::string learner_before_;
};

TEST_F(ServedAverage, IsServedAtOnceAndAfterARestartAndTrainingGoesOnFromItsOwnWeights) {
  ASSERT_NO_FATAL_FAILURE(learn_and_average("a"));
  const auto before = life_->pipeline().compare_on_held_out(*learner_->republish(1));
  ASSERT_TRUE(before.is_ok()) << before.status().to_string();
  EXPECT_EQ(before->set, "gating");
  EXPECT_GT(before->events, 40U);
  EXPECT_NE(before->loss_difference, 0);
  // All weights are 1, so the mean loss is the log loss.
  EXPECT_NEAR(before->loss_difference,
              *find_metric(before->candidate, "log_loss") - *find_metric(before->served, "log_loss"), 1e-7);
  ASSERT_NO_FATAL_FAILURE(serve());
  const auto after = life_->pipeline().compare_on_held_out(*learner_->republish(1));
  ASSERT_TRUE(after.is_ok());
  EXPECT_EQ(after->loss_difference, 0);
  EXPECT_EQ(after->loss_difference_error, 0);
  EXPECT_EQ(*find_metric(after->served, "log_loss"), *find_metric(before->candidate, "log_loss"));
  EXPECT_EQ(life_->pipeline().learner_bytes(), learner_before_);
  const auto hash = life_->pipeline().state_hash();
  ASSERT_TRUE(hash.is_ok());
  const auto checkpoint = life_->store().latest_checkpoint().value();
  EXPECT_EQ(checkpoint->blobs.at(std::string(kServedAverageBlob)), average_);
  EXPECT_EQ(checkpoint->blobs.at("learner"), learner_before_);
  life_.reset();

  PipelineLife again(config_, path("a"), clock_);
  ASSERT_TRUE(again.open(std::make_unique<SyntheticStream>(first_, 1, first_.offsets + 1, again.stop)).is_ok());
  ASSERT_TRUE(again.pipeline().run(again.stop).is_ok());
  EXPECT_EQ(again.pipeline().compare_on_held_out(*learner_->republish(1))->loss_difference, 0);
  EXPECT_EQ(again.pipeline().state_hash()->whole, hash->whole);
  const auto verified = verify_store(again.store(), {}, kGoOn);
  ASSERT_TRUE(verified.is_ok()) << verified.status().to_string();
  EXPECT_TRUE(verified->sound()) << to_json(*verified);
}

TEST_F(ServedAverage, GivesWayToTheNextRoundsModelWhichLearnsAsIfThereHadBeenNone) {
  ASSERT_NO_FATAL_FAILURE(learn_and_average("a"));
  ASSERT_TRUE(life_->pipeline().finish().is_ok());
  copy("a", "without");
  ASSERT_NO_FATAL_FAILURE(serve());
  life_.reset();
  const auto with = learn_rest("a", 2);
  const auto without = learn_rest("without", 2);
  ASSERT_TRUE(with.is_ok()) << with.status().to_string();
  ASSERT_TRUE(without.is_ok()) << without.status().to_string();
  EXPECT_FALSE(with->contains(kServedAverageBlob));
  EXPECT_TRUE(with->at("encoder") == without->at("encoder"));
  EXPECT_TRUE(with->at("learner") == without->at("learner")) << "training has seen the average";
  EXPECT_FALSE(with->at("evaluation") == without->at("evaluation")) << "the average has predicted nothing";
}

TEST_F(ServedAverage, IsComeByAgainWhereTheLogIsRedoneFromAnOlderCheckpoint) {
  config_.checkpoint.keep = 20;  // all of them
  ASSERT_NO_FATAL_FAILURE(learn_and_average("a"));
  ASSERT_NO_FATAL_FAILURE(serve());
  life_.reset();
  const auto rest = learn_rest("a", 3);
  ASSERT_TRUE(rest.is_ok()) << rest.status().to_string();

  const Schema schema(synthetic_spec());
  Config config = config_;
  config.memory.path = path("a");
  StoreOptions options = store_options(config);
  options.read_only = true;
  MemoryLog log;
  LocalMetrics metrics;
  const auto store = Store::open(options, std::nullopt, log, metrics).value();
  const auto now = store->checkpoints();
  std::map<std::uint64_t, StateHash> expected;  // by the entry that follows
  std::size_t with_average = 0;
  for (const CheckpointInfo& info : now) {
    const auto blobs = store->read_checkpoint(info.id).value().blobs;
    expected[info.order_index] = decode_state_hash(blobs.at(std::string(kStateHashBlob))).value();
    if (blobs.contains(kServedAverageBlob)) ++with_average;
  }
  // Its own, and that of the first cut after it, when the next round has not been trained yet.
  EXPECT_EQ(with_average, 2U);
  EXPECT_GE(now.size(), 10U);
  std::atomic<bool> stop{false};
  SyntheticStream source(whole_, 1, whole_.offsets + 1, stop);
  ModelSlot slot(clock_);
  PipelineOptions redo_options;
  RedoOnly& redo = redo_options.redo_only.emplace();
  redo.from_checkpoint = now.front().id;
  std::size_t compared = 0;
  redo.at_rest = [&](Pipeline& pipeline, std::uint64_t, std::uint64_t order_index) -> Status {
    const auto found = expected.find(order_index);
    if (found == expected.end()) return Status::ok();
    const StateHash hash = TRY(pipeline.state_hash());
    EXPECT_EQ(differing_parts(hash, found->second), std::vector<std::string>{}) << "at order entry " << order_index;
    ++compared;
    expected.erase(found);
    return Status::ok();
  };
  const auto pipeline = Pipeline::open(config, schema, redo_options, {*store, source, slot, clock_, log, metrics});
  ASSERT_TRUE(pipeline.is_ok()) << pipeline.status().to_string();
  const Status redone = (*pipeline)->redo_log(stop);
  ASSERT_TRUE(redone.is_ok()) << redone.to_string();
  EXPECT_EQ(compared, now.size());
}

TEST_F(ServedAverage, AKillBeforeItsCheckpointLeavesTheOldState) {
  ASSERT_NO_FATAL_FAILURE(learn_and_average("a"));
  ASSERT_TRUE(life_->pipeline().finish().is_ok());
  const auto kept = life_->store().checkpoints();
  copy("a", "without");
  clock_.from = path("a");
  clock_.to = path("killed");
  ASSERT_NO_FATAL_FAILURE(serve());
  clock_.from.clear();
  life_.reset();
  {
    PipelineLife killed(config_, path("killed"), clock_);
    ASSERT_TRUE(killed.open(std::make_unique<SyntheticStream>(first_, 1, first_.offsets + 1, killed.stop)).is_ok());
    ASSERT_TRUE(killed.pipeline().run(killed.stop).is_ok());
    const auto left = killed.store().checkpoints();
    ASSERT_EQ(left.size(), kept.size()) << "something went before the new checkpoint was there";
    EXPECT_EQ(left.back().id, kept.back().id);
    EXPECT_NE(killed.pipeline().compare_on_held_out(*learner_->republish(1))->loss_difference, 0);
    EXPECT_TRUE(killed.log.contains("average_left_out"));
    EXPECT_TRUE(verify_store(killed.store(), {}, kGoOn)->sound());
  }
  const auto killed = learn_rest("killed", 2);
  const auto without = learn_rest("without", 2);
  ASSERT_TRUE(killed.is_ok()) << killed.status().to_string();
  ASSERT_TRUE(without.is_ok()) << without.status().to_string();
  for (const std::string name : {"learner", "encoder", "evaluation", "forgetting", "replay_memory"}) {
    EXPECT_TRUE(killed->at(name) == without->at(name)) << name;
  }
}

TEST_F(ServedAverage, BytesThatAreNoModelChangeNothing) {
  ASSERT_NO_FATAL_FAILURE(learn_and_average("a"));
  const auto before = life_->store().checkpoints().back().id;
  EXPECT_EQ(life_->pipeline().serve_average("not a model", 2).code(), Code::kDataLoss);
  EXPECT_EQ(life_->store().checkpoints().back().id, before);
  EXPECT_EQ(life_->pipeline().learner_bytes(), learner_before_);
}

TEST(HeldOutScoresTest, HeldOutRowsAloneAreScored) {
  EncodedBatch rows(1, 0, 8);
  rows.resize(6);
  Predictions predictions;
  predictions.rows = 4;  // of rows 2 to 5
  predictions.width = 1;
  predictions.values = {0.1F, 0.8F, 0.4F, 0.9F};
  const float labels[] = {1, 1, 1, 1, 0, 0};
  for (std::size_t i = 0; i < 6; ++i) {
    rows.labels[i] = labels[i];
    rows.weights[i] = 1;
  }
  const std::uint8_t held_out[] = {0, 1, 2, 0};
  HeldOutScores scores({});
  scores.observe(held_out, predictions, rows, 2, 5);
  const EvaluationReport report = scores.report();
  EXPECT_EQ(report.events, 2U);
  EXPECT_EQ(report.model_version, 5U);
  EXPECT_NEAR(*find_metric(report.stream, "log_loss"), -(std::log(0.8) + std::log(0.6)) / 2, 1e-6);
}

}  // namespace
}  // namespace freshet::test
