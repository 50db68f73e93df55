#include "serving/access_control.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

namespace freshet {
namespace {

constexpr std::string_view kScheme = "Bearer ";
constexpr std::size_t kTokenBytesMin = 16;
constexpr std::size_t kTokenBytesMax = 1024;
constexpr std::size_t kFileBytesMax = 65536;
constexpr std::string_view kTokenCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=";
constexpr std::string_view kReloads = "freshet_secret_reloads_total";
constexpr std::string_view kReloadsHelp = "Times that changed files of tokens or certificates were read again.";

bool same(std::string_view given, std::string_view token) {
  unsigned difference = given.size() == token.size() ? 0U : 1U;
  for (std::size_t i = 0; i < token.size(); ++i) {
    const char c = i < given.size() ? given[i] : '\0';
    difference |= static_cast<unsigned>(static_cast<unsigned char>(c) ^ static_cast<unsigned char>(token[i]));
  }
  return difference == 0;
}

std::string_view bearer_token(const Request& request) {
  const std::string_view given = request.header("Authorization");
  if (given.size() <= kScheme.size() || !equals_ignoring_case(given.substr(0, kScheme.size()), kScheme)) return {};
  return given.substr(kScheme.size());
}

Response refuse(int status, std::string_view why, std::string challenge) {
  Response response = error_response(status, why);
  response.headers.emplace_back("WWW-Authenticate", std::move(challenge));
  return response;
}

}  // namespace

Result<std::vector<std::string>> read_tokens(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return invalid_argument(
        fmt::format("cannot read {} ({}); put one token a line into it, such as the output of "
                    "`openssl rand -hex 32`",
                    path, std::strerror(errno)));
  }
  std::string text(kFileBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return invalid_argument(fmt::format("cannot read {}: is it a file?", path));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kFileBytesMax) return invalid_argument(fmt::format("{} is larger than 64 KiB", path));
  std::vector<std::string> tokens;
  std::size_t number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    ++number;
    const auto end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    if (line.size() < kTokenBytesMin || line.size() > kTokenBytesMax) {
      return invalid_argument(fmt::format("{}, line {}: a token has {} to {} characters, this one {}", path, number,
                                          kTokenBytesMin, kTokenBytesMax, line.size()));
    }
    if (line.find_first_not_of(kTokenCharacters) != std::string_view::npos) {
      return invalid_argument(fmt::format("{}, line {}: a token has letters, digits and -._~+/= alone", path, number));
    }
    tokens.emplace_back(line);
  }
  if (tokens.empty()) {
    return invalid_argument(
        fmt::format("{} holds no token; put one a line into it, such as the output of "
                    "`openssl rand -hex 32`",
                    path));
  }
  return tokens;
}

Result<std::unique_ptr<AccessControl>> AccessControl::load(const Files& files, std::string owner_token,
                                                           MetricsRegistry& metrics, Log& log) {
  std::unique_ptr<AccessControl> access(new AccessControl(log));
  auto tokens = std::make_shared<Tokens>();
  tokens->owner = std::move(owner_token);
  const std::array<std::pair<std::string_view, const std::string*>, kKinds> given = {
      {{"inference", &files.inference}, {"feedback", &files.feedback}, {"admin", &files.admin}}};
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    Source& source = access->sources_[kind];
    source.option = fmt::format("serving.tokens.{}_file", given[kind].first);
    source.path = *given[kind].second;
    if (source.path.empty()) continue;
    source.watched.emplace(std::vector<std::string>{source.path});  // before it is read: what comes later is a change
    tokens->of[kind] = TRY(read_tokens(source.path).with_context(source.option));
    const std::string secret = fmt::format("{}_tokens", given[kind].first);
    source.reloaded = &metrics.counter(kReloads, kReloadsHelp, {{"secret", secret}, {"result", "taken"}});
    source.failed = &metrics.counter(kReloads, kReloadsHelp, {{"secret", secret}, {"result", "refused"}});
  }
  access->tokens_ = std::move(tokens);
  return access;
}

bool AccessControl::demands(Access access) const {
  switch (access) {
    case Access::kOpen:
      return false;
    case Access::kInference:
      return !sources_[0].path.empty();
    case Access::kFeedback:
    case Access::kChange:
      return std::any_of(sources_.begin(), sources_.end(), [](const Source& source) { return !source.path.empty(); });
    case Access::kAdmin:
      break;
  }
  return true;
}

AccessControl::Kind AccessControl::needed_by(Access access) {
  switch (access) {
    case Access::kOpen:
      return Kind::kNone;
    case Access::kInference:
      return Kind::kInference;
    case Access::kFeedback:
      return Kind::kFeedback;
    case Access::kChange:
    case Access::kAdmin:
      break;
  }
  return Kind::kAdmin;
}

AccessControl::Kind AccessControl::kind_of(const Request& request) const {
  const std::string_view given = bearer_token(request);
  if (given.empty()) return Kind::kNone;
  const std::shared_ptr<const Tokens> known = tokens();
  auto best = static_cast<std::uint8_t>(Kind::kNone);
  // Each is looked at, whether or not one has matched.
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    for (const std::string& token : known->of[kind]) {
      const bool matches = same(given, token);
      best = std::max(best, static_cast<std::uint8_t>(matches ? kind + 1 : 0));
    }
  }
  if (!known->owner.empty() && same(given, known->owner)) return Kind::kAdmin;
  return static_cast<Kind>(best);
}

std::optional<Response> AccessControl::refusal(Access access, const Request& request) const {
  if (!demands(access)) return std::nullopt;
  const Kind kind = kind_of(request);
  const Kind needed = needed_by(access);
  if (kind >= needed) return std::nullopt;
  constexpr std::array<std::string_view, kKinds> kNames = {"an inference", "a feedback", "an admin"};
  const std::string_view name = kNames[static_cast<std::size_t>(needed) - 1];
  if (kind != Kind::kNone) {
    return refuse(403, fmt::format("this takes {} token; the one given is of a lower kind", name),
                  R"(Bearer error="insufficient_scope")");
  }
  if (bearer_token(request).empty()) {
    return refuse(401, fmt::format("this takes {} token, as `Authorization: Bearer TOKEN`", name), "Bearer");
  }
  return refuse(401, fmt::format("this takes {} token; the one given is not known", name),
                R"(Bearer error="invalid_token")");
}

void AccessControl::refresh() {
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    Source& source = sources_[kind];
    if (!source.watched || !source.watched->changed()) continue;
    auto read = read_tokens(source.path).with_context(source.option);
    if (!read.is_ok()) {
      source.failed->increment();
      log_.warning("tokens_kept", fmt::format("{}; the tokens read before stay in force", read.status().message()));
      continue;
    }
    const std::shared_ptr<const Tokens> before = tokens();
    auto next = std::make_shared<Tokens>(*before);
    next->of[kind] = std::move(read).value();
    source.reloaded->increment();
    log_.info("tokens_read", fmt::format("{}: read again", source.option), {{"tokens", next->of[kind].size()}});
    const std::lock_guard lock(mutex_);
    tokens_ = std::move(next);
  }
}

std::shared_ptr<const AccessControl::Tokens> AccessControl::tokens() const {
  const std::lock_guard lock(mutex_);
  return tokens_;
}

}  // namespace freshet
