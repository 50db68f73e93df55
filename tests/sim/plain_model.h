// PlainModel: what must hold, in vectors and maps. It hears of every append and checkpoint that was acknowledged, knows
// what a crash may have taken, and works out the state from the log alone, as a run would that was never interrupted.
//
// Threads: one.  Owns: the whole history of a store, events that it has deleted included.
// Failure: what does not hold is said in words.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/toy_run.h"

namespace freshet::sim {

// What a checkpoint taken at a cut needs of the log.
struct Needs {
  std::set<std::uint64_t> memory;
  std::uint64_t round_begin = 1;
};

class PlainModel {
 public:
  explicit PlainModel(const Rules& rules) : rules_(rules) {}

  void appending(const AppendBatch& batch, const std::vector<Row>& rows);
  void appended();
  void checkpointing(const CheckpointWrite& write);
  void checkpointed(std::uint64_t id);
  void synced() { synced_mark_ = marks_.size() - 1; }

  // The store was opened after a crash: it must be at a moment that the crash may have left. Forgets what is gone.
  std::string reopened(const Store& store, bool power_cut);
  // The checkpoint that a restart loads.
  std::string check_checkpoint(const std::optional<Checkpoint>& loaded);
  // The run's state, against that of a run without interruptions.
  std::string check_run(const ToyRun& run);
  // Ledger, order log, events; `tidy`: besides, garbage that the oldest checkpoint names must be gone.
  std::string check_store(const Store& store, bool tidy);

  std::size_t events() const { return rows_.size(); }
  std::int64_t next_offset(std::int32_t partition) const;
  // Keys asked to be erased whose erasure is not in the log yet.
  std::vector<std::uint64_t> due_erasures() const;
  void request_erasure(std::uint64_t key) { erasures_.push_back({key, order_.size()}); }

 private:
  struct Mark {  // the end of an append
    std::size_t rows = 0;
    std::size_t order = 0;
    std::map<std::int32_t, PartitionLedger> ledger;
  };
  struct Appending {
    std::vector<Row> rows;
    std::vector<OrderEntry> order;
    Mark end;
  };
  struct Taken {
    std::uint64_t id = 0, seq = 0, order = 0;
  };
  struct Erasure {
    std::uint64_t key = 0;
    std::size_t asked_at = 0;  // order entries then
  };
  std::string check_ledger(const Store& store) const;
  std::string check_order(const Store& store) const;
  // The needs of checkpoints taken at these order entries go to needs_.
  Fingerprint uninterrupted(const std::set<std::uint64_t>& wanted);
  std::string check_counted_rounds() const;

  const Rules rules_;
  std::vector<Row> rows_;  // of seq 1 and on
  std::vector<OrderEntry> order_;
  std::vector<Mark> marks_{Mark{}};
  std::size_t synced_mark_ = 0;
  std::optional<Appending> appending_;
  std::vector<Taken> checkpoints_;
  std::vector<Taken> unsure_;  // tried since, and not acknowledged: they may be there
  std::vector<Erasure> erasures_;
  std::map<std::uint64_t, Needs> needs_;  // by order index after a cut
  std::string wrong_record_;
};

}  // namespace freshet::sim
