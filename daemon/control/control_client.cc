#include "daemon/control/control_client.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <thread>

#include "core/json_writer.h"

namespace freshet {
namespace {

constexpr std::chrono::milliseconds kAskEvery{50};
constexpr std::size_t kAnswerBytesMax = std::size_t{4} << 20;
constexpr int kSecondsMax = 30;  // for one request and its answer
constexpr int kUnauthorised = 401;
constexpr int kLostMax = 3;  // answers in a row that may fail while an operation runs

class Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

int connect_to(const ControlAddress& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found) != 0) return -1;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  for (const addrinfo* place = found; place != nullptr; place = place->ai_next) {
    const int descriptor = ::socket(place->ai_family, place->ai_socktype | SOCK_CLOEXEC, place->ai_protocol);
    if (descriptor < 0) continue;
    timeval patience{};
    patience.tv_sec = kSecondsMax;
    ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (::connect(descriptor, place->ai_addr, place->ai_addrlen) == 0) return descriptor;
    ::close(descriptor);
  }
  return -1;
}

Status wrong_token() {
  return failed_precondition(
      "the daemon does not take the token of control.json: another daemon listens there, or the file is of an earlier "
      "run");
}

Status told(const JsonObject& report) {
  const std::string what = member(report, "error");
  for (int code = 1; code <= static_cast<int>(Code::kInternal); ++code) {
    if (code_name(static_cast<Code>(code)) == member(report, "code")) return {static_cast<Code>(code), what};
  }
  return failed_precondition(what.empty() ? "the daemon refused without a reason" : what);
}

std::uint64_t number(const JsonObject& object, std::string_view name) {
  const std::string text = member(object, name);
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

Result<ControlClient> ControlClient::for_folder(const std::string& folder) {
  return ControlClient(TRY(read_control_file(folder)));
}

Result<ControlClient::Answer> ControlClient::request(std::string_view method, std::string_view path,
                                                     std::string_view body) const {
  const auto lost = [&](std::string_view why) {
    return unavailable(fmt::format("the daemon at {}:{} does not answer: {}", address_.host, address_.port, why));
  };
  const Socket socket(connect_to(address_));
  if (socket.get() < 0) return lost(std::strerror(errno));
  const std::string text = fmt::format(
      "{} {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\nConnection: close\r\n\r\n{}",
      method, path, address_.host, address_.token, body.size(), body);
  for (std::size_t sent = 0; sent < text.size();) {
    const ssize_t count = ::send(socket.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return lost(std::strerror(errno));
    sent += static_cast<std::size_t>(count);
  }
  std::string reply;
  char bytes[4096];
  while (reply.size() < kAnswerBytesMax) {
    const ssize_t count = ::recv(socket.get(), bytes, sizeof bytes, 0);
    if (count < 0) return lost(std::strerror(errno));
    if (count == 0) break;
    reply.append(bytes, static_cast<std::size_t>(count));
  }
  const auto end = reply.find("\r\n\r\n");
  Answer answer;
  constexpr std::size_t kStatusAt = 9;  // after "HTTP/1.1 "
  if (end == std::string::npos || !reply.starts_with("HTTP/1.1 ")) return lost("what it says is not HTTP");
  std::from_chars(reply.data() + kStatusAt, reply.data() + kStatusAt + 3, answer.status);
  answer.body = reply.substr(end + 4);
  return answer;
}

Status ControlClient::answers() const {
  const Answer answer = TRY(request("GET", "/admin/v1/operations/current", ""));
  return answer.status == kUnauthorised ? wrong_token() : Status::ok();
}

Result<std::string> ControlClient::run(std::string_view operation, const Arguments& arguments,
                                       const OnProgress& on_progress, std::string_view lane) const {
  JsonWriter json(0);
  json.begin_object();
  for (const auto& [name, value] : arguments) json.field(name, value);
  json.end_object();
  const Answer started = TRY(request("POST", fmt::format("/admin/v1/{}/{}", lane, operation), json.take()));
  const JsonObject begun = TRY(parse_json_object(started.body).with_context("the daemon's answer"));
  if (started.status == kUnauthorised) return wrong_token();
  if (started.status >= 300) return told(begun);
  const std::string id = member(begun, "id");
  int failures = 0;
  for (;;) {  // ends with the operation, or with the daemon
    std::this_thread::sleep_for(kAskEvery);
    const auto answer = request("GET", fmt::format("/admin/v1/{}/current", lane), "");
    if (!answer.is_ok()) {
      if (++failures < kLostMax) continue;
      return answer.status();
    }
    failures = 0;
    const JsonObject report = TRY(parse_json_object(answer->body).with_context("the daemon's answer"));
    if (member(report, "id") != id) return unavailable("the daemon was started anew, or runs another operation now");
    const std::string state = member(report, "state");
    if (on_progress) on_progress(number(report, "done"), number(report, "total"));
    if (state == "done") return json_in_one_line(member(report, "result"));  // as when the work is done here
    if (state != "running") return told(report);
  }
}

}  // namespace freshet
