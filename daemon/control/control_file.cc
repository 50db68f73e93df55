#include "daemon/control/control_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "core/json_writer.h"
#include "serving/http_call.h"
#include "serving/json_object.h"

namespace freshet {
namespace {

constexpr std::size_t kTokenBytes = 32;

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

Result<ControlFile> ControlFile::create(const std::string& folder, const ControlAddress& address) {
  const std::string host = reachable(address.host);
  const std::string_view scheme = address.certificate_file.empty() ? "http" : "https";
  JsonWriter json(0);
  json.begin_object();
  json.field("url", host.find(':') == std::string::npos ? fmt::format("{}://{}:{}", scheme, host, address.port)
                                                        : fmt::format("{}://[{}]:{}", scheme, host, address.port));
  json.field("token", address.token);
  if (!address.certificate_file.empty()) json.field("certificate_file", address.certificate_file);
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
  const auto target = parse_http_url(member(object, "url"));
  ControlAddress address;
  address.token = member(object, "token");
  address.certificate_file = member(object, "certificate_file");
  if (!target.is_ok() || address.token.empty() || target->tls == address.certificate_file.empty()) {
    return data_loss(fmt::format("{} does not say where the daemon is", path));
  }
  address.host = target->host;
  address.port = target->port;
  return address;
}

}  // namespace freshet
