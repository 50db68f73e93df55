#include "daemon/pipeline/round_log.h"

#include <fmt/format.h>

namespace freshet {
namespace {

constexpr std::int64_t kTellEveryNs = 1'000'000'000;

}  // namespace

void RoundLog::note(const RoundResult& round, bool goes_live, std::uint64_t served_version, bool redone) {
  const RoundReport& report = round.report;
  const double seconds = static_cast<double>(round.duration_ns) * 1e-9;
  log_.debug("round_trained",
             fmt::format("round {} trained on {} new and {} replayed events in {:.1f} ms; model "
                         "version {} is served",
                         round.round, report.samples_fresh, report.samples_replayed, seconds * 1e3, served_version));
  if (redone) return;
  const std::int64_t now = clock_.monotonic_ns();
  if (told_ns_ != 0 && now - told_ns_ < kTellEveryNs) {
    ++left_out_;
    return;
  }
  std::string words = fmt::format("round {} learnt from {} new and {} replayed events in {:.3f} s; ", round.round,
                                  report.samples_fresh, report.samples_replayed, seconds);
  words += goes_live ? fmt::format("its model is served as version {}", served_version)
                     : fmt::format("its model is turned away, version {} is still served", served_version);
  log_.info("rounds_learnt", words,
            {{"round", round.round},
             {"rounds_not_shown", left_out_},
             {"fresh", report.samples_fresh},
             {"replayed", report.samples_replayed},
             {"sifted_out", report.samples_sifted_out},
             {"steps", report.steps},
             {"loss", report.mean_loss},
             {"seconds", seconds},
             {"served_version", served_version}});
  told_ns_ = now;
  left_out_ = 0;
}

}  // namespace freshet
