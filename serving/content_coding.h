// ContentCoder: gzip (RFC 1952) and deflate (RFC 1950, as HTTP means it) of request and response bodies, with zlib.
// What a body inflates to is bounded before memory is taken for it.
//
// Threads: one owner.  Owns: zlib's working memory, taken at the first use and kept (about 300 KB a coder).
// Failure: a Status for a body that is broken or too large; a body that could not be made smaller goes as it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/status.h"

namespace freshet {

enum class ContentCoding : std::uint8_t { kIdentity, kGzip, kDeflate };

// "gzip"; the name in a header.
std::string_view coding_name(ContentCoding coding);
// A coding by its name, whatever its case; nothing for one that is not known.
std::optional<ContentCoding> find_coding(std::string_view name);
// What an Accept-Encoding header prefers of the codings known; kIdentity when it names none of them.
ContentCoding choose_coding(std::string_view accept_encoding);

class ContentCoder {
 public:
  ContentCoder();
  ~ContentCoder();
  ContentCoder(const ContentCoder&) = delete;
  ContentCoder& operator=(const ContentCoder&) = delete;

  // Replaces `out`. kInvalidArgument for a body that is broken, cut short or goes on after its end;
  // kResourceExhausted for one that inflates to more than `bytes_max`.
  Status inflate(ContentCoding coding, std::string_view body, std::size_t bytes_max, std::string& out);

  // Replaces `out`; false when that would not be smaller than the body.
  bool deflate(ContentCoding coding, std::string_view body, std::string& out);

 private:
  struct Streams;
  std::unique_ptr<Streams> streams_;
};

}  // namespace freshet
