// The gate's and the tuner's way to their held-out events: a sample's rows, as they were encoded at ingest.
//
// Threads: the sample's owner (ingest).  Failure: data_loss for records of another feature set.
#pragma once

#include "core/encoded_batch.h"
#include "core/event_record.h"
#include "storage/held_out_sample.h"

namespace freshet {

// Replaces the rows of `rows`, which grows as needed. Their order is the sample's; seqs are set.
Status decode_held_out(const HeldOutSample& sample, const EventRecordCodec& codec, const EncodedLayout& layout,
                       EncodedBatch& rows);

}  // namespace freshet
