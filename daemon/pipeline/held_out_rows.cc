#include "daemon/pipeline/held_out_rows.h"

namespace freshet {

Status decode_held_out(const HeldOutSample& sample, const EventRecordCodec& codec, const EncodedLayout& layout,
                       EncodedBatch& rows) {
  if (rows.capacity() < sample.size()) rows = EncodedBatch(layout.dense(), layout.categorical(), sample.size());
  rows.resize(sample.size());
  Status outcome;
  std::size_t row = 0;
  sample.records([&](std::uint64_t seq, std::string_view record) {
    rows.seqs[row] = seq;
    if (Status status = codec.decode_encoded(record, rows, row++); !status.is_ok()) outcome = std::move(status);
  });
  return outcome;
}

}  // namespace freshet
