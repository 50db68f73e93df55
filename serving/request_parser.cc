#include "serving/request_parser.h"

#include <algorithm>
#include <functional>

namespace freshet {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t kFirstReserveMax = std::size_t{1} << 20;

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

RequestParser::RequestParser(const Limits& limits, std::vector<HeaderView>& headers, std::string& body)
    : limits_(limits), headers_(headers), body_(body) {
  header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
  body_limit(limits.body_bytes_max);
  headers_.clear();
  body_.clear();
}

ParseOutcome RequestParser::feed(const char* data, std::size_t size) {
  data_begin_ = data;
  data_end_ = data + size;
  std::size_t consumed = 0;
  // Every turn consumes something or leaves the loop.
  while (consumed < size) {
    // Beast asserts that the last chunk is not shown to it in pieces of fewer than five bytes. Whatever part of a
    // chunked body is due, at least five bytes ("0\r\n\r\n") must still come, so waiting for them is always right.
    if (is_header_done() && chunked() && size - consumed < kChunkBytesMin) break;
    ErrorCode error;
    const std::size_t used = put({data + consumed, size - consumed}, error);
    consumed += used;
    if (!header_checked_) {
      header_bytes_ += used;
      const std::size_t seen = is_header_done() ? header_bytes_ : header_bytes_ + (size - consumed);
      const bool sound = !error || error == http::error::need_more;
      if (sound && seen > limits_.header_bytes_max) error = http::error::header_limit;
    }
    if (error && error != http::error::need_more) return failure_of(error);
    if (is_header_done() && !header_checked_) {
      header_checked_ = true;
      if (const auto outcome = check_header(); outcome.step == ParseStep::kFailed) return outcome;
    }
    if (is_done()) return {ParseStep::kComplete, consumed, 0, {}};
    if (error || used == 0) break;
  }
  return {ParseStep::kNeedMore, consumed, 0, {}};
}

ParseOutcome RequestParser::check_header() {
  bool host = false;
  for (const auto& [name, value] : headers_) {
    if (equals_ignoring_case(name, "Host")) {
      if (host) return fail(400, "two Host headers");
      host = true;
    } else if (equals_ignoring_case(name, "Transfer-Encoding")) {
      // Anything but a lone "chunked" has a length that we could only guess: the next request would start in it.
      if (!equals_ignoring_case(value, "chunked")) return fail(501, "no transfer encoding but chunked is known");
    } else if (equals_ignoring_case(name, "Content-Encoding")) {
      const auto coding = find_coding(value);
      if (!coding || coding_ != ContentCoding::kIdentity)
        return fail(415, "a request body may be compressed with gzip or with deflate, once, and with nothing else");
      coding_ = *coding;
    } else if (equals_ignoring_case(name, "Expect")) {
      if (!equals_ignoring_case(value, "100-continue")) return fail(417, "no expectation but 100-continue is known");
      wants_continue_ = version_ == 11;
    }
  }
  if (version_ == 11 && !host) return fail(400, "no Host header");
  return {};
}

ParseOutcome RequestParser::failure_of(const ErrorCode& error) const {
  if (error == http::error::header_limit) return fail(431, "request header is too large");
  if (error == http::error::body_limit) return fail(413, "request body is too large");
  if (error == http::error::bad_version) return fail(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  if (error == http::error::bad_method || error == http::error::bad_target) return fail(400, "malformed request line");
  if (error == http::error::bad_content_length) return fail(400, "bad Content-Length");
  if (error == http::error::bad_transfer_encoding) return fail(400, "bad Transfer-Encoding");
  if (!is_header_done()) return fail(400, "malformed request header");
  return fail(400, "malformed chunk");
}

void RequestParser::on_request_impl(http::verb, Text method, Text target, int version, ErrorCode&) {
  method_ = view(method);
  target_ = view(target);
  version_ = version;
}

void RequestParser::on_field_impl(http::field, Text name, Text value, ErrorCode& error) {
  if (is_header_done()) return;  // trailers of a chunked body
  // A value folded over lines is put together in a temporary of Beast's; obsolete since RFC 7230, so refused.
  const std::less<const char*> before;
  if (!value.empty() && (before(value.data(), data_begin_) || !before(value.data(), data_end_))) {
    error = http::error::bad_value;
    return;
  }
  headers_.push_back({view(name), view(value)});
}

void RequestParser::on_body_init_impl(const Optional<std::uint64_t>& length, ErrorCode&) {
  // What a client only claims to send is reserved up to a bound; the rest grows as it comes.
  if (length) body_.reserve(std::min<std::size_t>(*length, kFirstReserveMax));
}

std::size_t RequestParser::on_body_impl(Text piece, ErrorCode&) {
  body_.append(piece.data(), piece.size());
  return piece.size();
}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t, Text piece, ErrorCode&) {
  body_.append(piece.data(), piece.size());
  return piece.size();
}

}  // namespace freshet
