// HttpClient: a plain blocking HTTP/1.1 client on one connection to the loopback, which sends whatever bytes a test
// wants and never hangs: every wait ends after kWaitMax.
//
// Threads: one owner.  Owns: its socket.
// Failure: `connected` is false, a reply is absent, or `closed_by_server` is false; tests assert on them.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace freshet::test {

struct HttpReply {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

class HttpClient {
 public:
  static constexpr std::chrono::seconds kWaitMax{30};

  explicit HttpClient(std::uint16_t port);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  bool connected() const { return socket_ >= 0; }
  // False when the server no longer takes bytes.
  bool send(std::string_view bytes);
  void half_close();
  // The next reply; with `head`, one without a body whatever its Content-Length.
  std::optional<HttpReply> read_reply(bool head = false);
  // Reads whatever still comes; true once the server has closed.
  bool closed_by_server();
  // Reads until rest() contains `text`; false at the end of the connection.
  bool read_until(std::string_view text);
  // True once there are bytes to read or the server has closed; false after `wait`.
  bool readable(std::chrono::milliseconds wait);
  // Bytes that came beyond the replies read.
  const std::string& rest() const { return buffer_; }

  std::optional<HttpReply> get(std::string_view path);
  std::optional<HttpReply> post(std::string_view path, std::string_view body);

 private:
  bool fill();  // false at the end, on an error, after kWaitMax
  int socket_ = -1;
  bool ended_ = false;
  std::string buffer_;
};

std::string http_request(std::string_view method, std::string_view path, std::string_view body = {},
                         std::string_view extra_headers = {});

}  // namespace freshet::test
