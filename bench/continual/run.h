// A run: one strategy with one memory through a protocol, once for each seed; and what came out of it.
//
// The online protocol: a mini-batch of fresh events and events drawn from the memory, one step (or as many as the
// strategy plans), then the fresh events are offered to the memory. Every event of the stream is fresh once.
//
// Threads: one owner.  Owns: nothing.  Failure: what a learner or a memory refuses, with the run's name.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "bench/continual/mnist.h"
#include "learners/training/learner.h"

namespace freshet::bench {

inline constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct RunSpec {
  std::string protocol = "split";
  std::string label;  // as the table has it; empty: the strategy's name
  bool joined = false;
  std::uint64_t buffer = 0;  // events; 0: no memory
  bool on_disk = false;
  std::string policy = "reservoir";
  std::string sampling = "uniform";
  std::uint32_t fresh = 10;  // of a mini-batch
  std::uint32_t replayed = 0;
  bool rounds_of_tasks = false;  // for strategies that pass over the memory: a round is a task, inserted first
  LearnerOptions learner;
  // What others reached with the same: a plain PyTorch loop; Buzzega et al., 2020.
  double python = kNone;
  double paper = kNone;
};

// "key=value" for what a spec has: see the list in run.cc. kInvalidArgument for an unknown key or a value that is none.
Status change(std::string_view setting, RunSpec& spec);

struct SeedResult {
  std::uint64_t seed = 0;
  double accuracy = 0;     // mean over tasks, after the last one
  double forgetting = 0;   // mean over all tasks but the last: best so far minus now
  double seconds = 0;      // sampling, training and inserting; neither encoding nor evaluation
  double cpu_seconds = 0;  // the same, of this thread's processor time: what other work on the machine does not change
  std::uint64_t events = 0;
  std::uint64_t memory_bytes = 0;
  std::vector<std::vector<double>> matrix;  // after each task, the accuracy on each one seen
};

// Called with what has been done, as a share of the stream.
using Progress = std::function<void(double share)>;

// `events_max`: of each task, for a quick look; 0: all. `scratch`: a folder for the store of a run on disk.
Result<SeedResult> run_seed(const RunSpec& spec, const Mnist& mnist, std::uint64_t seed, std::size_t events_max,
                            const std::string& scratch, const Progress& progress);

}  // namespace freshet::bench
