#include "daemon/pipeline/held_out_rows.h"

namespace freshet {
namespace {

void make_room(EncodedBatch& rows, std::size_t count, const EncodedLayout& layout) {
  if (rows.capacity() < count) rows = EncodedBatch(layout.dense(), layout.categorical(), count);
  rows.resize(count);
}

// Decodes each record that it is called with into the next row.
struct RowDecoder {
  const EventRecordCodec& codec;
  EncodedBatch& rows;
  std::size_t row = 0;
  Status outcome = Status::ok();

  void operator()(std::uint64_t seq, std::string_view record) {
    rows.seqs[row] = seq;
    if (Status status = codec.decode_encoded(record, rows, row++); !status.is_ok()) outcome = std::move(status);
  }
};

}  // namespace

Status decode_held_out(const HeldOutSample& sample, const EventRecordCodec& codec, const EncodedLayout& layout,
                       EncodedBatch& rows) {
  make_room(rows, sample.size(), layout);
  RowDecoder decoder{codec, rows};
  sample.records([&](std::uint64_t seq, std::string_view record) { decoder(seq, record); });
  return decoder.outcome;
}

Status decode_held_out(const HeldOutSet& set, std::uint32_t slice, const EventRecordCodec& codec,
                       const EncodedLayout& layout, EncodedBatch& rows) {
  make_room(rows, set.size(slice), layout);
  RowDecoder decoder{codec, rows};
  set.records(slice, [&](std::uint64_t seq, std::string_view record) { decoder(seq, record); });
  return decoder.outcome;
}

Status decode_held_out(const HeldOutSet& set, const EventRecordCodec& codec, const EncodedLayout& layout,
                       EncodedBatch& rows) {
  std::size_t count = 0;
  const auto slices = set.slices();
  for (const std::uint32_t slice : slices) count += set.size(slice);
  make_room(rows, count, layout);
  RowDecoder decoder{codec, rows};
  for (const std::uint32_t slice : slices) {
    set.records(slice, [&](std::uint64_t seq, std::string_view record) { decoder(seq, record); });
  }
  return decoder.outcome;
}

}  // namespace freshet
