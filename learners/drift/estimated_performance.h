// EstimatedPerformance: how good the predictions on unlabelled events are, estimated from their confidence: what the
// labelled events say about how often a prediction of this confidence is right, averaged over the confidences of the
// unlabelled ones (CBPE: J. Białek, W. Kuberski, N. Perrakis and A. Bifet, Estimating Model Performance Under Covariate
// Shift Without Labels, 2024; NannyML). It sees a change of the inputs, not one of the concept.
//
// Predictions go into bins by their probability; the calibration is the bins' share of positives made monotone (pool
// adjacent violators: M. Ayer et al., Annals of Mathematical Statistics 26, 1955). A binary model's prediction is the
// probability of the positive class; of other classifiers give the confidence in the predicted class, and as the
// outcome whether it was right: then `accuracy` counts alone.
//
// Threads: one owner.  Owns: kBins sums twice, 5 KiB; nothing is allocated for an event.
// Failure: what is no probability is left out; `load` answers data_loss for damaged bytes, and all is then empty.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/bytes.h"
#include "core/status.h"

namespace freshet {

struct PerformanceEstimate {
  std::uint64_t events = 0;  // unlabelled ones that it is about
  double accuracy = 0;
  double log_loss = 0;
};

class EstimatedPerformance {
 public:
  static constexpr std::size_t kBins = 64;

  // `decay`: what of the labelled events' weight is kept with each labelled event; 1: all count alike.
  explicit EstimatedPerformance(double decay = 0.9999, bool binary = true) : decay_(decay), binary_(binary) {}

  void add_labelled(float probability, bool positive);
  void add_unlabelled(float probability);

  // Over the unlabelled events since `begin_window`. Without labelled events probabilities are taken as they are.
  PerformanceEstimate estimate() const;
  void begin_window() { unlabelled_ = {}; }

  // The share of positives among events predicted like this.
  double calibrated(float probability) const;

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  struct Labelled {
    double weight = 0;
    double positives = 0;
    std::uint64_t touched = 0;  // the labelled event of the newest decay
  };
  struct Unlabelled {
    std::uint64_t count = 0;
    double sum = 0;
    double loss_if_positive = 0;
    double loss_if_negative = 0;
  };

  std::array<double, kBins> calibration() const;  // of each bin; below 0: none of its own, the probability stands

  double decay_;
  bool binary_;
  std::uint64_t labelled_events_ = 0;
  std::array<Labelled, kBins> labelled_{};
  std::array<Unlabelled, kBins> unlabelled_{};
};

}  // namespace freshet
