// The way to held-out events: the rows of a sample (of the gate and the tuner) or of a set by slices (forgetting), as
// they were encoded at ingest.
//
// Threads: the set's owner (ingest).  Failure: data_loss for records of another feature set.
#pragma once

#include "core/encoded_batch.h"
#include "core/event_record.h"
#include "storage/held_out.h"
#include "storage/held_out_sample.h"

namespace freshet {

// Replaces the rows of `rows`, which grows as needed. Their order is the sample's; seqs are set.
Status decode_held_out(const HeldOutSample& sample, const EventRecordCodec& codec, const EncodedLayout& layout,
                       EncodedBatch& rows);
// Of one slice, and of all slices, one after the other.
Status decode_held_out(const HeldOutSet& set, std::uint32_t slice, const EventRecordCodec& codec,
                       const EncodedLayout& layout, EncodedBatch& rows);
Status decode_held_out(const HeldOutSet& set, const EventRecordCodec& codec, const EncodedLayout& layout,
                       EncodedBatch& rows);

}  // namespace freshet
