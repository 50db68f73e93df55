#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "learners/models/tabular_net.h"
#include "learners/training/averaging.h"
#include "learners/training/good_state.h"
#include "learners/training/native_copies.h"
#include "learners/training/publisher.h"
#include "learners/training/training_engine.h"

namespace freshet {

namespace {

class NativeEngine final : public TrainingEngine {
 public:
  NativeEngine(const LearnerOptions& options, std::unique_ptr<TabularNet> net, std::unique_ptr<Optimizer> optimizer)
      : published_(options.published),
        seed_(options.model.seed),
        embedding_scale_(options.model.embedding_scale),
        net_(std::move(net)),
        optimizer_(std::move(optimizer)),
        copies_(*net_),
        publisher_(net_->shape(), net_->weights()) {
    if (published_ == PublishedWeights::kEma) ema_.emplace(options.ema_decay, net_->parameters());
    if (published_ == PublishedWeights::kAverage) average_.emplace(options.average_rounds, net_->parameters());
    good_.emplace(net_->parameters(), *optimizer_, ema_ ? &*ema_ : nullptr);
  }

  Model& model() override { return *net_; }
  std::uint64_t parameter_count() const override { return net_->shape()->parameter_count(); }

  void clear_gradients() override { net_->parameters().clear_gradients(); }
  Result<double> squared_gradient_norm() override { return net_->parameters().squared_gradient_norm(); }
  Status scale_gradients(float factor) override {
    net_->parameters().scale_gradients(factor);
    return Status::ok();
  }
  Status step(float learning_rate) override {
    Parameters& parameters = net_->parameters();
    before_move(parameters.table.touched());
    optimizer_->step(parameters, learning_rate);
    parameters.table.mark_changed();
    if (ema_) ema_->after_step(parameters);
    return Status::ok();
  }
  Status end_round() override {
    if (average_) average_->end_round(net_->parameters(), moved_);
    return Status::ok();
  }

  Status mark_good() override {
    good_->mark();
    return Status::ok();
  }
  Result<bool> sane() override { return good_->sane(); }
  Status restore_good() override {
    copies_.before_move(good_->moved());
    good_->restore();
    return Status::ok();
  }

  Result<std::shared_ptr<const Predictor>> publish(std::uint64_t version, bool again) override {
    Parameters& parameters = net_->parameters();
    if (ema_ && !again) {
      moved_.clear();
      ema_->catch_up(parameters, Ema::kCaughtUpRows, moved_);
    }
    std::shared_ptr<const Predictor> published;
    if (ema_ || average_) {
      const AveragedWeights& weights = ema_ ? ema_->weights() : average_->weights();
      published =
          publisher_.publish({weights.dense.data(), weights.rows.data(), parameters.table.stride()}, moved_, version);
    } else {
      published = publisher_.publish(net_->weights(), parameters.table.changed(), version);
    }
    moved_.clear();
    parameters.table.forget_changed();
    return published;
  }
  std::shared_ptr<const Predictor> publish_last(std::uint64_t version) override {
    return publisher_.publish_last(version);
  }
  Status save_published(const Predictor& version, ByteWriter& out) override {
    return publisher_.save(version, published_weights(), out);
  }
  Result<std::shared_ptr<const Predictor>> load_published(ByteReader& in) override {
    return publisher_.load(in, published_weights());
  }
  Status evaluate(const EncodedBatch& batch, Predictions& out) override {
    return tabular_predict(*net_->shape(), net_->weights(), batch, 0, batch.size(), out);
  }

  Status copy_weights(std::vector<float>& to) override {
    const Parameters& parameters = net_->parameters();
    const auto dense = parameters.dense.span();
    const auto rows = parameters.table.values().span();
    to.assign(dense.begin(), dense.end());
    to.insert(to.end(), rows.begin(), rows.end());
    return Status::ok();
  }
  Status take_weights(std::span<const float> weights) override {
    Parameters& parameters = net_->parameters();
    const auto dense = parameters.dense.span();
    if (weights.size() != dense.size() + parameters.table.values().size()) {
      return invalid_argument(
          fmt::format("{} weights for a model of {}", weights.size(), dense.size() + parameters.table.values().size()));
    }
    std::ranges::copy(weights.first(dense.size()), dense.begin());
    const float* rows = weights.data() + dense.size();
    const std::size_t stride = parameters.table.stride();
    // A row that this state never moved may have moved in one that went into the average.
    std::vector<std::uint32_t> used(parameters.table.used().begin(), parameters.table.used().end());
    std::vector<bool> known(parameters.table.rows());
    for (const auto row : used) known[row] = true;
    for (std::size_t row = 0; row < parameters.table.rows(); ++row) {
      if (std::equal(rows + row * stride, rows + (row + 1) * stride, parameters.table.row(row))) continue;
      std::copy_n(rows + row * stride, stride, parameters.table.row(row));
      if (!known[row]) used.push_back(static_cast<std::uint32_t>(row));
    }
    if (used.size() != parameters.table.used().size()) parameters.table.restore_used(std::move(used));
    if (ema_) ema_->reset(parameters);
    if (average_) average_->reset(parameters);
    moved_.clear();
    publisher_.forget();
    return Status::ok();
  }

  Status save(ByteWriter& out) override {
    const Parameters& parameters = net_->parameters();
    parameters.save(out);
    optimizer_->save(out, parameters);
    save_averages(out, published_, ema_, average_, parameters);
    return Status::ok();
  }
  Status load(ByteReader& in, std::uint64_t seed, float embedding_scale) override {
    seed_ = seed;
    embedding_scale_ = embedding_scale;
    net_->initialise(seed, embedding_scale);
    Parameters& parameters = net_->parameters();
    TRY(parameters.load(in));
    TRY(optimizer_->load(in, parameters));
    TRY(load_averages(in, published_, ema_, average_, parameters));
    moved_.clear();
    publisher_.forget();
    return Status::ok();
  }

  Result<std::unique_ptr<WeightsCopy>> copy() override { return copies_.copy(); }
  Result<std::unique_ptr<QuadraticPenalty>> penalty() override { return copies_.penalty(); }
  Status restore(WeightsCopy& copy) override {
    before_move(NativeCopies::rows_of(copy));
    NativeCopies::restore(copy);
    return Status::ok();
  }
  Status begin_anew() override {
    good_->before_move(net_->parameters().table.used());
    copies_.before_move(net_->parameters().table.used());
    freshet::begin_anew(*net_, seed_, embedding_scale_);
    if (ema_) ema_->reset(net_->parameters());
    if (average_) average_->reset(net_->parameters());
    return Status::ok();
  }
  Status reset_optimizer() override {
    good_->before_move(net_->parameters().table.used());
    optimizer_->reset();
    return Status::ok();
  }
  Status shrink_and_perturb(float factor, float deviation, Rng& rng) override {
    Parameters& parameters = net_->parameters();
    before_move(parameters.table.used());
    freshet::shrink_and_perturb(parameters, factor, deviation, rng);
    return Status::ok();
  }

 private:
  // What publish() copies, and so what versions differ little from.
  TabularWeights published_weights() const {
    if (!ema_ && !average_) return net_->weights();
    const AveragedWeights& weights = ema_ ? ema_->weights() : average_->weights();
    return {weights.dense.data(), weights.rows.data(), net_->parameters().table.stride()};
  }
  void before_move(std::span<const std::uint32_t> rows) {
    good_->before_move(rows);
    copies_.before_move(rows);
    if (ema_) ema_->before_move(net_->parameters(), rows);
  }

  PublishedWeights published_;
  std::uint64_t seed_;  // of the initial weights
  float embedding_scale_;
  std::unique_ptr<TabularNet> net_;
  std::unique_ptr<Optimizer> optimizer_;
  NativeCopies copies_;
  std::optional<Ema> ema_;
  std::optional<SnapshotAverage> average_;
  std::optional<GoodState> good_;
  std::vector<std::uint32_t> moved_;  // rows of the published average that moved since publish()
  SnapshotPublisher publisher_;
};

}  // namespace

Status TrainingEngine::export_model(const std::string& /*path*/, std::string_view /*about*/,
                                    const Predictor& /*version*/) {
  return unsupported("models of numbers and categories are not written as TorchScript; convnet and torchscript are");
}

Result<std::unique_ptr<TrainingEngine>> make_native_engine(const LearnerOptions& options, const EncodedLayout& layout) {
  auto net = TRY(make_tabular_net(options.model, layout));
  auto optimizer = TRY(Optimizer::create(options.optimizer, net->parameters()));
  return std::unique_ptr<TrainingEngine>(std::make_unique<NativeEngine>(options, std::move(net), std::move(optimizer)));
}

}  // namespace freshet
