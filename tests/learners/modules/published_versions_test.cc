// Versions that a learner published earlier, kept as bytes beside its state.
#include <array>

#include "tests/learners/modules/module_cases.h"

namespace freshet {
namespace {

struct VersionCase {
  std::string name;
  LearnerOptions options;
  EncodedLayout layout;
};

std::vector<VersionCase> version_cases() {
  std::vector<VersionCase> cases;
  constexpr std::array kWeights = {std::pair{PublishedWeights::kRaw, "raw"}, std::pair{PublishedWeights::kEma, "ema"},
                                   std::pair{PublishedWeights::kAverage, "average"}};
  for (const auto& [weights, name] : kWeights) {
    LearnerOptions tabular;
    tabular.model.architecture = Architecture::kWideDeep;
    tabular.model.task = Task::kBinary;
    tabular.model.hidden = {8};
    tabular.model.embedding_dim = 4;
    tabular.model.embedding_rows = 512;
    tabular.model.seed = kModuleSeed;
    tabular.schedule.learning_rate = 0.05F;
    tabular.batch_size = 32;
    tabular.published = weights;
    tabular.ema_decay = 0.9;
    cases.push_back({std::string("wide_deep_") + name, tabular, synthetic_layout(6, 3)});
    LearnerOptions module = module_options(tiny_model(), Task::kBinary);
    module.published = weights;
    module.ema_decay = 0.9;
    cases.push_back({std::string("torchscript_") + name, module, synthetic_layout(6, 3)});
  }
  return cases;
}

class PublishedVersions : public testing::TestWithParam<std::size_t> {
 protected:
  PublishedVersions() : learner_(module_learner(tested_.options, tested_.layout)) {}
  void train(Learner& learner, std::uint64_t first, std::uint64_t rounds) const {
    for (std::uint64_t round = first; round < first + rounds; ++round) module_round(learner, tested_.layout, round);
  }
  static std::string version_bytes(const Learner& learner, const Predictor& version) {
    ByteWriter out;
    const Status status = learner.save_published(version, out);
    EXPECT_TRUE(status.is_ok()) << status.to_string();
    return out.take();
  }

  VersionCase tested_ = version_cases()[GetParam()];
  std::unique_ptr<Learner> learner_;
  EncodedBatch unseen_ = synthetic_events(tested_.layout, 200, kModuleSeed + 55, Task::kBinary);
};
INSTANTIATE_TEST_SUITE_P(All, PublishedVersions, testing::Range<std::size_t>(0, 6),
                         [](const auto& tested) { return version_cases()[tested.param].name; });

TEST_P(PublishedVersions, ComeBackToTheBitBesideTheStateTheyWereSavedWith) {
  train(*learner_, 0, 4);
  const auto early = learner_->publish(5);
  const auto as_published = predictions_of(*early, unseen_);
  train(*learner_, 4, 20);  // copies are filled again meanwhile
  for (std::uint64_t version = 6; version < 10; ++version) learner_->publish(version);
  const std::string state = module_state(*learner_);
  const std::string bytes = version_bytes(*learner_, *early);

  const auto other = module_learner(tested_.options, tested_.layout);
  ByteReader in(state);
  ASSERT_TRUE(other->load(in).is_ok());
  ByteReader stored(bytes);
  const auto loaded = other->load_published(stored);
  ASSERT_TRUE(loaded.is_ok()) << loaded.status().to_string();
  EXPECT_TRUE(stored.at_end());
  EXPECT_EQ((*loaded)->version(), 5U);
  EXPECT_EQ(predictions_of(**loaded, unseen_), as_published);
  EXPECT_EQ(version_bytes(*other, **loaded), bytes);

  // It stands by itself while the learner goes on, and changes nothing in what that publishes.
  train(*learner_, 24, 3);
  train(*other, 24, 3);
  EXPECT_EQ(predictions_of(*other->publish(12), unseen_), predictions_of(*learner_->publish(12), unseen_));
  EXPECT_EQ(predictions_of(**loaded, unseen_), as_published);
  EXPECT_EQ(module_state(*other), module_state(*learner_));
}

TEST_P(PublishedVersions, DamagedBytesAreRefused) {
  train(*learner_, 0, 2);
  const auto version = learner_->publish(3);
  const std::string state = module_state(*learner_);
  const std::string bytes = version_bytes(*learner_, *version);
  for (std::size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 40) {
    ByteReader in(std::string_view(bytes).substr(0, size));
    EXPECT_FALSE(learner_->load_published(in).is_ok()) << size;
  }
}

}  // namespace
}  // namespace freshet
