// SnapshotPool: the published copies of a model. A copy that nobody reads any more is handed back to be filled again,
// so that publishing allocates nothing once there are as many as readers hold at once.
//
// Threads: all methods on the trainer; what hand_out() returns may be read and dropped on any thread.
// Owns: the copies; one that is still read when the pool goes is freed by its last reader.
// Failure: none; when readers hold every copy, another is made.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "core/predictor.h"

namespace freshet {

// Snapshot: a Predictor with a `std::atomic<bool> in_use`, which goes up when it is handed out and down when its last
// reader lets go.
template <typename Snapshot>
class SnapshotPool {
 public:
  // Of the idle copies the one that is `better(copy, other)` than the others; without any, what make() makes.
  // Superfluous idle ones are freed here.
  template <typename Make, typename Better>
  std::shared_ptr<Snapshot> idle(const Make& make, const Better& better) {
    constexpr std::size_t kIdleKept = 4;  // kept warm
    std::shared_ptr<Snapshot> best;
    std::size_t idle = 0;
    for (auto it = copies_.begin(); it != copies_.end();) {
      if ((*it)->in_use.load(std::memory_order_acquire)) {
        ++it;
      } else if (++idle > kIdleKept) {
        it = copies_.erase(it);
      } else {
        if (best == nullptr || better(**it, *best)) best = *it;
        ++it;
      }
    }
    if (best == nullptr) {
      best = make();
      copies_.push_back(best);
    }
    return best;
  }

  static std::shared_ptr<const Predictor> hand_out(std::shared_ptr<Snapshot> snapshot) {
    snapshot->in_use.store(true, std::memory_order_relaxed);
    // The deleter keeps the copy alive should the pool go first.
    const Predictor* reader = snapshot.get();
    return {reader, [held = std::move(snapshot)](const Predictor*) mutable {
              held->in_use.store(false, std::memory_order_release);
              held.reset();
            }};
  }

  std::size_t size() const { return copies_.size(); }
  std::vector<std::shared_ptr<Snapshot>>& copies() { return copies_; }

 private:
  std::vector<std::shared_ptr<Snapshot>> copies_;
};

}  // namespace freshet
