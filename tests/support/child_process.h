// ChildProcess: a program under test as a process of its own, with all that it writes kept. On request it gets a
// terminal (standard input, output and errors are then one stream, read as output()).
//
// Threads: one owner.  Owns: the process, which is killed and reaped with this object, or with the test.
// Failure: a program that cannot be started ends with exit code 127 and says why in errors().
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace freshet::test {

class ChildProcess {
 public:
  struct Options {
    std::string folder;  // working folder; empty: the test's own
    bool terminal = false;
  };

  explicit ChildProcess(const std::vector<std::string>& words) : ChildProcess(words, Options()) {}
  ChildProcess(const std::vector<std::string>& words, const Options& options);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  void type(std::string_view keys) const;  // with a terminal only

  // What it wrote so far.
  std::string output() const;
  std::string errors() const;

  bool ended();
  // The exit code, or 128 and the signal's number; nothing when it still runs after `patience`.
  std::optional<int> wait(std::chrono::milliseconds patience);
  // Asks `condition` again and again until it is true, the process has ended, or `patience` is over; the last answer.
  bool wait_until(const std::function<bool()>& condition, std::chrono::milliseconds patience);

 private:
  void launch(const std::vector<std::string>& words, const Options& options);
  void read_terminal();
  // Waits for the end of the process, or for `wait`; true when it has ended.
  bool look(std::chrono::milliseconds wait);

  pid_t pid_ = -1;
  int pid_descriptor_ = -1;
  int output_ = -1;  // a file without a name, or the terminal
  int errors_ = -1;
  bool terminal_ = false;
  std::optional<int> exit_code_;
  std::thread reader_;  // of the terminal
  mutable std::mutex mutex_;
  std::string shown_;  // on the terminal
};

}  // namespace freshet::test
