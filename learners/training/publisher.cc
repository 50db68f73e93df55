#include "learners/training/publisher.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "learners/models/output_predictions.h"

namespace freshet {

namespace {

constexpr std::size_t kRemembered = 16;  // publications whose moved rows are kept
constexpr std::size_t kBlockRows = 64;   // rows predicted at a time: their activations stay in cache

}  // namespace

Status tabular_predict(const TabularShape& shape, const TabularWeights& weights, const EncodedBatch& batch,
                       std::size_t begin, std::size_t end, Predictions& out) {
  const RowRange all{&batch, begin, end};
  TRY(check_rows(shape, {&all, 1}));
  thread_local TabularScratch scratch;
  out.rows = end - begin;
  out.width = static_cast<std::uint32_t>(shape.outputs);
  if (out.values.size() < out.rows * shape.outputs) out.values.resize(out.rows * shape.outputs);
  for (std::size_t row = begin; row < end; row += kBlockRows) {
    const RowRange block{&batch, row, std::min(row + kBlockRows, end)};
    tabular_forward(shape, weights, {&block, 1}, scratch);
    outputs_to_predictions({shape.task, shape.link, shape.outputs}, scratch.outputs.data(), scratch.rows,
                           shape.output_stride, out.values.data() + (row - begin) * shape.outputs);
  }
  return Status::ok();
}

// One copy of the weights.
class TabularSnapshot final : public Predictor {
 public:
  explicit TabularSnapshot(std::shared_ptr<const TabularShape> shape)
      : shape_(std::move(shape)), dense_(shape_->dense_size) {}

  std::uint64_t version() const override { return version_; }
  Task task() const override { return shape_->task; }
  std::uint32_t outputs() const override { return static_cast<std::uint32_t>(shape_->outputs); }
  Status predict(const EncodedBatch& batch, std::size_t begin, std::size_t end, Predictions& out) const override {
    return tabular_predict(*shape_, {dense_.data(), table_.data(), stride_}, batch, begin, end, out);
  }

  void copy_dense(const TabularWeights& source) {
    std::memcpy(dense_.data(), source.dense, dense_.size() * sizeof(float));
  }
  void copy_table(const TabularWeights& source) {
    stride_ = source.table_stride;
    if (shape_->table_rows == 0) return;
    table_.reserve(shape_->table_rows * stride_);
    std::memcpy(table_.data(), source.table, table_.size() * sizeof(float));
  }
  void copy_rows(const TabularWeights& source, std::span<const std::uint32_t> rows) {
    for (const auto row : rows) {
      std::memcpy(table_.data() + row * stride_, source.table + row * stride_, stride_ * sizeof(float));
    }
  }

  void save(const TabularWeights& base, ByteWriter& out) const {
    out.put(version_);
    out.put<std::uint64_t>(dense_.size());
    out.append(dense_.data(), dense_.size() * sizeof(float));
    std::vector<std::uint32_t> differing;
    const std::size_t row_bytes = shape_->table_width * sizeof(float);
    for (std::size_t row = 0; row < shape_->table_rows; ++row) {
      const bool same =
          std::memcmp(table_.data() + row * stride_, base.table + row * base.table_stride, row_bytes) == 0;
      if (!same) differing.push_back(static_cast<std::uint32_t>(row));
    }
    out.put_span(std::span<const std::uint32_t>(differing));
    for (const auto row : differing) out.append(table_.data() + row * stride_, row_bytes);
  }
  Status load(ByteReader& in, const TabularWeights& base) {
    version_ = in.get<std::uint64_t>();
    if (in.get<std::uint64_t>() != dense_.size()) return data_loss("a stored model version has another shape");
    copy_table(base);
    in.read(dense_.data(), dense_.size() * sizeof(float));
    for (const auto row : in.get_vector<std::uint32_t>()) {
      if (row >= shape_->table_rows) return data_loss("a stored model version has a row beyond its table");
      in.read(table_.data() + row * stride_, shape_->table_width * sizeof(float));
    }
    return in.ok() ? Status::ok() : data_loss("a stored model version is cut short");
  }

  std::atomic<bool> in_use{false};
  std::uint64_t publication = 0;  // the one it was last filled for; 0: never
  void set_version(std::uint64_t version) { version_ = version; }

 private:
  std::shared_ptr<const TabularShape> shape_;
  std::uint64_t version_ = 0;
  AlignedBuffer dense_;
  AlignedBuffer table_;
  std::size_t stride_ = 0;
};

SnapshotPublisher::~SnapshotPublisher() = default;

void SnapshotPublisher::forget() {
  for (auto& snapshot : pool_.copies()) {
    if (!snapshot->in_use.load(std::memory_order_acquire)) snapshot->publication = 0;
  }
  // Copies in use are dropped from the pool instead: their last reader frees them.
  std::erase_if(pool_.copies(), [](const auto& snapshot) { return snapshot->publication != 0; });
  moved_.clear();
}

std::shared_ptr<const Predictor> SnapshotPublisher::publish(const TabularWeights& source,
                                                            std::span<const std::uint32_t> moved,
                                                            std::uint64_t version) {
  latest_ = source;
  ++publications_;
  std::vector<std::uint32_t> list;
  if (moved_.size() == kRemembered) {
    list = std::move(moved_.front());
    moved_.pop_front();
  }
  list.assign(moved.begin(), moved.end());
  moved_.push_back(std::move(list));

  // The one that needs the least to be brought up to date.
  auto snapshot = pool_.idle([&] { return std::make_shared<TabularSnapshot>(shape_); },
                             [](const auto& a, const auto& b) { return a.publication > b.publication; });
  snapshot->copy_dense(source);
  const std::uint64_t behind = publications_ - snapshot->publication;
  std::size_t rows = 0;
  if (behind <= moved_.size()) {
    for (std::size_t i = moved_.size() - behind; i < moved_.size(); ++i) rows += moved_[i].size();
  }
  // Single rows cost about four times as much as the same bytes in one piece.
  if (snapshot->publication == 0 || behind > moved_.size() || rows * 4 > shape_->table_rows) {
    snapshot->copy_table(source);
  } else {
    for (std::size_t i = moved_.size() - behind; i < moved_.size(); ++i) snapshot->copy_rows(source, moved_[i]);
  }
  snapshot->publication = publications_;
  snapshot->set_version(version);
  return SnapshotPool<TabularSnapshot>::hand_out(std::move(snapshot));
}

Status SnapshotPublisher::save(const Predictor& copy, const TabularWeights& base, ByteWriter& out) const {
  const auto* snapshot = dynamic_cast<const TabularSnapshot*>(&copy);
  if (snapshot == nullptr) return failed_precondition("this version is no copy of the learner's weights");
  snapshot->save(base, out);
  return Status::ok();
}

Result<std::shared_ptr<const Predictor>> SnapshotPublisher::load(ByteReader& in, const TabularWeights& base) {
  auto snapshot = pool_.idle([&] { return std::make_shared<TabularSnapshot>(shape_); },
                             [](const auto& a, const auto& b) { return a.publication < b.publication; });
  snapshot->publication = 0;  // whatever is published into it next is copied whole
  TRY(snapshot->load(in, base));
  return SnapshotPool<TabularSnapshot>::hand_out(std::move(snapshot));
}

}  // namespace freshet
