#include "storage/held_out.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/bytes.h"
#include "core/hash.h"

namespace freshet {
namespace {

constexpr std::uint32_t kFormat = 1;
constexpr double kSteps = 9007199254740992.0;  // 2^53

}  // namespace

std::string_view purpose_name(Purpose purpose) {
  switch (purpose) {
    case Purpose::kTraining:
      return "training";
    case Purpose::kForgetting:
      return "forgetting";
    case Purpose::kGating:
      return "gating";
    case Purpose::kTuning:
      return "tuning";
  }
  return "unknown";
}

Result<HeldOutChoice> HeldOutChoice::create(const HeldOutShares& shares) {
  for (const double share : {shares.forgetting, shares.gating, shares.tuning}) {
    if (!(share >= 0 && share < 1))
      return invalid_argument(fmt::format("a held-out share is {}, not in [0, 1)", share));
  }
  if (shares.forgetting + shares.gating + shares.tuning >= 1) {
    return invalid_argument("the held-out shares leave nothing to train on");
  }
  const auto steps = [](double share) { return static_cast<std::uint64_t>(std::floor(share * kSteps)); };
  HeldOutChoice choice;
  choice.salt_ = shares.salt;
  choice.forgetting_end_ = steps(shares.forgetting);
  choice.gating_end_ = choice.forgetting_end_ + steps(shares.gating);
  choice.tuning_end_ = choice.gating_end_ + steps(shares.tuning);
  return choice;
}

Purpose HeldOutChoice::purpose_of(std::uint64_t key_hash) const {
  const std::uint64_t at = hash_combine(salt_, key_hash) >> 11;
  if (at < forgetting_end_) return Purpose::kForgetting;
  if (at < gating_end_) return Purpose::kGating;
  if (at < tuning_end_) return Purpose::kTuning;
  return Purpose::kTraining;
}

bool HeldOutSet::offer(std::uint32_t slice, std::uint64_t seq, std::string_view record) {
  auto place = slices_.find(slice);
  if (place == slices_.end()) {
    if (slices_.size() >= options_.slices_max || options_.events_per_slice_max == 0) {
      ++refused_;
      return false;
    }
    // A generator for each slice: what one slice keeps does not depend on the others.
    place = slices_.emplace(slice, Slice{Rng(hash_combine(options_.seed, slice)), 0, {}}).first;
  }
  Slice& target = place->second;
  ++target.seen;
  if (target.entries.size() < options_.events_per_slice_max) {
    target.entries.push_back({seq, std::string(record)});
    return true;
  }
  const std::uint64_t at = target.rng.below(target.seen);
  if (at >= target.entries.size()) return false;
  target.entries[at] = {seq, std::string(record)};
  return true;
}

std::vector<std::uint32_t> HeldOutSet::slices() const {
  std::vector<std::uint32_t> all;
  for (const auto& [slice, content] : slices_) all.push_back(slice);
  return all;
}

std::uint64_t HeldOutSet::seen(std::uint32_t slice) const {
  const auto place = slices_.find(slice);
  return place == slices_.end() ? 0 : place->second.seen;
}

std::size_t HeldOutSet::size(std::uint32_t slice) const {
  const auto place = slices_.find(slice);
  return place == slices_.end() ? 0 : place->second.entries.size();
}

void HeldOutSet::records(std::uint32_t slice,
                         const std::function<void(std::uint64_t, std::string_view)>& visitor) const {
  const auto place = slices_.find(slice);
  if (place == slices_.end()) return;
  for (const Entry& entry : place->second.entries) visitor(entry.seq, entry.record);
}

std::size_t HeldOutSet::erase_if(const std::function<bool(std::uint64_t, std::string_view)>& gone) {
  std::size_t erased = 0;
  for (auto& [slice, content] : slices_) {
    erased += std::erase_if(content.entries, [&](const Entry& entry) { return gone(entry.seq, entry.record); });
  }
  return erased;
}

std::string HeldOutSet::save() const {
  ByteWriter writer;
  writer.put(kFormat);
  writer.put(refused_);
  writer.put<std::uint64_t>(slices_.size());
  for (const auto& [slice, content] : slices_) {
    writer.put(slice);
    writer.put(content.seen);
    for (const std::uint64_t word : content.rng.state()) writer.put(word);
    writer.put<std::uint64_t>(content.entries.size());
    for (const Entry& entry : content.entries) {
      writer.put(entry.seq);
      writer.put_text(entry.record);
    }
  }
  return writer.take();
}

Status HeldOutSet::load(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto format = reader.get<std::uint32_t>();
  if (reader.ok() && format != kFormat) {
    return failed_precondition(fmt::format("the held-out set has format {}, this build reads {}", format, kFormat));
  }
  refused_ = reader.get<std::uint64_t>();
  const auto count = reader.get<std::uint64_t>();
  std::map<std::uint32_t, Slice> loaded;
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
    const auto slice = reader.get<std::uint32_t>();
    Slice content{Rng(0), reader.get<std::uint64_t>(), {}};
    Rng::State state;
    for (std::uint64_t& word : state) word = reader.get<std::uint64_t>();
    content.rng.set_state(state);
    const auto entries = reader.get<std::uint64_t>();
    for (std::uint64_t e = 0; e < entries && reader.ok(); ++e) {
      const auto seq = reader.get<std::uint64_t>();
      content.entries.push_back({seq, reader.get_text()});
    }
    loaded.emplace(slice, std::move(content));
  }
  if (!reader.at_end()) return data_loss("a held-out set cannot be read");
  slices_ = std::move(loaded);
  return Status::ok();
}

}  // namespace freshet
