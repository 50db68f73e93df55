// AccessControl: who may call which route, by bearer tokens (RFC 6750) that stand in files, one a line, so that a new
// one can be given out before the old one goes. There are three kinds; each may do what those before it may:
//
//   inference   predictions, metadata, metrics, status
//   feedback    labels for predictions
//   admin       which versions answer, the state, publishing
//
// A kind without a file has no tokens. Without any file all is open but administration, which always takes the owner's
// token; with one, whatever changes something takes a token of its kind or a higher one.
//
// Threads: `refusal` from any; `refresh` from one. A mutex guards one pointer.
// Owns: the tokens; they are never written anywhere, and compared in a time that does not depend on where they differ.
// Failure: `load` says what is wrong with a file. One that goes bad later leaves the tokens read before in force, with
// a warning and a metric.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/log.h"
#include "core/metrics.h"
#include "core/status.h"
#include "serving/http_message.h"
#include "serving/watched_files.h"

namespace freshet {

// What a route asks of its caller.
enum class Access : std::uint8_t {
  kOpen,       // nothing: health
  kInference,  // a token once inference has a file
  kFeedback,   // a feedback token once any kind has a file
  kChange,     // an admin token once any kind has a file
  kAdmin,      // an admin token, always
};

class AccessControl {
 public:
  // Paths; empty: no tokens of that kind.
  struct Files {
    std::string inference;
    std::string feedback;
    std::string admin;
  };

  // `owner_token` is an admin token beside those of the files; empty: none. `metrics` and `log` outlive this object.
  static Result<std::unique_ptr<AccessControl>> load(const Files& files, std::string owner_token,
                                                     MetricsRegistry& metrics, Log& log);

  // Whether such a route takes a token at all.
  bool demands(Access access) const;
  // 401 without a known token, 403 with one of a lower kind; nothing where the call may go on.
  std::optional<Response> refusal(Access access, const Request& request) const;

  // Reads files that have changed. To be called about once a second.
  void refresh();

 private:
  enum class Kind : std::uint8_t { kNone, kInference, kFeedback, kAdmin };
  static constexpr std::size_t kKinds = 3;
  struct Tokens {
    std::array<std::vector<std::string>, kKinds> of;  // by kind, without kNone
    std::string owner;
  };
  struct Source {
    std::string option;  // "serving.tokens.admin_file"
    std::string path;    // empty: no file
    std::optional<WatchedFiles> watched = std::nullopt;
    Counter* reloaded = nullptr;
    Counter* failed = nullptr;
  };

  explicit AccessControl(Log& log) : log_(log) {}
  static Kind needed_by(Access access);
  Kind kind_of(const Request& request) const;
  std::shared_ptr<const Tokens> tokens() const;

  Log& log_;
  std::array<Source, kKinds> sources_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Tokens> tokens_;
};

// The tokens of a file: one a line; empty lines and lines that begin with '#' are left out. At least one, each of 16 to
// 1024 letters, digits and -._~+/=. The messages name the line and never a token.
Result<std::vector<std::string>> read_tokens(const std::string& path);

}  // namespace freshet
