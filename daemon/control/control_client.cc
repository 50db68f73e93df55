#include "daemon/control/control_client.h"

#include <fmt/format.h>

#include <charconv>
#include <thread>

#include "core/json_writer.h"
#include "serving/access_control.h"

namespace freshet {
namespace {

constexpr std::chrono::milliseconds kAskEvery{50};
constexpr int kUnauthorised = 401;
constexpr int kForbidden = 403;
constexpr int kLostMax = 3;  // answers in a row that may fail while an operation runs

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

Result<ControlClient> ControlClient::for_folder(const std::string& folder, const ControlOptions& options) {
  const ControlAddress address = TRY(read_control_file(folder));
  ControlClient client;
  client.target_.host = address.host;
  client.target_.port = address.port;
  client.target_.tls = !address.certificate_file.empty();
  if (options.ca_file.empty()) client.target_.only_certificate = address.certificate_file;
  client.token_ = address.token;
  client.token_from_ = "control.json";
  TRY(client.choose(options));
  return client;
}

Result<ControlClient> ControlClient::for_url(const ControlOptions& options) {
  if (options.token_file.empty()) {
    return invalid_argument("--url needs --token-file: a file with a token of serving.tokens.admin_file");
  }
  ControlClient client;
  client.target_ = TRY(parse_http_url(options.url));
  TRY(client.choose(options));
  return client;
}

Status ControlClient::choose(const ControlOptions& options) {
  target_.ca_file = options.ca_file;
  target_.certificate_file = options.certificate_file;
  target_.key_file = options.key_file;
  if (options.token_file.empty()) return Status::ok();
  token_ = TRY(read_tokens(options.token_file)).front();
  token_from_ = options.token_file;
  return Status::ok();
}

Result<HttpAnswer> ControlClient::request(std::string_view method, std::string_view path, std::string_view body) const {
  return call_http(target_, method, path, token_, body);
}

Status ControlClient::refused(const HttpAnswer& answer) const {
  if (answer.status == kUnauthorised) {
    return failed_precondition(fmt::format(
        "the daemon does not take the token of {}: another daemon listens there, or the file is of an earlier time",
        token_from_));
  }
  if (answer.status == kForbidden) {
    return failed_precondition(fmt::format("the token of {} is no admin token", token_from_));
  }
  return Status::ok();
}

Status ControlClient::answers() const {
  const HttpAnswer answer = TRY(request("GET", "/admin/v1/operations/current", ""));
  return refused(answer);
}

Result<std::string> ControlClient::run(std::string_view operation, const Arguments& arguments,
                                       const OnProgress& on_progress, std::string_view lane) const {
  JsonWriter json(0);
  json.begin_object();
  for (const auto& [name, value] : arguments) json.field(name, value);
  json.end_object();
  const HttpAnswer started = TRY(request("POST", fmt::format("/admin/v1/{}/{}", lane, operation), json.take()));
  const JsonObject begun = TRY(parse_json_object(started.body).with_context("the daemon's answer"));
  TRY(refused(started));
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
