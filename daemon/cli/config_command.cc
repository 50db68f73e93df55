#include "daemon/cli/config_command.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <ostream>

#include "daemon/config/config_text.h"

namespace freshet {

void ConfigFlags::add_to(CLI::App& app, bool file_required) {
  app.add_option("-c,--config", file, "The YAML file; docs/configuration.md lists its options")
      ->required(file_required)
      ->type_name("FILE");
  // One NAME=VALUE a flag, so that what follows it is never swallowed.
  app.add_option("--set", sets, "Set an option over the file and the environment, such as learning.batch_size=32")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
}

LoadOptions ConfigFlags::load_options() const {
  LoadOptions options;
  options.file = file;
  options.sets = sets;
  options.environment = process_environment();
  return options;
}

void ConfigCommand::add_to(CLI::App& app) {
  CLI::App* config = app.add_subcommand("config", "Check and explain the configuration");
  config->require_subcommand(1);
  check_ = config->add_subcommand("check", "Report every error at once, with line and hint");
  flags_.add_to(*check_, true);
  show_ = config->add_subcommand("show", "Print the effective values and where each was set");
  flags_.add_to(*show_, false);
  reference_ = config->add_subcommand("reference", "Print the page of all options, in Markdown");
}

bool ConfigCommand::chosen() const {
  return (check_ != nullptr && check_->parsed()) || (show_ != nullptr && show_->parsed()) ||
         (reference_ != nullptr && reference_->parsed());
}

int ConfigCommand::run(std::ostream& out, std::ostream& err) const {
  if (check_->parsed()) return check(out, err);
  if (show_->parsed()) return show(out, err);
  out << configuration_reference();
  return 0;
}

int ConfigCommand::check(std::ostream& out, std::ostream& err) const {
  const auto config = load_config(flags_.load_options());
  if (!config) {
    err << config.status().message() << "\n";
    return kExitUsage;
  }
  out << flags_.file << " is valid: " << summarize_config(*config) << "\n";
  if (const Status runnable = check_runnable(*config); !runnable) {
    out << "note: `freshet run` needs more: " << runnable.message() << "\n";
  }
  return 0;
}

int ConfigCommand::show(std::ostream& out, std::ostream& err) const {
  const auto loaded = load_config_with_origins(flags_.load_options());
  if (!loaded) {
    err << loaded.status().message() << "\n";
    return kExitUsage;
  }
  out << show_config(*loaded);
  return 0;
}

}  // namespace freshet
