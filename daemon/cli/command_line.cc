#include "daemon/cli/command_line.h"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>

#include "daemon/cli/config_command.h"
#include "daemon/commands/commands.h"

namespace freshet {
namespace {

constexpr const char* kAbout =
    "Freshet learns from labelled Kafka events while it serves predictions from the newest good model.";

void add_config(CLI::App& command, ConfigArguments& arguments, bool required = true) {
  auto* file = command.add_option("--config", arguments.file, "configuration file (YAML)");
  if (required) file->required();
  command.add_option("--set", arguments.sets, "override one option: a.b=c (repeatable)");
}

void add_run(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("run", "the daemon: learn from the stream, serve over HTTP");
  auto arguments = std::make_shared<ConfigArguments>();
  add_config(*command, *arguments);
  command->callback([&chosen, arguments] { chosen = [arguments] { return run_daemon(*arguments); }; });
}

void add_backtest(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("backtest", "the same pipeline over a file of events, as fast as it goes");
  auto arguments = std::make_shared<BacktestArguments>();
  add_config(*command, arguments->config);
  command->add_option("--input", arguments->input, "JSON lines, plain, .gz or .zst; - for standard input")->required();
  command->add_option("--state", arguments->state, "keep the state in this folder (default: a temporary one)");
  command->add_option("--json", arguments->json, "also write the result here");
  command->add_option("--report", arguments->report, "write a self-contained HTML report here");
  command->add_option("--predictions", arguments->predictions,
                      "write what the served model predicted of each event here, as CSV");
  command->add_option("--dead-letters", arguments->dead_letters, "append records that cannot become events here");
  command->add_option("--baseline-after", arguments->baseline_after_events,
                      "also score the model as it was after this many events");
  command->add_flag("--quiet", arguments->quiet, "no progress bar");
  command->callback([&chosen, arguments] { chosen = [arguments] { return run_backtest(*arguments); }; });
}

void add_demo(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("demo", "watch it learn: flights of 2013 through an embedded broker");
  auto arguments = std::make_shared<DemoArguments>();
  command->add_option("--config", arguments->config, "configuration file")->capture_default_str();
  command->add_option("--data", arguments->data, "events, JSON lines")->capture_default_str();
  command->add_option("--set", arguments->sets, "override one option: a.b=c (repeatable)");
  command->add_option("--rate", arguments->rate, "events a second; 0: as fast as it learns")->capture_default_str();
  command->add_option("--freeze-after", arguments->freeze_share, "share of the stream after which a copy is frozen")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 0.99));
  command->add_option("--port", arguments->port, "HTTP port; 0: any free one")->capture_default_str();
  command->add_flag("--once", arguments->once, "end after the summary, also on a terminal");
  command->callback([&chosen, arguments] { chosen = [arguments] { return run_demo(*arguments); }; });
}

void add_produce(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("produce", "push a file of JSON lines to a topic");
  auto arguments = std::make_shared<ProduceArguments>();
  command->add_option("--input", arguments->input, "JSON lines, plain, .gz or .zst; - for standard input")->required();
  command->add_option("--brokers", arguments->brokers, "host:port[,host:port…]")->required();
  command->add_option("--topic", arguments->topic, "topic")->required();
  command->add_option("--key", arguments->key, "field whose value becomes the record's key (default: no key)");
  command->add_option("--time", arguments->time, "field whose value becomes the record's timestamp (default: now)");
  command->add_option("--create", arguments->create_partitions, "create the topic with so many partitions if need be");
  command->add_option("--rate", arguments->rate, "records a second (default: as fast as the broker takes them)");
  command->add_option("--count", arguments->count, "stop after this many records");
  command->add_option("--property", arguments->properties, "librdkafka property name=value (repeatable)");
  command->callback([&chosen, arguments] { chosen = [arguments] { return run_produce(*arguments); }; });
}

void add_consume(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("consume", "print the records of a topic, such as predictions or dead letters");
  auto arguments = std::make_shared<ConsumeArguments>();
  command->add_option("--brokers", arguments->brokers, "host:port[,host:port…]")->required();
  command->add_option("--topic", arguments->topic, "topic")->required();
  command->add_option("--count", arguments->count, "stop after this many records");
  command->add_flag("--follow", arguments->follow, "wait for more at the end (default: stop there)");
  command->add_flag("--headers", arguments->headers, "print position, key and headers as well, as JSON");
  command->add_option("--property", arguments->properties, "librdkafka property name=value (repeatable)");
  command->callback([&chosen, arguments] { chosen = [arguments] { return run_consume(*arguments); }; });
}

void add_store(CLI::App& command, StateArguments& arguments, bool progress = true) {
  add_config(command, arguments.config, false);
  command.add_option("--path", arguments.path, "folder of the store (default: memory.path of --config)");
  command.add_flag("--json", arguments.json, "as JSON");
  if (progress) command.add_flag("--quiet", arguments.quiet, "no progress bar");
}

void add_control(CLI::App& command, ControlArguments& arguments) {
  command.add_option("--token-file", arguments.token_file,
                     "file with an admin token, sent instead of the one in control.json");
  command.add_option("--ca-file", arguments.ca_file,
                     "certificates, one of which vouches for the daemon's (default: the very certificate that "
                     "control.json names; with --url the system's authorities)");
  command.add_option("--certificate-file", arguments.certificate_file,
                     "certificate of this client, for a daemon with serving.tls.client_ca_file");
  command.add_option("--key-file", arguments.key_file, "its private key");
}

void add_looking(CLI::App& state, std::function<int()>& chosen) {
  auto* inspect = state.add_subcommand("inspect", "partitions, offsets, counts, checkpoints, sizes");
  auto inspected = std::make_shared<StateArguments>();
  add_store(*inspect, *inspected, false);
  inspect->callback([&chosen, inspected] { chosen = [inspected] { return run_inspect(*inspected); }; });

  auto* verify = state.add_subcommand(
      "verify",
      "check that all is whole: checksums, checkpoints, event log, order, ledger, replay memory; beside a running "
      "daemon too. Exit code 0: sound, 1: not");
  auto verified = std::make_shared<StateArguments>();
  add_store(*verify, *verified);
  verify->callback([&chosen, verified] { chosen = [verified] { return run_verify(*verified); }; });

  auto* replay = state.add_subcommand(
      "replay",
      "redo the recorded order in memory, write nothing, and compare the state at every kept checkpoint; beside a "
      "running daemon too. Exit code 0: the same, 1: not, with the parts that differ");
  auto replayed = std::make_shared<ReplayArguments>();
  add_store(*replay, replayed->state);
  replay
      ->add_option("--from", replayed->from,
                   "oldest: the oldest kept checkpoint; start: event 1, which needs memory.keep_events: all; or the id "
                   "of a checkpoint")
      ->capture_default_str();
  replay->callback([&chosen, replayed] { chosen = [replayed] { return run_replay(*replayed); }; });
}

void add_copying(CLI::App& state, std::function<int()>& chosen) {
  auto* backup = state.add_subcommand(
      "backup", "add a backup to a folder of backups, copying only what is new; a running daemon goes on meanwhile");
  auto backed_up = std::make_shared<BackupArguments>();
  add_store(*backup, backed_up->state);
  backup->add_option("--to", backed_up->to, "folder of the backups; made if need be")->required();
  add_control(*backup, backed_up->state.control);
  backup->add_option("--keep", backed_up->keep, "then delete all but the newest so many (default: delete none)");
  backup->callback([&chosen, backed_up] { chosen = [backed_up] { return run_backup(*backed_up); }; });

  auto* restore = state.add_subcommand(
      "restore", "put a backup into an empty folder; a daemon started there goes on exactly where the backup was made");
  auto restored = std::make_shared<RestoreArguments>();
  add_store(*restore, restored->state);
  restore->add_option("--from", restored->from, "folder of the backups")->required();
  restore->add_option("--backup", restored->backup, "which one, by id (default: the newest)");
  restore->add_flag("--list", restored->list, "list the backups, restore nothing");
  restore->callback([&chosen, restored] { chosen = [restored] { return run_restore(*restored); }; });

  auto* compact = state.add_subcommand(
      "compact", "rewrite the files so that what was deleted takes no room; a running daemon goes on meanwhile");
  auto compacted = std::make_shared<StateArguments>();
  add_store(*compact, *compacted);
  add_control(*compact, compacted->control);
  compact->callback([&chosen, compacted] { chosen = [compacted] { return run_compact(*compacted); }; });
}

void add_erase(CLI::App& state, std::function<int()>& chosen) {
  auto* command = state.add_subcommand("erase", "forget every stored event of a key");
  auto arguments = std::make_shared<EraseArguments>();
  add_config(*command, arguments->config, false);
  command->add_option("--path", arguments->path, "folder of the store (default: memory.path of --config)");
  command->add_option("--key", arguments->keys, "the key, as the record's Kafka key or stream.key has it (repeatable)");
  command->add_option("--keys-file", arguments->keys_file, "file with a key a line");
  command->add_flag("--retrain", arguments->retrain, "make the model anew from the events that are left");
  add_control(*command, arguments->control);
  command->add_flag("--json", arguments->json, "as JSON");
  command->callback([&chosen, arguments] { chosen = [arguments] { return run_erase(*arguments); }; });
}

void add_rollback(CLI::App& state, std::function<int()>& chosen) {
  auto* command = state.add_subcommand("rollback", "go back to an older checkpoint (of a stopped daemon)");
  auto arguments = std::make_shared<RollbackArguments>();
  add_config(*command, arguments->config, false);
  command->add_option("--path", arguments->path, "folder of the store (default: memory.path of --config)");
  command->add_option("--to", arguments->to, "a checkpoint's number, or `previous`")->required();
  command->add_flag("--json", arguments->json, "as JSON");
  command->callback([&chosen, arguments] { chosen = [arguments] { return run_rollback(*arguments); }; });
}

void add_average(CLI::App& state, std::function<int()>& chosen) {
  auto* command = state.add_subcommand(
      "average",
      "serve the average of the weights of kept checkpoints, until the next round's model goes live (of a stopped "
      "daemon). Exit code 1 where it is worse on held-out events: then nothing is changed");
  auto arguments = std::make_shared<AverageArguments>();
  add_config(*command, arguments->config, false);
  command->add_option("--path", arguments->path, "folder of the store (default: memory.path of --config)");
  auto* last =
      command
          ->add_option("--last", arguments->last, "how many states: the end of the log and the checkpoints before it")
          ->check(CLI::Range(2, 64))
          ->capture_default_str();
  command->add_option("--checkpoints", arguments->checkpoints, "these, by number, instead of the last ones")
      ->delimiter(',')
      ->excludes(last);
  command->add_flag("--force", arguments->force, "serve it also where it is worse on held-out events");
  command->add_flag("--json", arguments->json, "as JSON");
  command->callback([&chosen, arguments] { chosen = [arguments] { return run_average(*arguments); }; });
}

void add_export(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("export", "write the model of the newest checkpoint as TorchScript");
  auto arguments = std::make_shared<ExportArguments>();
  add_config(*command, arguments->config, true);
  command->add_option("--path", arguments->path, "folder of the store (default: memory.path of --config)");
  command->add_option("--out", arguments->out, "the file to write")->required();
  command->add_flag("--json", arguments->json, "say what was written as JSON");
  command->callback([&chosen, arguments] { chosen = [arguments] { return run_export(*arguments); }; });
}

void add_tune(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("tune", "search for better hyperparameters on the stored replay memory");
  auto arguments = std::make_shared<TuneArguments>();
  add_config(*command, arguments->config, false);
  command->add_option("--path", arguments->path, "folder of the store (default: memory.path of --config)");
  command->add_option("--study", arguments->studies,
                      "file that keeps the study; the same command goes on with it. Repeated: studies that the report "
                      "shows beside it");
  command->add_option("--report", arguments->report,
                      "write a self-contained HTML report here; without --config of the studies alone, and nothing is "
                      "trained");
  command->add_flag("--json", arguments->json, "all trials and the best one as JSON");
  command->add_flag("--quiet", arguments->quiet, "no progress bar");
  command->callback([&chosen, arguments] { chosen = [arguments] { return run_tune(*arguments); }; });
}

void add_state(CLI::App& app, std::function<int()>& chosen) {
  auto* state = app.add_subcommand("state", "look at what is stored, prove it, copy it, change it");
  state->require_subcommand(1);
  add_looking(*state, chosen);
  add_copying(*state, chosen);
  add_erase(*state, chosen);
  add_rollback(*state, chosen);
  add_average(*state, chosen);
}

void add_model(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("model", "what a running daemon serves, and shall serve");
  auto arguments = std::make_shared<ModelArguments>();
  command
      ->add_option("action", arguments->action,
                   "versions: the newest ones, and what the gate said; pause, resume: whether new ones are served; "
                   "promote: serve the newest one, whatever the gate said; pin: serve this one, until resume; "
                   "roll_back: serve this one, or the one before, until a better one comes")
      ->check(CLI::IsMember({"versions", "pause", "resume", "promote", "pin", "roll_back"}))
      ->required();
  command->add_option("version", arguments->version, "for pin and roll_back");
  add_config(*command, arguments->config, false);
  command->add_option("--path", arguments->path, "folder of the store (default: memory.path of --config)");
  command->add_option("--url", arguments->control.url,
                      "ask the daemon at this address, such as https://host:8081, instead of the one on a store; takes "
                      "--token-file");
  add_control(*command, arguments->control);
  command->add_flag("--json", arguments->json, "the answer as JSON");
  command->callback([&chosen, arguments] { chosen = [arguments] { return run_model(*arguments); }; });
}

void add_log_level(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("log-level", "how much a running daemon logs, until it is told otherwise");
  auto arguments = std::make_shared<LogLevelArguments>();
  command->add_option("level", arguments->level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->required();
  add_config(*command, arguments->config, false);
  command->add_option("--path", arguments->path, "folder of the store (default: memory.path of --config)");
  command->add_option("--url", arguments->control.url,
                      "ask the daemon at this address, such as https://host:8081, instead of the one on a store; takes "
                      "--token-file");
  add_control(*command, arguments->control);
  command->callback([&chosen, arguments] { chosen = [arguments] { return run_log_level(*arguments); }; });
}

void add_drift(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand(
      "drift", "watch numbers on standard input, one a line; print the position of each alarm, counted from 0");
  auto arguments = std::make_shared<DriftArguments>();
  command->add_option("--detector", arguments->detector, "which one, see below")->required();
  command->add_option("--set", arguments->sets, "set one of its options: name=value (repeatable)");
  command->add_flag("--warnings", arguments->warnings, "also print the positions at which it warns, as `N warning`");
  command->footer(describe_detectors);
  command->callback([&chosen, arguments] { chosen = [arguments] { return run_drift(*arguments); }; });
}

}  // namespace

int run_command_line(int argc, char** argv) {
  CLI::App app(kAbout, "freshet");
  app.set_version_flag("--version", "freshet " FRESHET_VERSION);
  app.require_subcommand(1);
  std::function<int()> chosen;
  add_run(app, chosen);
  add_backtest(app, chosen);
  add_demo(app, chosen);
  add_produce(app, chosen);
  add_consume(app, chosen);
  add_state(app, chosen);
  add_tune(app, chosen);
  add_export(app, chosen);
  add_model(app, chosen);
  add_log_level(app, chosen);
  add_drift(app, chosen);
  ConfigCommand config;
  config.add_to(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  try {
    if (config.chosen()) return config.run(std::cout, std::cerr);
    return chosen();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "freshet: unexpected error: %s\n", error.what());
    return kExitFailed;
  }
}

}  // namespace freshet
