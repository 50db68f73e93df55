#include "daemon/control/control_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "core/json_writer.h"
#include "serving/json_object.h"

namespace freshet {
namespace {

constexpr std::size_t kTokenBytes = 32;
constexpr std::string_view kScheme = "http://";

std::string file_in(const std::string& folder) { return fmt::format("{}/{}", folder, kControlFileName); }

Status failed(std::string_view what, const std::string& path) {
  return unavailable(fmt::format("{} {}: {}", what, path, std::strerror(errno)));
}

std::string reachable(const std::string& host) {
  if (host.empty() || host == "0.0.0.0" || host == "localhost") return "127.0.0.1";
  if (host == "::") return "::1";
  return host;
}

}  // namespace

Result<std::string> make_control_token() {
  std::array<unsigned char, kTokenBytes> bytes{};
  std::ifstream random("/dev/urandom", std::ios::binary);
  if (!random.read(reinterpret_cast<char*>(bytes.data()), bytes.size())) {
    return unavailable("cannot read /dev/urandom, which makes the token of the control file");
  }
  std::string token;
  for (const unsigned char byte : bytes) fmt::format_to(std::back_inserter(token), "{:02x}", byte);
  return token;
}

Result<ControlFile> ControlFile::create(const std::string& folder, const std::string& host, std::uint16_t port,
                                        const std::string& token) {
  const std::string address = reachable(host);
  JsonWriter json(0);
  json.begin_object();
  json.field("url", address.find(':') == std::string::npos ? fmt::format("{}{}:{}", kScheme, address, port)
                                                           : fmt::format("{}[{}]:{}", kScheme, address, port));
  json.field("token", token);
  json.field("pid", static_cast<std::int64_t>(::getpid()));
  json.end_object();
  const std::string text = json.take();

  const std::string path = file_in(folder);
  const std::string fresh = path + ".new";
  ::unlink(fresh.c_str());  // left by a kill; its mode may be anything
  const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return failed("cannot create", fresh);
  const ssize_t written = ::write(file, text.data(), text.size());
  const bool whole = written == static_cast<ssize_t>(text.size());
  if (::close(file) != 0 || !whole) return failed("cannot write", fresh);
  if (std::rename(fresh.c_str(), path.c_str()) != 0) return failed("cannot name", path);
  return ControlFile(path);
}

ControlFile::~ControlFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Result<ControlAddress> read_control_file(const std::string& folder) {
  const std::string path = file_in(folder);
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT) return not_found(fmt::format("there is no {}", path));
    return failed("cannot read", path);
  }
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const JsonObject object = TRY(parse_json_object(text).with_context(path));
  const std::string url = member(object, "url");
  ControlAddress address;
  address.token = member(object, "token");
  const auto colon = url.rfind(':');
  if (!url.starts_with(kScheme) || colon == std::string::npos || colon < kScheme.size() || address.token.empty()) {
    return data_loss(fmt::format("{} does not say where the daemon is", path));
  }
  address.host = url.substr(kScheme.size(), colon - kScheme.size());
  if (address.host.size() > 2 && address.host.front() == '[')
    address.host = address.host.substr(1, address.host.size() - 2);
  const auto read = std::from_chars(url.data() + colon + 1, url.data() + url.size(), address.port);
  if (read.ec != std::errc() || read.ptr != url.data() + url.size()) {
    return data_loss(fmt::format("{} names no port", path));
  }
  return address;
}

}  // namespace freshet
