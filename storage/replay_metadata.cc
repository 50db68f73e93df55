#include "storage/replay_metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "storage/slot_table.h"

namespace freshet {
namespace {

// Of a row: f32 loss, u32 last seen, u16 times replayed. Rows are not aligned, so fields are copied.
constexpr std::uint32_t kBaseBytes = 10;
constexpr std::size_t kLossAt = 0;
constexpr std::size_t kLastSeenAt = 4;
constexpr std::size_t kTimesAt = 8;
constexpr std::uint64_t kPageBytesMax = 16384;
// The first float of a row that was not set yet.
constexpr float kNeverStored = std::numeric_limits<float>::quiet_NaN();

// A page of wide rows has fewer of them.
std::uint64_t rows_per_page(std::uint32_t row_bytes) {
  return std::min(kSlotsPerPage, std::bit_floor(std::max<std::uint64_t>(1, kPageBytesMax / row_bytes)));
}
std::uint32_t row_bytes_of(const MetadataColumn& column) {
  return static_cast<std::uint32_t>(column.width * sizeof(float));
}

template <typename T>
T field(const std::byte* row, std::size_t at) {
  T value;
  std::memcpy(&value, row + at, sizeof value);
  return value;
}
template <typename T>
void set_field(std::byte* row, std::size_t at, T value) {
  std::memcpy(row + at, &value, sizeof value);
}

}  // namespace

PagedRows::PagedRows(std::uint32_t row_bytes, const MetadataOptions& options)
    : row_bytes_(row_bytes),
      rows_per_page_(rows_per_page(row_bytes)),
      bytes_(options.folder, options.plain_bytes_max) {}

std::byte* PagedRows::append() {
  const std::uint64_t slot = size();
  bytes_.resize(bytes_.size() + row_bytes_);
  std::memset(row(slot), 0, row_bytes_);
  touch(slot);
  return row(slot);
}

void PagedRows::remove(std::uint64_t slot) {
  const std::uint64_t last = size() - 1;
  if (slot != last) {
    std::memcpy(row(slot), row(last), row_bytes_);
    touch(slot);
  }
  bytes_.resize(bytes_.size() - row_bytes_);
  touch(last);  // the page that became shorter
}

void PagedRows::touch(std::uint64_t slot) {
  const std::uint64_t page = slot / rows_per_page_;
  if (page >= dirty_.size()) dirty_.resize(page + 1, false);
  dirty_[page] = true;
}

void PagedRows::dirty_pages(const std::function<void(std::uint64_t, std::string_view)>& visitor) const {
  for (std::uint64_t page = 0; page < dirty_.size(); ++page) {
    if (!dirty_[page]) continue;
    const std::uint64_t first = std::min(page * rows_per_page_, size());
    const std::uint64_t count = std::min(rows_per_page_, size() - first);
    // The bytes as they lie, as text: what a page is made of.
    const auto* begin = reinterpret_cast<const char*>(bytes_.data() + first * row_bytes_);
    visitor(page, count == 0 ? std::string_view() : std::string_view(begin, count * row_bytes_));
  }
}

void PagedRows::load_begin(std::uint64_t size) {
  bytes_.resize(0);
  dirty_.clear();
  loaded_ = size;
}

Status PagedRows::load_page(std::uint64_t page, std::string_view bytes) {
  const std::uint64_t first = page * rows_per_page_;
  if (first >= loaded_) return Status::ok();  // the memory was longer when this page was written
  const std::uint64_t count = std::min(rows_per_page_, loaded_ - first);
  if (first != size() || bytes.size() != count * row_bytes_) {
    return data_loss(fmt::format("page {} of the replay memory's metadata does not fit: {} bytes after {} of {} rows",
                                 page, bytes.size(), size(), loaded_));
  }
  bytes_.resize(bytes_.size() + bytes.size());
  std::memcpy(row(first), bytes.data(), bytes.size());
  return Status::ok();
}

Status PagedRows::load_end() const {
  if (size() == loaded_) return Status::ok();
  return data_loss(fmt::format("the replay memory's metadata has {} of its {} rows", size(), loaded_));
}

ReplayMetadata::ReplayMetadata(const MetadataOptions& options) : columns_(options.columns), base_(kBaseBytes, options) {
  for (const MetadataColumn& column : columns_) {
    extra_.push_back(std::make_unique<PagedRows>(row_bytes_of(column), options));
  }
}

float ReplayMetadata::loss(std::uint64_t slot) const { return field<float>(base_.row(slot), kLossAt); }
std::uint16_t ReplayMetadata::times_replayed(std::uint64_t slot) const {
  return field<std::uint16_t>(base_.row(slot), kTimesAt);
}
std::uint32_t ReplayMetadata::last_seen(std::uint64_t slot) const {
  return field<std::uint32_t>(base_.row(slot), kLastSeenAt);
}

std::span<const float> ReplayMetadata::values(std::size_t column, std::uint64_t slot) const {
  // Rows of floats begin at the start of a mapping or of allocated memory, so they are aligned.
  return {reinterpret_cast<const float*>(extra_[column]->row(slot)), columns_[column].width};
}

void ReplayMetadata::set_values(std::size_t column, std::uint64_t slot, std::span<const float> values) {
  if (values.size() != columns_[column].width) abort_with("metadata of another width than was declared");
  std::memcpy(extra_[column]->row(slot), values.data(), values.size_bytes());
  extra_[column]->touch(slot);
}

void ReplayMetadata::append(float loss) {
  set_field(base_.append(), kLossAt, loss);
  for (const auto& column : extra_) set_field(column->append(), 0, kNeverStored);
}

void ReplayMetadata::replace(std::uint64_t slot, float loss) {
  std::memset(base_.row(slot), 0, kBaseBytes);
  set_field(base_.row(slot), kLossAt, loss);
  base_.touch(slot);
  for (const auto& column : extra_) {
    std::memset(column->row(slot), 0, column->row_bytes());
    set_field(column->row(slot), 0, kNeverStored);
    column->touch(slot);
  }
}

void ReplayMetadata::remove(std::uint64_t slot) {
  base_.remove(slot);
  for (const auto& column : extra_) column->remove(slot);
}

void ReplayMetadata::note_replayed(std::uint64_t slot, float loss, std::uint64_t round) {
  std::byte* row = base_.row(slot);
  if (std::isfinite(loss)) set_field(row, kLossAt, loss);
  set_field(row, kLastSeenAt,
            static_cast<std::uint32_t>(std::min<std::uint64_t>(round, std::numeric_limits<std::uint32_t>::max())));
  const auto times = field<std::uint16_t>(row, kTimesAt);
  if (times < std::numeric_limits<std::uint16_t>::max()) {
    set_field(row, kTimesAt, static_cast<std::uint16_t>(times + 1));
  }
  base_.touch(slot);
}

std::uint64_t ReplayMetadata::row_bytes() const {
  std::uint64_t bytes = kBaseBytes;
  for (const auto& column : extra_) bytes += column->row_bytes();
  return bytes;
}

void ReplayMetadata::dirty_pages(const PageVisitor& visitor) const {
  std::uint32_t space = kReplayMetadataSpace;
  const auto pass = [&](std::uint64_t page, std::string_view bytes) { visitor(space, page, bytes); };
  base_.dirty_pages(pass);
  for (const auto& column : extra_) {
    ++space;
    column->dirty_pages(pass);
  }
}

void ReplayMetadata::count_pages(std::map<std::uint32_t, std::uint64_t>& counts) const {
  std::uint32_t space = kReplayMetadataSpace;
  counts[space] = base_.pages();
  for (const auto& column : extra_) counts[++space] = column->pages();
}

void ReplayMetadata::count_pages(std::span<const MetadataColumn> columns, std::uint64_t size,
                                 std::map<std::uint32_t, std::uint64_t>& counts) {
  const auto pages = [size](std::uint32_t row_bytes) {
    const std::uint64_t rows = rows_per_page(row_bytes);
    return (size + rows - 1) / rows;
  };
  std::uint32_t space = kReplayMetadataSpace;
  counts[space] = pages(kBaseBytes);
  for (const MetadataColumn& column : columns) counts[++space] = pages(row_bytes_of(column));
}

void ReplayMetadata::clear_dirty() {
  base_.clear_dirty();
  for (const auto& column : extra_) column->clear_dirty();
}

void ReplayMetadata::load_begin(std::uint64_t size) {
  base_.load_begin(size);
  for (const auto& column : extra_) column->load_begin(size);
}

Status ReplayMetadata::load_page(std::uint32_t space, std::uint64_t page, std::string_view bytes) {
  if (space == kReplayMetadataSpace) return base_.load_page(page, bytes);
  const std::uint32_t column = space - kReplayMetadataSpace - 1;
  if (column >= extra_.size()) return invalid_argument(fmt::format("no metadata has the space {}", space));
  return extra_[column]->load_page(page, bytes);
}

Status ReplayMetadata::load_end() const {
  TRY(base_.load_end());
  for (const auto& column : extra_) TRY(column->load_end());
  return Status::ok();
}

void ReplayMetadata::load_unknown(std::uint64_t size) {
  load_begin(0);
  for (std::uint64_t slot = 0; slot < size; ++slot) append(kUnknownLoss);
}

}  // namespace freshet
