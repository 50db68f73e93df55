#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>

namespace freshet::test {

HttpClient::HttpClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket_ >= 0 && ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(socket_);
    socket_ = -1;
  }
  if (socket_ < 0) return;
  const int on = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

HttpClient::~HttpClient() {
  if (socket_ >= 0) ::close(socket_);
}

bool HttpClient::send(std::string_view bytes) {
  if (socket_ < 0) return false;  // poll would wait for ever on no socket
  while (!bytes.empty()) {
    pollfd ready{socket_, POLLOUT, 0};
    if (::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(kWaitMax).count())) != 1) return false;
    const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EAGAIN || errno == EINTR) continue;
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void HttpClient::half_close() { ::shutdown(socket_, SHUT_WR); }

bool HttpClient::fill() {
  if (ended_ || socket_ < 0) return false;
  pollfd ready{socket_, POLLIN, 0};
  if (::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(kWaitMax).count())) != 1) return false;
  std::array<char, 65536> bytes;
  const auto got = ::recv(socket_, bytes.data(), bytes.size(), 0);
  if (got <= 0) {
    ended_ = true;
    return false;
  }
  buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  return true;
}

std::optional<HttpReply> HttpClient::read_reply(bool head) {
  std::size_t header_end = std::string::npos;
  while ((header_end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) return std::nullopt;
  }
  HttpReply reply;
  std::string_view lines = std::string_view(buffer_).substr(0, header_end + 2);
  const auto next_line = [&lines] {
    const auto end = lines.find("\r\n");
    const auto line = lines.substr(0, end);
    lines.remove_prefix(end + 2);
    return line;
  };
  const std::string_view first = next_line();
  if (first.size() < 12 || first.substr(0, 7) != "HTTP/1.") return std::nullopt;
  std::from_chars(first.data() + 9, first.data() + 12, reply.status);
  while (!lines.empty()) {
    const std::string_view line = next_line();
    const auto colon = line.find(": ");
    if (colon == std::string_view::npos) return std::nullopt;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    reply.headers[name] = line.substr(colon + 2);
  }
  std::size_t length = 0;
  if (const auto found = reply.headers.find("content-length"); found != reply.headers.end() && !head) {
    std::from_chars(found->second.data(), found->second.data() + found->second.size(), length);
  }
  while (buffer_.size() < header_end + 4 + length) {
    if (!fill()) return std::nullopt;
  }
  reply.body = buffer_.substr(header_end + 4, length);
  buffer_.erase(0, header_end + 4 + length);
  return reply;
}

bool HttpClient::closed_by_server() {
  while (fill()) {
  }
  return ended_;
}

bool HttpClient::read_until(std::string_view text) {
  while (buffer_.find(text) == std::string::npos) {
    if (!fill()) return false;
  }
  return true;
}

bool HttpClient::readable(std::chrono::milliseconds wait) {
  pollfd ready{socket_, POLLIN, 0};
  return ended_ || ::poll(&ready, 1, static_cast<int>(wait.count())) == 1;
}

std::optional<HttpReply> HttpClient::get(std::string_view path) {
  if (!send(http_request("GET", path))) return std::nullopt;
  return read_reply();
}

std::optional<HttpReply> HttpClient::post(std::string_view path, std::string_view body) {
  if (!send(http_request("POST", path, body))) return std::nullopt;
  return read_reply();
}

std::string http_request(std::string_view method, std::string_view path, std::string_view body,
                         std::string_view extra_headers) {
  const bool has_body = method == "POST" || !body.empty();
  return fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n{}{}\r\n{}", method, path, extra_headers,
                     has_body ? fmt::format("Content-Length: {}\r\n", body.size()) : std::string(), body);
}

}  // namespace freshet::test
