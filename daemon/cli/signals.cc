#include "daemon/cli/signals.h"

#include <csignal>

namespace freshet {
namespace {

// Signal handlers reach nothing but globals; lock-free atomics are what they may touch.
std::atomic<bool> stop_requested{false};
std::atomic<bool> reload_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void handle(int signal) {
  if (signal == SIGHUP) {
    reload_requested = true;
  } else {
    stop_requested = true;
  }
}

void install(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

}  // namespace

StopOnSignal::StopOnSignal() {
  stop_requested = false;
  reload_requested = false;
  install(SIGTERM, handle);
  install(SIGINT, handle);
  install(SIGHUP, handle);
  install(SIGPIPE, SIG_IGN);
}

StopOnSignal::~StopOnSignal() {
  install(SIGTERM, SIG_DFL);
  install(SIGINT, SIG_DFL);
  install(SIGHUP, SIG_DFL);
}

const std::atomic<bool>& StopOnSignal::flag() const { return stop_requested; }

bool StopOnSignal::take_reload() { return reload_requested.exchange(false); }

}  // namespace freshet
