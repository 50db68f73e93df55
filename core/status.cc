#include "core/status.h"

#include <array>

namespace freshet {

std::string_view code_name(Code code) {
  static constexpr std::array<std::string_view, 12> kNames = {"ok",
                                                              "invalid_argument",
                                                              "not_found",
                                                              "already_exists",
                                                              "failed_precondition",
                                                              "out_of_range",
                                                              "resource_exhausted",
                                                              "unavailable",
                                                              "data_loss",
                                                              "cancelled",
                                                              "unsupported",
                                                              "internal"};
  const auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : "unknown";
}

std::string Status::to_string() const {
  if (is_ok()) return "ok";
  std::string text(code_name(code_));
  text += ": ";
  text += message_;
  return text;
}

Status Status::with_context(std::string_view where) && {
  if (is_ok()) return {};
  std::string text(where);
  text += ": ";
  text += message_;
  return {code_, std::move(text)};
}

Status Status::with_context(std::string_view where) const& { return Status(*this).with_context(where); }

void abort_with(std::string_view what) {
  std::fprintf(stderr, "freshet: broken invariant: %.*s\n", static_cast<int>(what.size()), what.data());
  std::fflush(stderr);
  std::abort();
}

}  // namespace freshet
