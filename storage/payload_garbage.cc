#include "storage/payload_garbage.h"

#include <algorithm>

#include "core/bytes.h"

namespace freshet {

std::vector<SeqRange> PayloadGarbage::collect(std::uint64_t seq) {
  const auto later = std::partition(released_.begin(), released_.end(), [seq](std::uint64_t s) { return s <= seq; });
  std::sort(released_.begin(), later);
  std::vector<SeqRange> ranges;
  for (auto it = released_.begin(); it != later; ++it) {
    if (!ranges.empty() && *it <= ranges.back().last + 1) {
      ranges.back().last = *it;
    } else {
      ranges.push_back({*it, *it});
    }
  }
  released_.erase(released_.begin(), later);
  return ranges;
}

void PayloadGarbage::put_back(std::span<const SeqRange> ranges) {
  for (const SeqRange& range : ranges) {
    for (std::uint64_t seq = range.first; seq <= range.last; ++seq) released_.push_back(seq);
  }
}

std::string PayloadGarbage::save() const {
  std::vector<std::uint64_t> sorted = released_;
  std::sort(sorted.begin(), sorted.end());
  ByteWriter writer;
  writer.put_span(std::span<const std::uint64_t>(sorted));
  return writer.take();
}

Status PayloadGarbage::load(std::string_view bytes) {
  ByteReader reader(bytes);
  released_ = reader.get_vector<std::uint64_t>();
  return reader.at_end() ? Status::ok() : data_loss("the list of released events cannot be read");
}

}  // namespace freshet
