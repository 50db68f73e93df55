#include "tests/support/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "core/status.h"

namespace freshet::test {
namespace {

constexpr std::chrono::milliseconds kLookEvery{5};

std::string whole_file(int descriptor) {
  std::string text;
  std::array<char, 65536> block{};
  for (;;) {
    const ssize_t got = ::pread(descriptor, block.data(), block.size(), static_cast<off_t>(text.size()));
    if (got <= 0) return text;
    text.append(block.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& words, const Options& options)
    : terminal_(options.terminal) {
  launch(words, options);
  pid_descriptor_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  if (pid_descriptor_ < 0) abort_with("a test cannot watch its child process");
  if (terminal_) reader_ = std::thread([this] { read_terminal(); });
}

ChildProcess::~ChildProcess() {
  if (!ended()) {
    signal(SIGKILL);
    static_cast<void>(look(std::chrono::seconds(10)));
  }
  if (reader_.joinable()) reader_.join();
  for (const int descriptor : {pid_descriptor_, output_, errors_}) {
    if (descriptor >= 0) ::close(descriptor);
  }
}

void ChildProcess::launch(const std::vector<std::string>& words, const Options& options) {
  std::vector<std::string> copies = words;
  std::vector<char*> argv;
  argv.reserve(copies.size() + 1);
  for (auto& word : copies) argv.push_back(word.data());
  argv.push_back(nullptr);
  if (!terminal_) {
    output_ = ::memfd_create("output", MFD_CLOEXEC);
    errors_ = ::memfd_create("errors", MFD_CLOEXEC);
    // Appended to by the child and by whatever it starts; read here by position.
    ::fcntl(output_, F_SETFL, O_APPEND);
    ::fcntl(errors_, F_SETFL, O_APPEND);
  }
  const pid_t parent = ::getpid();
  pid_ = terminal_ ? ::forkpty(&output_, nullptr, nullptr, nullptr) : ::fork();
  if (pid_ < 0) abort_with("a test cannot start a process");
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(126);
  if (!terminal_) {
    ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
    ::dup2(output_, STDOUT_FILENO);
    ::dup2(errors_, STDERR_FILENO);
  }
  if (!options.folder.empty() && ::chdir(options.folder.c_str()) != 0) ::_exit(126);
  ::execvp(argv[0], argv.data());
  std::perror(argv[0]);
  ::_exit(127);
}

// Ends with an error once the last process on the terminal has gone.
void ChildProcess::read_terminal() {
  std::array<char, 4096> block{};
  for (;;) {
    const ssize_t got = ::read(output_, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    const std::lock_guard lock(mutex_);
    shown_.append(block.data(), static_cast<std::size_t>(got));
  }
}

void ChildProcess::signal(int number) const {
  if (!exit_code_) ::kill(pid_, number);
}

void ChildProcess::type(std::string_view keys) const {
  if (::write(output_, keys.data(), keys.size()) != static_cast<ssize_t>(keys.size())) std::perror("typing");
}

std::string ChildProcess::output() const {
  if (!terminal_) return whole_file(output_);
  const std::lock_guard lock(mutex_);
  return shown_;
}

std::string ChildProcess::errors() const { return terminal_ ? std::string() : whole_file(errors_); }

bool ChildProcess::look(std::chrono::milliseconds wait) {
  if (exit_code_) return true;
  pollfd ready{pid_descriptor_, POLLIN, 0};
  if (::poll(&ready, 1, static_cast<int>(wait.count())) != 1) return false;
  int state = 0;
  if (::waitpid(pid_, &state, 0) != pid_) return false;
  exit_code_ = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
  return true;
}

bool ChildProcess::ended() { return look(std::chrono::milliseconds(0)); }

std::optional<int> ChildProcess::wait(std::chrono::milliseconds patience) {
  static_cast<void>(look(patience));
  return exit_code_;
}

bool ChildProcess::wait_until(const std::function<bool()>& condition, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    if (condition()) return true;
    if (look(kLookEvery)) return condition();
    if (std::chrono::steady_clock::now() > deadline) return false;
  }
}

}  // namespace freshet::test
