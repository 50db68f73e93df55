// `freshet config check|show|reference`, and the flags --config and --set that other commands share.
//
// Threads: main.  Owns: its flags, which CLI11 fills in: they must outlive the parse.
// Failure: `run` returns the process's exit code: 0, or 2 for a wrong configuration, whose errors go to `err`.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "daemon/config/config_loader.h"

namespace CLI {  // NOLINT(readability-identifier-naming): its own name
class App;
}

namespace freshet {

struct ConfigFlags {
  std::string file;
  std::vector<std::string> sets;

  // Adds -c/--config and --set. Without `file_required` the defaults will do.
  void add_to(CLI::App& app, bool file_required);
  // With this process's environment.
  LoadOptions load_options() const;
};

class ConfigCommand {
 public:
  void add_to(CLI::App& app);  // the subcommand `config` with its own subcommands

  // One of check, show and reference was given.
  bool chosen() const;
  int run(std::ostream& out, std::ostream& err) const;

 private:
  int check(std::ostream& out, std::ostream& err) const;
  int show(std::ostream& out, std::ostream& err) const;

  ConfigFlags flags_;
  CLI::App* check_ = nullptr;
  CLI::App* show_ = nullptr;
  CLI::App* reference_ = nullptr;
};

// Exit code of a command whose input was wrong.
inline constexpr int kExitUsage = 2;

}  // namespace freshet
