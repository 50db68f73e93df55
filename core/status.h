// Status and Result<T>: how every fallible function of Freshet reports failure.
//
// The list of codes is closed: a caller decides by code (retry, dead-letter, refuse to start), a person reads the
// message, which says what went wrong, where, and what to do. `with_context` prepends where it happened as an error
// travels up. Exceptions of libraries are caught at a room's edge and converted to a Status.
//
// Threads: values, no sharing.  Owns: its message.  Failure: reading the value of a failed Result aborts.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace freshet {

enum class Code : std::uint8_t {
  kOk,
  kInvalidArgument,  // the caller's input is wrong; retrying cannot help
  kNotFound,
  kAlreadyExists,
  kFailedPrecondition,  // right request, wrong state (e.g. a newer format on disk)
  kOutOfRange,
  kResourceExhausted,  // disk, memory or a configured limit; may pass
  kUnavailable,        // broker, device or peer away; may pass
  kDataLoss,           // stored bytes do not match their checksum
  kCancelled,          // asked to stop
  kUnsupported,
  kInternal,  // a bug in Freshet or in a library
};

std::string_view code_name(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status ok() { return {}; }
  bool is_ok() const { return code_ == Code::kOk; }
  explicit operator bool() const { return is_ok(); }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // "invalid_argument: config line 3: …", or "ok".
  std::string to_string() const;

  // The same status with "where: " before its message; no effect on ok.
  Status with_context(std::string_view where) &&;
  Status with_context(std::string_view where) const&;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

inline Status invalid_argument(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }
inline Status not_found(std::string message) { return {Code::kNotFound, std::move(message)}; }
inline Status already_exists(std::string message) { return {Code::kAlreadyExists, std::move(message)}; }
inline Status failed_precondition(std::string message) { return {Code::kFailedPrecondition, std::move(message)}; }
inline Status out_of_range(std::string message) { return {Code::kOutOfRange, std::move(message)}; }
inline Status resource_exhausted(std::string message) { return {Code::kResourceExhausted, std::move(message)}; }
inline Status unavailable(std::string message) { return {Code::kUnavailable, std::move(message)}; }
inline Status data_loss(std::string message) { return {Code::kDataLoss, std::move(message)}; }
inline Status cancelled(std::string message) { return {Code::kCancelled, std::move(message)}; }
inline Status unsupported(std::string message) { return {Code::kUnsupported, std::move(message)}; }
inline Status internal_error(std::string message) { return {Code::kInternal, std::move(message)}; }

// Prints `what` to standard error and aborts: for broken invariants only, never for bad input.
[[noreturn]] void abort_with(std::string_view what);

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    if (status_.is_ok()) abort_with("Result built from an ok Status without a value");
  }

  bool is_ok() const { return value_.has_value(); }
  explicit operator bool() const { return is_ok(); }
  const Status& status() const { return status_; }
  Code code() const { return status_.code(); }

  T& value() & {
    check();
    return *value_;
  }
  const T& value() const& {
    check();
    return *value_;
  }
  T&& value() && {
    check();
    return std::move(*value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Result with_context(std::string_view where) && {
    if (is_ok()) return std::move(*this);
    return std::move(status_).with_context(where);
  }

 private:
  void check() const {
    if (!value_.has_value()) abort_with("value() of a failed Result: " + status_.to_string());
  }
  std::optional<T> value_;
  Status status_;
};

namespace internal {
inline Status take_status(Status&& status) { return std::move(status); }
template <typename T>
Status take_status(Result<T>&& result) {
  return result.status();
}
struct Nothing {};
inline Nothing take_value(Status&&) { return {}; }
template <typename T>
T take_value(Result<T>&& result) {
  return std::move(result).value();
}
}  // namespace internal

}  // namespace freshet

// TRY(expr): the value of a Result, or nothing for a Status; on failure returns the Status from the function.
#define TRY(...)                                                                               \
  __extension__({                                                                              \
    auto try_result_ = (__VA_ARGS__);                                                          \
    if (!try_result_.is_ok()) return ::freshet::internal::take_status(std::move(try_result_)); \
    ::freshet::internal::take_value(std::move(try_result_));                                   \
  })
