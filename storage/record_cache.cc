#include "storage/record_cache.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace freshet {
namespace {
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kLargePage = std::uint64_t{2} << 20;
}  // namespace

const RecordCache::Table* RecordCache::table_for(std::size_t stride) {
  std::call_once(made_, [&] {
    const std::uint64_t places = bytes_ / (stride + sizeof(std::uint64_t));
    if (places == 0) return;
    // Not zeroed: the kernel gives pages as they fill, large ones where it can, which spares faults and address walks.
    const std::uint64_t page = places * stride < kLargePage ? kPage : kLargePage;
    const std::uint64_t size = (places * stride + page - 1) / page * page;
    auto* memory = static_cast<char*>(std::aligned_alloc(page, size));
    if (memory == nullptr) return;
    if (page == kLargePage) madvise(memory, size, MADV_HUGEPAGE);  // a wish: its refusal changes nothing
    owned_ = std::make_unique<Table>();
    owned_->places = places;
    owned_->stride = stride;
    owned_->seqs = std::make_unique<std::uint64_t[]>(places);
    owned_->records.reset(memory);
    table_.store(owned_.get(), std::memory_order_release);
  });
  return table_.load(std::memory_order_acquire);
}

void RecordCache::put(std::uint64_t first_seq, std::string_view records, std::size_t stride) {
  if (stride == 0 || records.empty()) return;
  const Table* table = table_for(stride);
  if (table == nullptr || table->stride != stride) return;
  const std::uint64_t count = records.size() / stride;
  for (std::uint64_t done = 0; done < count;) {
    // Places follow each other as seqs do: copy up to where the lock changes or the table begins anew.
    const std::uint64_t place = (first_seq + done) % table->places;
    const std::uint64_t room = std::min(kNeighbours - place % kNeighbours, table->places - place);
    const std::uint64_t run = std::min(room, count - done);
    const std::lock_guard lock(locks_[stripe(place)]);
    for (std::uint64_t i = 0; i < run; ++i) table->seqs[place + i] = first_seq + done + i;
    std::memcpy(table->records.get() + place * stride, records.data() + done * stride, run * stride);
    done += run;
  }
}

void RecordCache::forget(std::uint64_t first, std::uint64_t last) {
  const Table* table = table_.load(std::memory_order_acquire);
  if (table == nullptr || first > last) return;
  // Beyond one round trip through the places every one has been looked at.
  const std::uint64_t steps = std::min(last - first + 1, table->places);
  for (std::uint64_t i = 0; i < steps; ++i) {
    const std::uint64_t place = (first + i) % table->places;
    const std::lock_guard lock(locks_[stripe(place)]);
    if (table->seqs[place] >= first && table->seqs[place] <= last) table->seqs[place] = 0;
  }
}

}  // namespace freshet
