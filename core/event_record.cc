#include "core/event_record.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstring>

namespace freshet {
namespace {

constexpr std::uint32_t kFormat = 1;

struct Header {
  std::uint32_t format;
  std::uint32_t slice;
  std::int32_t partition;
  float label;
  std::int64_t offset;
  std::int64_t time_ms;
  std::uint64_t key_hash;
  std::uint64_t value_hash;
  float weight;
  float loss;
};
static_assert(sizeof(Header) == 56);

}  // namespace

std::uint64_t record_key_hash(std::string_view record) {
  std::uint64_t hash = 0;
  if (record.size() < sizeof(Header)) return hash;
  std::memcpy(&hash, record.data() + offsetof(Header, key_hash), sizeof hash);
  return hash;
}

EventRecordCodec::EventRecordCodec(const Schema& schema, const EncodedLayout& layout)
    : numbers_(schema.numbers()),
      categories_(schema.categories()),
      vector_floats_(schema.vector_floats()),
      dense_(layout.dense()),
      categorical_(layout.categorical()),
      record_size_(sizeof(Header) + numbers_ * sizeof(float) + categories_ * sizeof(std::uint64_t) +
                   dense_ * sizeof(float) + categorical_ * sizeof(std::uint32_t)) {}

void EventRecordCodec::encode(const EventBatch& events, std::size_t event_row, const EncodedBatch& encoded,
                              std::size_t encoded_row, std::uint32_t slice, char* target) const {
  const Position position = events.positions[event_row];
  const Header header{kFormat,
                      slice,
                      position.partition,
                      events.labels[event_row],
                      position.offset,
                      events.time_ms[event_row],
                      events.key_hashes[event_row],
                      events.value_hashes[event_row],
                      events.weights[event_row],
                      encoded.losses[encoded_row]};
  std::memcpy(target, &header, sizeof header);
  target += sizeof header;
  for (std::uint32_t c = 0; c < numbers_; ++c, target += sizeof(float)) {
    std::memcpy(target, events.numbers(c) + event_row, sizeof(float));
  }
  for (std::uint32_t c = 0; c < categories_; ++c, target += sizeof(std::uint64_t)) {
    std::memcpy(target, events.categories(c) + event_row, sizeof(std::uint64_t));
  }
  const auto dense = encoded.dense_row(encoded_row);
  std::memcpy(target, dense.data(), dense.size_bytes());
  target += dense.size_bytes();
  const auto hashes = encoded.hash_row(encoded_row);
  if (!hashes.empty()) std::memcpy(target, hashes.data(), hashes.size_bytes());
}

Status EventRecordCodec::check(std::string_view record) const {
  if (record.size() != record_size_) {
    return data_loss(
        fmt::format("event record of {} bytes where the feature set makes {}", record.size(), record_size_));
  }
  std::uint32_t format = 0;
  std::memcpy(&format, record.data(), sizeof format);
  if (format != kFormat)
    return data_loss(fmt::format("event record of format {}, this build reads {}", format, kFormat));
  return Status::ok();
}

Status EventRecordCodec::decode_encoded(std::string_view record, EncodedBatch& encoded, std::size_t row) const {
  TRY(check(record));
  Header header;
  std::memcpy(&header, record.data(), sizeof header);
  encoded.labels[row] = header.label;
  encoded.weights[row] = header.weight;
  encoded.losses[row] = header.loss;
  encoded.time_ms[row] = header.time_ms;
  encoded.key_hashes[row] = header.key_hash;
  encoded.arrival_ns[row] = 0;
  const char* source = record.data() + sizeof header + numbers_ * sizeof(float) + categories_ * sizeof(std::uint64_t);
  const auto dense = encoded.dense_row(row);
  if (!dense.empty()) std::memcpy(dense.data(), source, dense.size_bytes());
  const auto hashes = encoded.hash_row(row);
  if (!hashes.empty()) std::memcpy(hashes.data(), source + dense.size_bytes(), hashes.size_bytes());
  return Status::ok();
}

Result<std::uint32_t> EventRecordCodec::slice_of(std::string_view record) const {
  TRY(check(record));
  Header header;
  std::memcpy(&header, record.data(), sizeof header);
  return header.slice;
}

Result<RecordOrigin> EventRecordCodec::origin_of(std::string_view record) const {
  TRY(check(record));
  Header header;
  std::memcpy(&header, record.data(), sizeof header);
  return RecordOrigin{{header.partition, header.offset}, header.time_ms, header.key_hash, header.value_hash};
}

Status EventRecordCodec::decode_raw(std::string_view record, EventBatch& events) const {
  TRY(check(record));
  const std::size_t row = events.begin_row();
  Header header;
  std::memcpy(&header, record.data(), sizeof header);
  events.positions[row] = {header.partition, header.offset};
  events.labels[row] = header.label;
  events.weights[row] = header.weight;
  events.time_ms[row] = header.time_ms;
  events.key_hashes[row] = header.key_hash;
  events.value_hashes[row] = header.value_hash;
  const char* source = record.data() + sizeof header;
  for (std::uint32_t c = 0; c < numbers_; ++c, source += sizeof(float)) {
    std::memcpy(events.numbers(c) + row, source, sizeof(float));
  }
  for (std::uint32_t c = 0; c < categories_; ++c, source += sizeof(std::uint64_t)) {
    std::memcpy(events.categories(c) + row, source, sizeof(std::uint64_t));
  }
  if (vector_floats_ != 0) {
    const auto vectors = events.vectors(row);
    std::memcpy(vectors.data(), source + (dense_ - vector_floats_) * sizeof(float), vectors.size_bytes());
  }
  events.commit_row();
  return Status::ok();
}

}  // namespace freshet
