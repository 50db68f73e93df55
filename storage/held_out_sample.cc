#include "storage/held_out_sample.h"

#include <fmt/format.h>

#include "core/bytes.h"

namespace freshet {
namespace {

constexpr std::uint32_t kFormat = 1;

}  // namespace

void HeldOutSample::offer(std::uint64_t seq, std::string_view record) {
  recent_.push_back({seq, std::string(record)});
  if (recent_.size() <= recent_max_) return;
  Entry leaving = std::move(recent_.front());
  recent_.pop_front();
  ++left_;
  if (older_.size() < older_max_) {
    older_.push_back(std::move(leaving));
    return;
  }
  const std::uint64_t at = rng_.below(left_);
  if (at < older_.size()) older_[at] = std::move(leaving);
}

void HeldOutSample::records(const std::function<void(std::uint64_t, std::string_view)>& visitor) const {
  for (const Entry& entry : older_) visitor(entry.seq, entry.record);
  for (const Entry& entry : recent_) visitor(entry.seq, entry.record);
}

std::size_t HeldOutSample::erase_if(const std::function<bool(std::uint64_t, std::string_view)>& gone) {
  const auto test = [&](const Entry& entry) { return gone(entry.seq, entry.record); };
  return std::erase_if(older_, test) + std::erase_if(recent_, test);
}

std::string HeldOutSample::save() const {
  ByteWriter writer;
  writer.put(kFormat);
  writer.put(left_);
  for (const std::uint64_t word : rng_.state()) writer.put(word);
  writer.put<std::uint64_t>(older_.size());
  writer.put<std::uint64_t>(recent_.size());
  records([&](std::uint64_t seq, std::string_view record) {
    writer.put(seq);
    writer.put_text(record);
  });
  return writer.take();
}

Status HeldOutSample::load(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto format = reader.get<std::uint32_t>();
  if (reader.ok() && format != kFormat) {
    return failed_precondition(fmt::format("the held-out sample has format {}, this build reads {}", format, kFormat));
  }
  left_ = reader.get<std::uint64_t>();
  Rng::State state{};
  for (std::uint64_t& word : state) word = reader.get<std::uint64_t>();
  rng_.set_state(state);
  const auto older = reader.get<std::uint64_t>();
  const auto recent = reader.get<std::uint64_t>();
  older_.clear();
  recent_.clear();
  for (std::uint64_t i = 0; i < older && reader.ok(); ++i) {
    const auto seq = reader.get<std::uint64_t>();
    older_.push_back({seq, reader.get_text()});
  }
  for (std::uint64_t i = 0; i < recent && reader.ok(); ++i) {
    const auto seq = reader.get<std::uint64_t>();
    recent_.push_back({seq, reader.get_text()});
  }
  if (!reader.at_end()) return data_loss("a held-out sample cannot be read");
  // A smaller set than the stored one keeps its newest and a part of the sample.
  if (older_.size() > older_max_) older_.resize(older_max_);
  while (recent_.size() > recent_max_) recent_.pop_front();
  return Status::ok();
}

}  // namespace freshet
