// SliceVeto: whether a model is worse than another on the held-out gating events of the past, as a whole or on one of
// their slices, by more than a margin.
//
// For each group of events the mean of the paired differences is tested one-sided (z), with Holm's correction (1979)
// over the groups. Groups are the uniform sample of the past, and each slice. Usually only some events of the past are
// looked at, others in each round; `all` looks at everything.
//
// Threads: one owner (ingest).  Owns: scratch rows.  Failure: what a model or a stored event refuses is passed on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/encoded_batch.h"
#include "core/event_record.h"
#include "core/predictor.h"
#include "core/status.h"
#include "learners/training/losses.h"
#include "storage/held_out_sample.h"

namespace freshet {

struct HeldOutSource {
  const HeldOutSample& sample;
  const EventRecordCodec& codec;
  const EncodedLayout& layout;
};

struct SliceVetoOptions {
  Task task = Task::kBinary;
  LossOptions loss = {};
  double alpha = 0.05;
  double margin = 0.02;      // of the loss: nats; of a regression, a share of the other model's loss
  std::uint32_t rows = 128;  // looked at without `all`
};

class SliceVeto {
 public:
  static constexpr std::size_t kGroupRowsMin = 30;  // fewer say nothing

  explicit SliceVeto(const SliceVetoOptions& options) : options_(options) {}

  struct Look {
    std::string worse;             // what is, in words; empty: nothing
    bool no_worse_in_all = false;  // all of the past was looked at, and the mean loss there is not above the other's
  };
  // Events before `from_seq` have no say. turn: which of the events of the past are looked at without `all`.
  Result<Look> look(const Predictor& candidate, const Predictor& reference, const HeldOutSource& source,
                    std::uint64_t from_seq, bool all, std::uint64_t turn);

 private:
  Status gather(const HeldOutSource& source, std::uint64_t from_seq, bool all, std::uint64_t turn);
  Status losses_of(const Predictor& model, std::vector<float>& losses);

  const SliceVetoOptions options_;
  EncodedBatch rows_;
  std::vector<std::uint32_t> slices_;  // of each row; kNoSlice
  std::vector<bool> past_;             // of each row: in the uniform sample of the past
  Predictions predictions_;
  std::vector<float> candidate_losses_;
  std::vector<float> reference_losses_;
};

}  // namespace freshet
