// ReplayMetadata: what is known of a replayed event beside its payload, by slot: its last loss, how often it was
// replayed and in which round it was last, and columns that a strategy declares (logits, hidden activations of a named
// layer). It changes with every replay, the payload never does: that is why it stands apart.
//
// Rows of a column lie together in pages, versioned by checkpoints like those of the slot table, so that a recovery
// undoes what was written after the checkpoint. Memory: storage/mapped_array.h.
//
// Threads: one owner.  Owns: its columns.  Failure: load() checks what it is given (kDataLoss).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "storage/mapped_array.h"

namespace freshet {

// The first space of checkpoint pages for metadata: loss, times replayed and last seen; declared columns follow.
inline constexpr std::uint32_t kReplayMetadataSpace = 16;

struct MetadataColumn {
  std::string name;
  std::uint32_t width = 1;  // floats of a row
  friend bool operator==(const MetadataColumn&, const MetadataColumn&) = default;
};

struct MetadataOptions {
  std::string folder;                                       // of the mapped files; empty: plain memory alone
  std::uint64_t plain_bytes_max = std::uint64_t{64} << 20;  // of a column, before it is mapped
  std::vector<MetadataColumn> columns;
};

// Rows of one size, by slot, with pages that know whether they changed.
class PagedRows {
 public:
  PagedRows(std::uint32_t row_bytes, const MetadataOptions& options);
  std::byte* row(std::uint64_t slot) { return bytes_.data() + slot * row_bytes_; }
  const std::byte* row(std::uint64_t slot) const { return bytes_.data() + slot * row_bytes_; }
  std::uint64_t size() const { return bytes_.size() / row_bytes_; }
  std::uint32_t row_bytes() const { return row_bytes_; }
  std::uint64_t pages() const { return (size() + rows_per_page_ - 1) / rows_per_page_; }
  bool mapped() const { return bytes_.mapped(); }
  std::byte* append();              // a row at the end, all zero
  void remove(std::uint64_t slot);  // the last row moves into its place
  void touch(std::uint64_t slot);
  void dirty_pages(const std::function<void(std::uint64_t, std::string_view)>& visitor) const;
  void clear_dirty() { dirty_.assign(dirty_.size(), false); }
  void load_begin(std::uint64_t size);
  Status load_page(std::uint64_t page, std::string_view bytes);
  Status load_end() const;

 private:
  std::uint32_t row_bytes_;
  std::uint64_t rows_per_page_;
  MappedBytes bytes_;
  std::vector<bool> dirty_;
  std::uint64_t loaded_ = 0;
};

class ReplayMetadata {
 public:
  explicit ReplayMetadata(const MetadataOptions& options);

  std::uint64_t size() const { return base_.size(); }
  float loss(std::uint64_t slot) const;  // not a number: unknown
  std::uint16_t times_replayed(std::uint64_t slot) const;
  std::uint32_t last_seen(std::uint64_t slot) const;  // the round that replayed it last; 0: none did

  // A declared column, by its place in the options; until it is set, its first float is not a number.
  const std::vector<MetadataColumn>& columns() const { return columns_; }
  std::span<const float> values(std::size_t column, std::uint64_t slot) const;
  void set_values(std::size_t column, std::uint64_t slot, std::span<const float> values);

  void append(float loss);
  void replace(std::uint64_t slot, float loss);  // another event stands there now
  void remove(std::uint64_t slot);               // the last slot moves into its place
  // A round has replayed the event; a loss that is not finite leaves the known one.
  void note_replayed(std::uint64_t slot, float loss, std::uint64_t round);

  std::uint64_t row_bytes() const;
  bool mapped() const { return base_.mapped(); }

  // Calls visitor(space, page, bytes) for each page that changed.
  using PageVisitor = std::function<void(std::uint32_t, std::uint64_t, std::string_view)>;
  void dirty_pages(const PageVisitor& visitor) const;
  void clear_dirty();

  // Pages that there are now, by space.
  void count_pages(std::map<std::uint32_t, std::uint64_t>& counts) const;
  // The same for columns that are not in memory.
  static void count_pages(std::span<const MetadataColumn> columns, std::uint64_t size,
                          std::map<std::uint32_t, std::uint64_t>& counts);
  std::uint32_t spaces() const { return static_cast<std::uint32_t>(1 + extra_.size()); }
  void load_begin(std::uint64_t size);
  Status load_page(std::uint32_t space, std::uint64_t page, std::string_view bytes);
  Status load_end() const;
  // Instead of pages: nothing is known of `size` events (a checkpoint from before there was metadata).
  void load_unknown(std::uint64_t size);

 private:
  std::vector<MetadataColumn> columns_;
  PagedRows base_;
  std::vector<std::unique_ptr<PagedRows>> extra_;
};

}  // namespace freshet
