// verify_store: whether everything in a store is whole and fits together: checksums of all table files, checkpoints
// with their pieces and pages, the event log and its order without holes as far as they are kept, the ledger's sums,
// and every slot of the replay memory with its event behind it.
//
// Threads: any; best on a store that is open for reading, also beside a running daemon.
// Failure: damage is a problem in the report, not an error; a Status is for what kept it from looking.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/event_record.h"
#include "core/status.h"
#include "storage/store.h"

namespace freshet {

inline constexpr std::size_t kProblemsListedMax = 20;  // of each check; more are counted

struct VerifyCheck {
  std::string name;
  std::string unit;
  std::uint64_t checked = 0;
  std::uint64_t problems = 0;
  std::vector<std::string> listed;
};

struct VerifyReport {
  std::string path;
  std::vector<VerifyCheck> checks;
  bool sound() const;
};

// What the store itself cannot know of its content; an empty one leaves that question out.
struct VerifyHooks {
  std::function<Result<RecordOrigin>(std::string_view record)> origin_of;
  // The first event that a checkpoint's state still takes from the log.
  std::function<Result<std::uint64_t>(const Checkpoint& checkpoint)> needs_from;
};

Result<VerifyReport> verify_store(const Store& store, const VerifyHooks& hooks, const WorkStep& step);

std::string to_json(const VerifyReport& report);

}  // namespace freshet
