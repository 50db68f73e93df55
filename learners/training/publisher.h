// SnapshotPublisher: immutable copies of a model's weights for evaluation and serving. Copies that nobody reads any
// more are filled again: the dense weights whole, of the embedding table only the rows that moved since that copy
// was made.
//
// Threads: publish() on the trainer; what it returns may be read and dropped on any thread, which never frees weights
// there while the publisher lives.
// Owns: the copies; the dense weights and the table's rows are taken over from the source at each publish(), which must
// outlive the publisher.
// Failure: none; when readers hold every copy, another is made.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "core/bytes.h"
#include "core/predictor.h"
#include "learners/models/tabular_shape.h"
#include "learners/training/snapshot_pool.h"

namespace freshet {

class TabularSnapshot;

// Predictions of rows [begin, end) of `batch` under `weights`: probabilities or values. Allocates nothing once a thread
// has seen its largest model and `out` its largest batch.
Status tabular_predict(const TabularShape& shape, const TabularWeights& weights, const EncodedBatch& batch,
                       std::size_t begin, std::size_t end, Predictions& out);

class SnapshotPublisher {
 public:
  // initial: where the weights lie before the first publish().
  SnapshotPublisher(std::shared_ptr<const TabularShape> shape, const TabularWeights& initial)
      : shape_(std::move(shape)), latest_(initial) {}
  ~SnapshotPublisher();

  // `source` as it stands now; `moved`: rows of its table that differ from what the last publish() saw (each at least
  // once).
  std::shared_ptr<const Predictor> publish(const TabularWeights& source, std::span<const std::uint32_t> moved,
                                           std::uint64_t version);
  // The source of the last publish(), as it stands now.
  std::shared_ptr<const Predictor> publish_last(std::uint64_t version) { return publish(latest_, {}, version); }
  // Any copy of this shape as bytes, beside `base`, which the reader will have too: rows of the table that are equal
  // there are left out.
  Status save(const Predictor& copy, const TabularWeights& base, ByteWriter& out) const;
  Result<std::shared_ptr<const Predictor>> load(ByteReader& in, const TabularWeights& base);
  // The next publish() copies everything.
  void forget();

  std::size_t copies() const { return pool_.size(); }

 private:
  std::shared_ptr<const TabularShape> shape_;
  TabularWeights latest_;
  SnapshotPool<TabularSnapshot> pool_;
  std::uint64_t publications_ = 0;
  std::deque<std::vector<std::uint32_t>> moved_;  // of the latest publications, newest last
};

}  // namespace freshet
