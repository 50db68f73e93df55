// RequestParser: one HTTP request, parsed by Beast straight out of the connection's buffer: names and values are views
// into it and nothing is allocated. Only the body is copied, into a buffer that the connection reuses.
//
// Threads: one owner.  Owns: nothing; the buffer, `headers` and `body` belong to the connection and outlive it. Bytes
// of the header must stay where they are until the request has been handled.
// Failure: `feed` says which status to answer; the connection must then be closed.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "serving/content_coding.h"
#include "serving/http_message.h"

namespace freshet {

enum class ParseStep : std::uint8_t { kNeedMore, kComplete, kFailed };

struct ParseOutcome {
  ParseStep step = ParseStep::kNeedMore;
  std::size_t consumed = 0;
  int status = 0;  // kFailed: what to answer, and why
  std::string_view reason;
};

class RequestParser final : private boost::beast::http::basic_parser<true> {
  template <typename T>
  using Optional = boost::optional<T>;
  using ErrorCode = boost::beast::error_code;
  using Text = boost::beast::string_view;

 public:
  struct Limits {
    std::size_t header_bytes_max;
    std::size_t body_bytes_max;
  };
  RequestParser(const Limits& limits, std::vector<HeaderView>& headers, std::string& body);

  // Parses what it can of bytes that follow those consumed so far.
  ParseOutcome feed(const char* data, std::size_t size);

  bool header_done() const { return is_header_done(); }
  std::size_t header_bytes() const { return header_bytes_; }  // parsed so far, or all once it is done
  bool wants_continue() const { return wants_continue_; }     // the client waits for "100 Continue"
  ContentCoding coding() const { return coding_; }            // of the body
  bool http_1_0() const { return version_ == 10; }
  bool client_keeps_alive() const { return keep_alive(); }
  std::string_view method() const { return method_; }
  std::string_view target() const { return target_; }

 private:
  static constexpr std::size_t kChunkBytesMin = 5;
  static ParseOutcome fail(int status, std::string_view reason) { return {ParseStep::kFailed, 0, status, reason}; }
  ParseOutcome check_header();
  ParseOutcome failure_of(const ErrorCode& error) const;

  void on_request_impl(boost::beast::http::verb, Text method, Text target, int version, ErrorCode& error) override;
  void on_response_impl(int, Text, int, ErrorCode&) override {}
  void on_field_impl(boost::beast::http::field, Text name, Text value, ErrorCode& error) override;
  void on_header_impl(ErrorCode&) override {}
  void on_body_init_impl(const Optional<std::uint64_t>& length, ErrorCode& error) override;
  std::size_t on_body_impl(Text piece, ErrorCode& error) override;
  void on_chunk_header_impl(std::uint64_t, Text, ErrorCode&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t remain, Text piece, ErrorCode& error) override;
  void on_finish_impl(ErrorCode&) override {}

  const Limits limits_;
  std::vector<HeaderView>& headers_;
  std::string& body_;
  std::string_view method_;
  std::string_view target_;
  int version_ = 11;
  std::size_t header_bytes_ = 0;
  const char* data_begin_ = nullptr;  // of the feed in progress
  const char* data_end_ = nullptr;
  bool header_checked_ = false;
  bool wants_continue_ = false;
  ContentCoding coding_ = ContentCoding::kIdentity;
};

}  // namespace freshet
