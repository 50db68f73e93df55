// ToyRun: a learning run over the real store, memory and held-out set, in the order of daemon/pipeline: append,
// remember, cut, checkpoint, draw, train, go live; restore and redo after a restart. Its encoder and its learner are
// hash chains over what they have seen: any event too many, too few, or in another place changes them for good.
//
// Threads: one.  Owns: the run's state in memory; borrows the store.
// Failure: what the store says; a redo that does not come to the records of the log is kInternal.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/bytes.h"
#include "core/rng.h"
#include "storage/payload_garbage.h"
#include "tests/sim/world.h"

namespace freshet::sim {

// All that a restart must bring back, to compare two runs by.
struct Fingerprint {
  std::uint64_t next_seq = 0, round_begin = 0, cut_seq = 0, next_round = 0, order_next = 0, served_version = 0;
  std::uint64_t encoder = 0, served = 0;
  std::uint64_t learner = 0;             // 0 while a round is drawn and not trained yet
  std::vector<std::uint64_t> pending;    // the fresh and the drawn seqs of that round
  std::vector<std::uint64_t> gathering;  // seqs of the round being gathered
  std::vector<std::uint64_t> memory;     // slot by slot
  std::string memory_header;
  std::string held_out;
  Rng::State replay_rng{};
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};
// Names the fields that differ, with their values.
std::string difference(const Fingerprint& expected, const Fingerprint& found);

class ToyRun {
 public:
  // Loads the newest checkpoint, if there is one.
  static Result<std::unique_ptr<ToyRun>> open(const Rules& rules, Store& store);
  Status redo();

  // Encodes, scores, appends, remembers. False: the store did not take it, nothing has happened; the same again.
  Status ingest(const std::vector<Event>& events, const std::vector<SkippedRecord>& skipped);
  Status cut(const std::vector<std::uint64_t>& erased_keys, bool checkpoint_due);
  Status train();    // the round that is pending, if it is not trained yet
  Status go_live();  // the round that is pending

  std::uint64_t gathered() const { return next_seq_ - cut_seq_; }
  bool pending() const { return pending_.has_value(); }
  std::uint64_t since_checkpoint() const { return next_seq_ - checkpoint_seq_; }
  std::uint64_t checkpoints_failed() const { return checkpoints_failed_; }
  Fingerprint fingerprint() const;
  const ReplayMemory& memory() const { return *memory_; }
  const HeldOutSet& held_out_set() const { return held_out_; }

  // Called for each append and each checkpoint, before it is tried and once it is acknowledged: the model's ears.
  struct Observer {
    virtual ~Observer() = default;
    virtual void appending(const AppendBatch& batch, const std::vector<Row>& rows) = 0;
    virtual void appended() = 0;
    virtual void checkpointing(const CheckpointWrite& write) = 0;
    virtual void checkpointed(std::uint64_t id) = 0;
    // The store refused a write: whether to try again.
    virtual bool try_again(const Status& status) = 0;
  };
  void observe(Observer* observer) { observer_ = observer; }

 private:
  struct Pending {
    std::uint64_t round = 0;
    std::vector<std::pair<std::uint64_t, Row>> fresh;
    std::vector<std::uint64_t> drawn;
    bool trained = false;
  };
  ToyRun(const Rules& rules, Store& store);
  Status restore();
  std::string save() const;
  Status load(std::string_view bytes);
  Row learn(const Event& event);
  void remember(std::uint64_t seq, const Row& row);
  Status append(const AppendBatch& batch, const std::vector<Row>& rows);
  Status record(const OrderEntry& entry);
  Status close_round(const std::vector<std::uint64_t>& erased_keys, bool record, bool checkpoint_due);
  Status collect(bool record);
  Status erase(std::uint64_t key);
  void expire();
  void start_round();
  Status checkpoint();
  Status reload_last_round();
  Status redo_events(std::uint64_t last_seq);

  const Rules rules_;
  Store& store_;
  Observer* observer_ = nullptr;
  std::uint64_t next_seq_ = 1, round_begin_ = 1, cut_seq_ = 1, next_round_ = 1, order_next_ = 0, served_version_ = 1;
  bool round_waits_ = false;
  std::uint64_t encoder_ = 0, learner_ = 0, served_ = 0;
  Rng replay_rng_;
  std::unique_ptr<ReplayMemory> memory_;
  HeldOutSet held_out_;
  PayloadGarbage garbage_;
  std::vector<std::uint64_t> erased_at_cut_;  // keys whose rows left the round that waits
  std::vector<std::pair<std::uint64_t, Row>> gathering_, training_;
  std::optional<Pending> pending_;
  std::vector<std::uint64_t> released_;
  std::uint64_t checkpoint_seq_ = 1;
  std::uint64_t checkpoints_failed_ = 0;
};

}  // namespace freshet::sim
