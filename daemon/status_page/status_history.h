// StatusHistory: what the status page shows of the past of this process, in memory of a fixed size: the last 10 minutes
// by second, the last day by minute, and all of it in at most 1,024 points, each of which stands for twice as long
// whenever they are full. About 400 KB when all is full, and 64 marks of each kind besides.
//
// Threads: one writer; readers from any thread, which hold a lock for a copy alone.
// Owns: its points and marks. It is no part of the state: a restart begins a new one.
// Failure: none; a measure beyond kMeasuresMost is left out, a time that goes back begins a bin of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_writer.h"
#include "learners/evaluation/metrics.h"

namespace freshet {

// Columns of a point; each has a name in JSON, and a way to become one number of several.
enum class StatusColumn : std::uint8_t {
  kRate,         // events learnt a second
  kLagEvents,    // of all partitions; the largest of a bin
  kLagSeconds,   // of the partition that is furthest behind; the largest
  kKeptShare,    // of the rows that sifting looked at
  kReplayFill,   // of the memory's capacity
  kForgetting,   // the mean over the slices
  kSwaps,        // models that went live; their sum
  kPredictions,  // rows served a second
};
inline constexpr std::size_t kStatusColumns = 8;
inline constexpr std::size_t kMeasuresMost = 10;

struct StatusPoint {
  StatusPoint();  // nothing is known: not a number
  float& operator[](StatusColumn column) { return columns[static_cast<std::size_t>(column)]; }
  float operator[](StatusColumn column) const { return columns[static_cast<std::size_t>(column)]; }

  std::int64_t time_ms = 0;
  std::array<float, kStatusColumns> columns;
  std::array<float, kMeasuresMost> live;  // by measure; of the served model and the frozen one, over a window
  std::array<float, kMeasuresMost> frozen;
};

enum class MarkKind : std::uint8_t { kStarted, kAlarm, kConfirmed, kDismissed, kRollback, kStudy, kAsked, kStopped };
inline constexpr std::size_t kMarkKinds = 8;
std::string_view mark_kind_name(MarkKind kind);

struct StatusMark {
  std::uint64_t number = 0;  // they rise
  std::int64_t time_ms = 0;  // when it was noticed
  MarkKind kind = MarkKind::kStarted;
  std::uint64_t event = 0;  // 0: none
  std::string text;
};

enum class HistoryStep : std::uint8_t { kSecond, kMinute, kLife };
std::optional<HistoryStep> parse_history_step(std::string_view name);

class StatusHistory {
 public:
  static constexpr std::size_t kSeconds = 600;
  static constexpr std::size_t kMinutes = 1440;
  static constexpr std::size_t kLife = 1024;
  static constexpr std::size_t kMarksOfAKind = 64;

  // Puts the values where the point has room for measures of their names.
  void set_measures(std::array<float, kMeasuresMost>& out, std::span<const MetricValue> values);

  void add(const StatusPoint& point);
  void mark(MarkKind kind, std::int64_t time_ms, std::uint64_t event, std::string text);

  // {"step_ms", "time_ms": […], "rate": […], …, "live": {"log_loss": […]}, "frozen": {…}, "marks": […]}
  std::string json(HistoryStep step) const;
  void write_point(JsonWriter& json, const StatusPoint& point) const;
  // The newest marks, the newest last.
  void write_marks(JsonWriter& json, std::size_t most) const;

  std::vector<StatusPoint> points(HistoryStep step) const;
  std::vector<StatusMark> marks() const;

 private:
  // A ring of bins of `step_ms`; the newest is still being filled.
  class Bins {
   public:
    Bins(std::int64_t step_ms, std::size_t most, bool widens) : step_ms_(step_ms), most_(most), widens_(widens) {}
    void add(const StatusPoint& point);
    std::vector<StatusPoint> points() const;  // oldest first
    std::int64_t step_ms() const { return step_ms_; }

   private:
    struct Bin {
      StatusPoint point;
      std::uint32_t count = 0;  // points in it
    };
    static void fold(Bin& bin, const Bin& more);
    void widen();

    std::int64_t step_ms_;
    std::size_t most_;
    bool widens_;
    std::size_t begin_ = 0;  // of the oldest, once the ring is full
    std::vector<Bin> bins_;
  };

  std::vector<std::string> measures() const;

  mutable std::mutex mutex_;
  std::vector<std::string> measures_;
  Bins seconds_{1000, kSeconds, false};
  Bins minutes_{60'000, kMinutes, false};
  Bins life_{60'000, kLife, true};
  std::array<std::vector<StatusMark>, kMarkKinds> marks_;  // oldest first
  std::uint64_t marks_made_ = 0;
};

}  // namespace freshet
