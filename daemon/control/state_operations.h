// What can be done to the state beside a running daemon, or without one, by name: `freshet state` asks for these
// through the admin routes when a daemon has the store open, and calls them itself otherwise.
//
// Threads: `work` runs on one thread at a time, beside the store's writer.  Owns: nothing; borrows the store.
// Failure: kInvalidArgument for arguments that are wrong or missing.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>

#include "core/status.h"
#include "daemon/control/operations.h"
#include "daemon/pipeline/pipeline.h"
#include "serving/json_object.h"
#include "storage/store.h"

namespace freshet {

struct StateOperation {
  std::string unit;  // of the progress
  // The result is a JSON object.
  std::function<Result<std::string>(const JsonObject& arguments, Progress& progress)> work;
};

using StateOperations = std::map<std::string, StateOperation, std::less<>>;

// "backup": {"to": folder, "keep": how many} -> {"id", "time_ms", "bytes", "files", "last_seq", "checkpoint"};
// "compact": {} -> {"bytes_before", "bytes_after"}.
StateOperations store_operations(const Store& store);

// What a running pipeline must be asked for. "erase": {"key_hashes": see key_hashes_text()} -> to_json(ErasureReport);
// it has ended well once the events are gone, durably, and their bytes have left the files.
inline constexpr std::size_t kErasedKeysMax = 20'000;  // in one request
StateOperations pipeline_operations(Store& store, Pipeline& pipeline);

// Hexadecimal, with spaces between: keys themselves stand in no request.
std::string key_hashes_text(std::span<const std::uint64_t> hashes);

std::string to_json(const BackupInfo& backup);

}  // namespace freshet
