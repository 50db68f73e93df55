// The searchers, for the table in searcher.cc alone; options are checked there.
//
// Threads: none.  Owns: nothing.  Failure: each says what space it cannot search.
#pragma once

#include <memory>

#include "learners/tuning/searcher.h"

namespace freshet::tuning {

using MadeSearcher = Result<std::unique_ptr<Searcher>>;

MadeSearcher make_grid(const SearcherOptions& options, const ParameterSpace& space);
MadeSearcher make_random(const SearcherOptions& options, const ParameterSpace& space);
MadeSearcher make_sobol(const SearcherOptions& options, const ParameterSpace& space);
MadeSearcher make_gp(const SearcherOptions& options, const ParameterSpace& space);
MadeSearcher make_kde(const SearcherOptions& options, const ParameterSpace& space);

// Parts of what searchers store.
void put_rng(ByteWriter& out, const Rng& rng);
void get_rng(ByteReader& in, Rng& rng);
void put_configuration(ByteWriter& out, const Configuration& configuration);
// One of the space; data_loss otherwise.
Status get_configuration(ByteReader& in, const ParameterSpace& space, Configuration& configuration);

}  // namespace freshet::tuning
