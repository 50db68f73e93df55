// ModelSlot: where published models stand. Publishing is one pointer flip; requests that already hold the former
// version finish with it.
//
// Threads: `current` and `find` from any number of threads: a mutex is held for one pointer copy and nothing else
// (std::atomic<std::shared_ptr> of gcc 12 is not clean under the thread sanitizer). `publish`, `roll_back` and
// `release_idle` from any thread, one at a time among themselves.
// Owns: the live version, the last `keep` versions before it, and retired ones that a request still holds. A version is
// freed only inside `publish` and `release_idle`, once nobody else holds it, so that no request ever frees a model.
// Failure: publishing null aborts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "core/clock.h"
#include "core/model_source.h"
#include "core/status.h"

namespace freshet {

class ModelSlot final : public ModelSource {
 public:
  struct Published {
    std::uint64_t version = 0;
    std::int64_t wall_ms = 0;  // when it last went live
    bool rolled_back_to = false;
  };

  // `keep`: versions before the live one that stay loaded, for rollback and for requests that name a version.
  explicit ModelSlot(const Clock& clock, std::size_t keep = 2) : clock_(clock), keep_(keep) {}

  // The live version; null until the first is published.
  std::shared_ptr<const Predictor> current() const override;
  // A loaded version: the live one or a kept one; else null.
  std::shared_ptr<const Predictor> find(std::uint64_t version) const;
  // The live version first, then kept ones from newest to oldest.
  std::vector<std::uint64_t> loaded_versions() const;

  // rolled_back_to: the version was live before.
  // The versions behind loaded_versions(), without the live one.
  std::vector<std::shared_ptr<const Predictor>> kept() const;

  void publish(std::shared_ptr<const Predictor> model, bool rolled_back_to = false);

  // Makes a kept version live again, and the live one kept. kNotFound when `version` is not kept.
  Status roll_back(std::uint64_t version);

  // Frees retired versions that nobody holds any more; call it now and then from the publishing thread. Returns how
  // many are still held.
  std::size_t release_idle();

  // The last kHistoryMax publications, newest first, freed versions included.
  std::vector<Published> history() const;
  static constexpr std::size_t kHistoryMax = 64;

 private:
  void go_live(std::shared_ptr<const Predictor> model, bool rolled_back_to);

  const Clock& clock_;
  const std::size_t keep_;

  mutable std::mutex flip_;  // guards the three below; held for pointer copies only
  std::shared_ptr<const Predictor> live_;
  std::deque<std::shared_ptr<const Predictor>> kept_;  // newest first
  std::deque<Published> history_;                      // newest first

  std::mutex publishing_;  // taken before flip_; guards retired_
  std::vector<std::shared_ptr<const Predictor>> retired_;
};

}  // namespace freshet
