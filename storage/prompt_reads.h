// PromptReads: a file system whose tables can be read without waiting for the disk. A read with RocksDB's shortest
// io_timeout (kPrompt) answers from the page cache or, when a page is missing there, asks the kernel to fetch it and
// says TryAgain at once. Who reads many keys asks for all of them in this way first, and then waits for those that were
// missing: the disk works on all of them at the same time, without a thread for each.
//
// Threads: any.
// Owns: the descriptors of open tables; keeps the file system below alive.
// Failure: where the kernel or the volume cannot say what is cached (preadv2 with RWF_NOWAIT), every read waits, as it
// would without this. TryAgain never comes from another read than a prompt one.
#pragma once

#include <rocksdb/env.h>

#include <chrono>
#include <memory>

namespace freshet {

inline constexpr std::chrono::microseconds kPrompt{1};  // ReadOptions::io_timeout of a prompt read

// `below`: the environment whose file system is wrapped, one of files that the kernel knows by the same names; it must
// outlive what is returned.
std::unique_ptr<rocksdb::Env> with_prompt_reads(rocksdb::Env* below);

}  // namespace freshet
