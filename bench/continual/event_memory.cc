#include "bench/continual/event_memory.h"

#include <algorithm>

namespace freshet::bench {

namespace {

EventSpec label_alone() {
  EventSpec spec;
  spec.label.classes = 10;
  return spec;
}

void copy_event(const EncodedBatch& from, std::size_t from_row, EncodedBatch& to, std::size_t to_row) {
  std::ranges::copy(from.dense_row(from_row), to.dense_row(to_row).begin());
  std::ranges::copy(from.hash_row(from_row), to.hash_row(to_row).begin());
  to.labels[to_row] = from.labels[from_row];
  to.weights[to_row] = from.weights[from_row];
  to.losses[to_row] = from.losses[from_row];
  to.seqs[to_row] = from.seqs[from_row];
}

}  // namespace

EventMemory::EventMemory(const EncodedLayout& layout, std::size_t fresh_max, std::size_t rows)
    : held_(layout.dense(), layout.categorical(), rows),
      schema_(label_alone()),
      codec_(schema_, layout),
      no_columns_(schema_, fresh_max),
      positions_(fresh_max),
      hashes_(fresh_max) {
  held_.resize(rows);
}

Result<std::unique_ptr<EventMemory>> EventMemory::create(const ReplayOptions& options, const EncodedLayout& layout,
                                                         std::size_t fresh_max, const std::string& folder,
                                                         const std::vector<std::uint32_t>& stored) {
  // An event comes in before the one that it replaces is let go.
  const std::size_t rows = options.capacity_events + fresh_max;
  std::unique_ptr<EventMemory> made(new EventMemory(layout, fresh_max, folder.empty() ? rows : 0));
  made->memory_ = TRY(ReplayMemory::create(options));
  for (const auto width : stored) made->stored_.push_back({width, std::vector<float>(rows * width)});
  made->keeps_rows_ = folder.empty() || !stored.empty();
  if (made->keeps_rows_) {
    made->free_.resize(rows);
    for (std::uint32_t i = 0; i < rows; ++i) made->free_[i] = static_cast<std::uint32_t>(rows) - 1 - i;
  }
  if (!folder.empty()) {
    StoreOptions store;
    store.path = folder;
    made->store_ = TRY(Store::open(store, std::nullopt, made->log_, made->metrics_));
    made->records_.resize(fresh_max * made->codec_.record_size());
    for (std::size_t i = 0; i < fresh_max; ++i) {
      made->no_columns_.begin_row();
      made->no_columns_.commit_row();
    }
  }
  return made;
}

Status EventMemory::sample(std::size_t n, Rng& rng, EncodedBatch& rows, std::span<const std::span<float>> stored) {
  drawn_.seqs.clear();
  drawn_.slots.clear();
  memory_->sample(std::min<std::uint64_t>(n, memory_->size()), rng, drawn_);
  rows.resize(drawn_.seqs.size());
  if (store_) TRY(read(rows));
  for (std::size_t i = 0; keeps_rows_ && i < drawn_.seqs.size(); ++i) {
    const std::uint32_t row = row_of_.at(drawn_.seqs[i]);
    if (!store_) copy_event(held_, row, rows, i);
    for (std::size_t c = 0; c < stored_.size(); ++c) {
      const std::size_t width = stored_[c].width;
      std::copy_n(stored_[c].values.data() + row * width, width, stored[c].data() + i * width);
    }
  }
  return Status::ok();
}

void EventMemory::note_replayed(std::span<const float> losses, std::uint64_t round) {
  memory_->note_replayed(drawn_, losses, round);
}

Status EventMemory::insert(const EncodedBatch& fresh, std::span<const std::span<float>> stored) {
  if (store_) TRY(append(fresh));
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    if (keeps_rows_) {
      const std::uint32_t row = hold(fresh.seqs[i]);
      if (!store_) copy_event(fresh, i, held_, row);
      for (std::size_t c = 0; c < stored_.size(); ++c) {
        const std::size_t width = stored_[c].width;
        std::copy_n(stored[c].data() + i * width, width, stored_[c].values.data() + row * width);
      }
    }
    memory_->insert({fresh.seqs[i], 0, static_cast<std::uint16_t>(fresh.labels[i]), kUnknownLoss}, released_);
    let_go();
  }
  return Status::ok();
}

std::uint32_t EventMemory::hold(std::uint64_t seq) {
  const std::uint32_t row = free_.back();
  free_.pop_back();
  row_of_.emplace(seq, row);
  return row;
}

void EventMemory::let_go() {
  for (const auto seq : released_) {
    if (const auto found = row_of_.find(seq); found != row_of_.end()) {
      free_.push_back(found->second);
      row_of_.erase(found);
    }
  }
  if (store_) garbage_.release(released_);
  released_.clear();
}

Status EventMemory::append(const EncodedBatch& fresh) {
  const std::size_t stride = codec_.record_size();
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    no_columns_.labels[i] = fresh.labels[i];
    no_columns_.weights[i] = fresh.weights[i];
    codec_.encode(no_columns_, i, fresh, i, kNoSlice, records_.data() + i * stride);
    positions_[i] = {0, static_cast<std::int64_t>(fresh.seqs[i]) - 1};
    hashes_[i] = fresh.seqs[i];
  }
  AppendBatch batch;
  batch.first_seq = store_->last_seq() + 1;
  batch.records = std::string_view(records_).substr(0, fresh.size() * stride);
  batch.stride = stride;
  batch.positions = {positions_.data(), fresh.size()};
  batch.value_hashes = {hashes_.data(), fresh.size()};
  return store_->append(batch);
}

Status EventMemory::read(EncodedBatch& rows) {
  Status decoded = Status::ok();
  TRY(store_->read(drawn_.seqs, [&](std::size_t i, std::string_view record) {
    if (auto status = codec_.decode_encoded(record, rows, i); !status.is_ok()) decoded = std::move(status);
    rows.seqs[i] = drawn_.seqs[i];
  }));
  return decoded;
}

Status EventMemory::checkpoint() {
  if (!store_) return Status::ok();
  const auto garbage = garbage_.collect(store_->last_seq());
  const std::string header = memory_->header();
  const CheckpointBlob blob{kReplayBlob, header};
  CheckpointWrite write;
  write.seq = store_->last_seq();
  write.blobs = {&blob, 1};
  write.visit_pages = [this](const std::function<void(const CheckpointPage&)>& put) {
    memory_->dirty_pages([&](std::uint32_t space, std::uint64_t index, std::string_view page) {
      put({space, index, page});
    });
  };
  write.garbage = garbage;
  TRY(store_->checkpoint(write).status());
  memory_->clear_dirty();
  return Status::ok();
}

std::uint64_t EventMemory::bytes() const {
  std::uint64_t row = memory_->slots().slot_bytes() + memory_->metadata().row_bytes();
  for (const auto& column : stored_) row += column.width * sizeof(float);
  if (store_) return memory_->size() * row + store_->bytes_on_disk();
  return memory_->size() * (row + held_.dense_width() * sizeof(float) + 2 * sizeof(float));
}

}  // namespace freshet::bench
