// Predictor and FeatureEncoding: what serving and progressive evaluation need of the learner, so that serving/ links
// no LibTorch. learners/ implements both.
//
// Threads: every method is const and may be called from many threads at once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/encoded_batch.h"
#include "core/event_batch.h"
#include "core/status.h"

namespace freshet {

enum class Task : std::uint8_t { kBinary, kMulticlass, kRegression };
std::string_view task_name(Task task);

// Row-major [rows, width]: probabilities of the positive class (binary, width 1), of each class (multiclass), or the
// predicted value (regression, width 1).
struct Predictions {
  std::size_t rows = 0;
  std::uint32_t width = 1;
  std::vector<float> values;  // grows to the largest batch seen, then allocates no more
};

// What a model says of itself, by a name of its own.
struct OwnMeasure {
  std::string name;
  double value = 0;
};

// One published version of a model: immutable weights.
class Predictor {
 public:
  virtual ~Predictor() = default;
  virtual std::uint64_t version() const = 0;
  virtual Task task() const = 0;
  virtual std::uint32_t outputs() const = 0;  // Predictions::width

  // Predicts rows [begin, end) of `batch`.
  virtual Status predict(const EncodedBatch& batch, std::size_t begin, std::size_t end, Predictions& out) const = 0;

  // Whether the model brings measures of its own, and what they are over all rows of `labelled`.
  virtual bool has_measures() const { return false; }
  virtual Result<std::vector<OwnMeasure>> measures(const EncodedBatch& /*labelled*/) const {
    return std::vector<OwnMeasure>{};
  }
};

// The live feature encoder, read side: statistics as they stand now, never changed by a call.
class FeatureEncoding {
 public:
  virtual ~FeatureEncoding() = default;
  virtual const Schema& schema() const = 0;
  virtual const EncodedLayout& layout() const = 0;

  // Encodes rows [begin, end) of `events` into rows [0, end - begin) of `out`, whose capacity must suffice.
  virtual void encode(const EventBatch& events, std::size_t begin, std::size_t end, EncodedBatch& out) const = 0;
};

}  // namespace freshet
