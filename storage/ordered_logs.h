// OrderedLogs: a file system on which a write-ahead log is synced before the next one begins. RocksDB begins a new log
// with each memtable and syncs the old one only when that memtable's flush commits. In between, a power cut can leave
// writes of the new log and lose the end of the old one, cleanly at a record, which recovery does not notice: the
// database would come back with a hole in the middle of its history. One sync a memtable is what it costs, and the
// flush that follows would do it anyway.
//
// Threads: any.  Owns: nothing; keeps the file system below alive.
// Failure: a log that cannot be synced keeps the next one from being created.
#pragma once

#include <rocksdb/env.h>

#include <memory>

namespace freshet {

// `below`: the environment whose file system is wrapped; it must outlive what is returned.
std::unique_ptr<rocksdb::Env> with_ordered_logs(rocksdb::Env* below);

}  // namespace freshet
