// ControlFile: `control.json` in the state folder tells whoever may read that folder how to reach the running daemon:
// {"url", "token", "pid"}, over TLS "certificate_file" too, by which the daemon is known. Mode 0600, written whole
// before it has its name, removed when the daemon stops; one left by a kill is replaced at the next start.
//
// Threads: one owner.  Owns: the file and its removal.
// Failure: a folder that cannot be written is said by create(); read_control_file gives kNotFound without a file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "core/status.h"

namespace freshet {

inline constexpr std::string_view kControlFileName = "control.json";

struct ControlAddress {
  std::string host;  // an address that this machine reaches itself by
  std::uint16_t port = 0;
  std::string token;
  std::string certificate_file;  // absolute; empty: plain HTTP
};

// 64 hexadecimal digits from the system's generator.
Result<std::string> make_control_token();

class ControlFile {
 public:
  // The host as configured: 0.0.0.0 and :: become the loopback's address.
  static Result<ControlFile> create(const std::string& folder, const ControlAddress& address);
  ControlFile(ControlFile&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  ControlFile& operator=(ControlFile&&) = delete;
  ~ControlFile();

 private:
  explicit ControlFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

Result<ControlAddress> read_control_file(const std::string& folder);

}  // namespace freshet
