// The callbacks of KafkaPoller's consumer: assignment, errors, logs, statistics. They run on the poll thread, but for
// on_log, which librdkafka calls on its own threads.
#include <fmt/format.h>

#include "stream/kafka_poller.h"

namespace freshet {
namespace {

constexpr int kQueryTimeoutMs = 10'000;

std::string list_partitions(const rd_kafka_topic_partition_list_t& partitions) {
  std::string text;
  for (int i = 0; i < partitions.cnt; ++i) {
    fmt::format_to(std::back_inserter(text), "{}{}", i == 0 ? "" : ",", partitions.elems[i].partition);
  }
  return text;
}

}  // namespace

void KafkaPoller::on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t code,
                               rd_kafka_topic_partition_list_t* partitions, void* self) {
  auto& poller = *static_cast<KafkaPoller*>(self);
  switch (code) {
    case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
      poller.assign(*partitions);
      break;
    case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
      poller.revoke(*partitions);
      break;
    default:
      poller.events_.error(code, "a rebalance of the consumer group failed");
      rd_kafka_assign(client, nullptr);
      const std::lock_guard lock(poller.mutex_);
      poller.assigned_.clear();
      poller.assigned_gauge_.set(0);
  }
}

void KafkaPoller::assign(rd_kafka_topic_partition_list_t& partitions) {
  rebalances_.increment();
  orphans_.clear();  // the group has met: what is not ours now is another member's
  meet_topic(partitions);
  for (int i = 0; i < partitions.cnt; ++i) {
    partitions.elems[i].offset = first_offset(partitions.elems[i].partition);
  }
  const Status status =
      kafka_status(KafkaOwned<rd_kafka_error_t>(rd_kafka_incremental_assign(client_.get(), &partitions)),
                   "cannot take the partitions that the group assigned");
  if (!status.is_ok()) {
    fail(status);
    return;
  }
  std::size_t assigned = 0;
  {
    const std::lock_guard lock(mutex_);
    for (int i = 0; i < partitions.cnt; ++i) assigned_.insert(partitions.elems[i].partition);
    assigned = assigned_.size();
  }
  assigned_gauge_.set(static_cast<double>(assigned));
  // A partition that was paused when it was taken away comes back paused: say what holds now either way.
  if (partitions.cnt > 0) {
    if (paused_) {
      rd_kafka_pause_partitions(client_.get(), &partitions);
    } else {
      rd_kafka_resume_partitions(client_.get(), &partitions);
    }
  }
  log_.info("partitions_assigned", "reading partitions from our own positions",
            {{"topic", options_.topic}, {"added", list_partitions(partitions)}, {"assigned", std::uint64_t{assigned}}});
}

// The first partitions that a new store is given: with `start: latest` it learns from here on, in every partition that
// the topic has now, those of other members of the group included. Each gets a number, durably, rather than "the end":
// what comes while another member holds it, or while nobody does, is not missed. Partitions added later are read from
// their beginning.
void KafkaPoller::meet_topic(const rd_kafka_topic_partition_list_t& assigned) {
  if (!topic_is_new_ || assigned.cnt == 0) return;
  topic_is_new_ = false;
  if (options_.start == StartAt::kEarliest) return;
  std::set<std::int32_t> partitions;
  for (int i = 0; i < assigned.cnt; ++i) partitions.insert(assigned.elems[i].partition);
  const auto count = partition_count(client_.get(), options_.topic, std::chrono::milliseconds(kQueryTimeoutMs));
  for (std::int32_t partition = 0; count.is_ok() && partition < *count; ++partition) partitions.insert(partition);
  if (!count.is_ok()) log_.warning("topic_metadata", count.status().message());
  for (const std::int32_t partition : partitions) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    const auto code = rd_kafka_query_watermark_offsets(client_.get(), options_.topic.c_str(), partition, &low, &high,
                                                       kQueryTimeoutMs);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      note_reset(partition, high);
    } else {
      events_.error(code, "cannot ask for the end of a partition; it is read from its beginning");
    }
  }
}

// From now on `next_offset` is what the partition is to give; the store hears of it before any record that follows.
void KafkaPoller::note_reset(std::int32_t partition, std::int64_t next_offset) {
  if (!batch_->events.empty()) hand_over(true);
  batch_->reset({partition, next_offset});
  const std::lock_guard lock(mutex_);
  next_offsets_[partition] = next_offset;
}

// Where to read a partition: after what was handed over or stored, else from its beginning.
std::int64_t KafkaPoller::first_offset(std::int32_t partition) {
  const std::lock_guard lock(mutex_);
  const auto found = next_offsets_.find(partition);
  if (found != next_offsets_.end()) return found->second;
  if (options_.fail_on_gap) next_offsets_[partition] = 0;  // the first record is expected too
  return RD_KAFKA_OFFSET_BEGINNING;
}

void KafkaPoller::revoke(rd_kafka_topic_partition_list_t& partitions) {
  rebalances_.increment();
  // Lost, not given back: no broker has been heard for a session, and it may be that nobody reads them now.
  if (rd_kafka_assignment_lost(client_.get()) != 0) {
    for (int i = 0; i < partitions.cnt; ++i) orphans_.insert(partitions.elems[i].partition);
  }
  const Status status =
      kafka_status(KafkaOwned<rd_kafka_error_t>(rd_kafka_incremental_unassign(client_.get(), &partitions)),
                   "cannot give back the partitions that the group revoked");
  if (!status.is_ok()) log_.warning("partitions_revoked", status.message());
  std::size_t assigned = 0;
  {
    const std::lock_guard lock(mutex_);
    for (int i = 0; i < partitions.cnt; ++i) assigned_.erase(partitions.elems[i].partition);
    assigned = assigned_.size();
  }
  assigned_gauge_.set(static_cast<double>(assigned));
  log_.info(
      "partitions_revoked", "the group gave partitions to another member; waiting for them to come back",
      {{"topic", options_.topic}, {"removed", list_partitions(partitions)}, {"assigned", std::uint64_t{assigned}}});
}

void KafkaPoller::handle_error(const rd_kafka_message_t& message) {
  switch (message.err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      return;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
      handle_lost_offset(message.partition);
      return;
    default:
      events_.error(message.err, rd_kafka_message_errstr(&message));
  }
}

// The broker no longer has (or never had) the offset that we want to read next. A broker that cannot say what it has is
// asked again: reading goes back to the same offset, and comes here once more.
void KafkaPoller::handle_lost_offset(std::int32_t partition) {
  std::int64_t wanted = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!assigned_.contains(partition) || !failure_.is_ok()) return;
    const auto found = next_offsets_.find(partition);
    if (found != next_offsets_.end()) wanted = found->second;
  }
  std::int64_t low = 0;
  std::int64_t high = 0;
  const auto code =
      rd_kafka_query_watermark_offsets(client_.get(), options_.topic.c_str(), partition, &low, &high, kQueryTimeoutMs);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    events_.error(code, "cannot ask the broker which offsets it holds; asking again");
    read_from(partition, wanted);
    return;
  }
  const bool anew = wanted > high;
  if (options_.on_lost_offsets == LostOffsets::kFail) {
    fail(data_loss(fmt::format(
        "topic '{}' partition {}: offset {} is to be read next, but the broker holds offsets {} to {}. {}. Set "
        "stream.on_lost_offsets to earliest or latest to go on all the same",
        options_.topic, partition, wanted, low, high,
        anew ? "The topic was made anew, or the store belongs to another one"
             : "Records were deleted before they were read")));
    return;
  }
  const std::int64_t next = options_.on_lost_offsets == LostOffsets::kEarliest ? low : high;
  lost_.add(static_cast<double>(std::max<std::int64_t>(0, next - wanted)));
  if (anew) {
    log_.warning("topic_anew", "the topic was made anew with fewer records; what the old one still had is lost",
                 {{"partition", static_cast<std::int64_t>(partition)}, {"wanted", wanted}, {"continues_at", next}});
  } else {
    log_.warning("offsets_lost", "the broker deleted records before they were read",
                 {{"partition", static_cast<std::int64_t>(partition)},
                  {"wanted", wanted},
                  {"continues_at", next},
                  {"lost", next - wanted}});
  }
  note_reset(partition, next);
  read_from(partition, next);
}

// Moves an assigned partition to another offset.
void KafkaPoller::read_from(std::int32_t partition, std::int64_t offset) {
  const KafkaPartitions list(rd_kafka_topic_partition_list_new(1));
  auto* const entry = rd_kafka_topic_partition_list_add(list.get(), options_.topic.c_str(), partition);
  entry->offset = offset;
  Status status = kafka_status(KafkaOwned<rd_kafka_error_t>(rd_kafka_incremental_unassign(client_.get(), list.get())),
                               "cannot leave a lost offset");
  if (status.is_ok()) {
    status = kafka_status(KafkaOwned<rd_kafka_error_t>(rd_kafka_incremental_assign(client_.get(), list.get())),
                          "cannot leave a lost offset");
  }
  if (!status.is_ok()) fail(std::move(status));
  if (paused_) rd_kafka_pause_partitions(client_.get(), list.get());
}

void KafkaPoller::on_error(rd_kafka_t* client, int code, const char* reason, void* self) {
  auto& poller = *static_cast<KafkaPoller*>(self);
  if (code == RD_KAFKA_RESP_ERR__FATAL) {
    std::array<char, 512> why{};
    const auto fatal = rd_kafka_fatal_error(client, why.data(), why.size());
    poller.fail(kafka_status(fatal, fmt::format("the consumer met a fatal error: {}", why.data())));
    return;
  }
  poller.events_.error(static_cast<rd_kafka_resp_err_t>(code), reason);
}

void KafkaPoller::on_log(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  constexpr int kSyslogError = 3;
  constexpr int kSyslogWarning = 4;
  auto& poller = *static_cast<KafkaPoller*>(rd_kafka_opaque(client));
  const LogLevel ours = level <= kSyslogError     ? LogLevel::kError
                        : level == kSyslogWarning ? LogLevel::kWarning
                                                  : LogLevel::kDebug;
  poller.log_.write(ours, "librdkafka", text, {{"facility", facility}});
}

int KafkaPoller::on_statistics(rd_kafka_t*, char* json, std::size_t size, void* self) {
  auto& poller = *static_cast<KafkaPoller*>(self);
  std::map<std::int32_t, std::int64_t> next_offsets;
  std::set<std::int32_t> assigned;
  {
    const std::lock_guard lock(poller.mutex_);
    next_offsets = poller.next_offsets_;
    assigned = poller.assigned_;
  }
  assigned.insert(poller.orphans_.begin(), poller.orphans_.end());
  poller.statistics_.update({json, size}, next_offsets, assigned, poller.clock_.wall_ms());
  return 0;  // librdkafka frees the text
}

void KafkaPoller::on_commit(rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t*, void* self) {
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__NO_OFFSET) return;
  static_cast<KafkaPoller*>(self)->events_.error(code, "the broker did not take our positions; ours count, so no harm");
}

}  // namespace freshet
