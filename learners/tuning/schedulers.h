// The schedulers, for the table in scheduler.cc alone; options are checked there.
//
// Threads: none.  Owns: nothing.  Failure: none.
#pragma once

#include <memory>

#include "learners/tuning/scheduler.h"

namespace freshet::tuning {

// Every trial to the end, without a stop: the baseline.
std::unique_ptr<Scheduler> make_plain(const SchedulerOptions& options);

// Li et al. (2018): brackets of successive halving, from the most trials with the least resource to few with all of it;
// successive halving (Jamieson and Talwalkar, 2016) is the first of these brackets, again and again.
std::unique_ptr<Scheduler> make_successive_halving(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_hyperband(const SchedulerOptions& options);

std::unique_ptr<Scheduler> make_asha(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_pasha(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_median(const SchedulerOptions& options);

}  // namespace freshet::tuning
