// FileSource: a file of JSON lines (plain, gzip or zstd) as an EventSource: partition 0, offsets are line numbers.
// Events without a time field have time 0, so that the same file always gives the same events.
//
// Threads: as EventSource.  Owns: the file, the decoder; memory does not grow with the file.
// Failure: bad lines are skipped and dead-lettered; a file that cannot be read on fails next().
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "core/clock.h"
#include "core/metrics.h"
#include "stream/dead_letters.h"
#include "stream/event_source.h"
#include "stream/json_decoder.h"
#include "stream/line_reader.h"

namespace freshet {

struct FileSourceOptions {
  std::string path;  // "-": standard input
  DecoderOptions decoder;
};

class FileSource final : public EventSource {
 public:
  static Result<std::unique_ptr<FileSource>> open(const FileSourceOptions& options, const Schema& schema,
                                                  DeadLetterSink& dead_letters, MetricsRegistry& metrics,
                                                  const Clock& clock);

  Status start(const NextOffsets& next_offsets) override;
  Result<SourceState> next(EventBatch& batch, std::size_t events_max, std::chrono::milliseconds wait) override;
  void committed(const NextOffsets&) override {}
  Status acknowledge_dead_letters(std::uint64_t ticket, std::chrono::milliseconds timeout) override;
  void stop() override { stopped_ = true; }
  SourceProgress progress() const override;

 private:
  FileSource(const FileSourceOptions& options, std::unique_ptr<LineReader> lines, const Schema& schema,
             DeadLetterSink& dead_letters, MetricsRegistry& metrics, const Clock& clock);
  void skip(EventBatch& batch, const Line& line, SkipReason reason, std::string_view detail);

  std::string path_;
  std::size_t record_bytes_max_;
  std::unique_ptr<LineReader> lines_;
  JsonDecoder decoder_;
  DeadLetterSink& dead_letters_;
  const Clock& clock_;
  Counter& consumed_;
  Counter& decoded_;
  ReasonCounters skipped_;
  std::atomic<bool> stopped_{false};
  bool at_end_ = false;
};

}  // namespace freshet
