// The commands of the `freshet` binary, one function each. They print to standard output what a person or a script
// asked for, and everything else to standard error.
//
// Threads: called once, from main.  Failure: the exit code: 0 done, 1 failed (the reason was printed), 2 wrong usage.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/cli/config_command.h"  // kExitUsage

namespace freshet {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;

struct ConfigArguments {
  std::string file;
  std::vector<std::string> sets;  // "a.b=c"
};

struct BacktestArguments {
  ConfigArguments config;
  std::string input;
  std::string state;         // folder of the store; empty: a temporary one
  std::string json;          // write the JSON here as well as to standard output
  std::string report;        // write an HTML report here
  std::string dead_letters;  // append bad records here
  std::string predictions;   // write what was predicted of each event here
  std::uint64_t baseline_after_events = 0;
  bool quiet = false;
};

struct DemoArguments {
  std::string config = "examples/flights.yaml";
  std::string data = "examples/flights/flights-slice.jsonl.gz";
  std::vector<std::string> sets;
  double rate = 12'000;        // events a second; 0: as fast as the daemon learns
  double freeze_share = 0.25;  // of the stream, after which the compared model is frozen
  std::uint16_t port = 8080;
  bool once = false;  // end after the summary even on a terminal
};

struct ProduceArguments {
  std::string input;
  std::string brokers;
  std::string topic;
  std::string key;
  std::string time;
  std::int32_t create_partitions = 0;
  std::vector<std::string> properties;
  double rate = 0;
  std::uint64_t count = 0;  // 0: all
};

struct ConsumeArguments {
  std::string brokers;
  std::string topic;
  std::vector<std::string> properties;
  std::uint64_t count = 0;
  bool follow = false;
  bool headers = false;
};

// How a running daemon is reached, where its control.json does not say enough.
struct ControlArguments {
  std::string url;
  std::string token_file;
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
};

// Of the commands on a store.
struct StateArguments {
  ConfigArguments config;
  std::string path;  // instead of the configuration's memory.path
  bool json = false;
  bool quiet = false;  // no progress bar
  ControlArguments control;
};

struct ReplayArguments {
  StateArguments state;
  std::string from = "oldest";  // or "start", or a checkpoint's id
};

struct BackupArguments {
  StateArguments state;
  std::string to;
  std::uint32_t keep = 0;  // 0: all
};

struct RestoreArguments {
  StateArguments state;
  std::string from;
  std::uint64_t backup = 0;  // 0: the newest
  bool list = false;
};

struct EraseArguments {
  ConfigArguments config;
  std::string path;  // instead of the configuration's memory.path
  std::vector<std::string> keys;
  std::string keys_file;  // a key a line
  bool retrain = false;
  bool json = false;
  ControlArguments control;
};

struct AverageArguments {
  ConfigArguments config;
  std::string path;                        // instead of the configuration's memory.path
  std::vector<std::uint64_t> checkpoints;  // empty: the last ones
  std::uint32_t last = 8;                  // how many, the end of the log included
  bool force = false;                      // also where it is worse on held-out events
  bool json = false;
};

struct RollbackArguments {
  ConfigArguments config;
  std::string path;
  std::string to;  // a checkpoint's number, or "previous"
  bool json = false;
};

struct TuneArguments {
  ConfigArguments config;
  std::string path;                  // instead of the configuration's memory.path
  std::vector<std::string> studies;  // files; the first keeps the study, so that the same command goes on with it
  std::string report;                // write an HTML report of the study and the other files here
  bool json = false;
  bool quiet = false;  // no progress bar
};

struct ExportArguments {
  ConfigArguments config;
  std::string path;  // instead of the configuration's memory.path
  std::string out;
  bool json = false;
};

struct ModelArguments {
  ConfigArguments config;
  std::string path;  // instead of the configuration's memory.path
  std::string action = "versions";
  std::uint64_t version = 0;
  bool json = false;
  ControlArguments control;
};

struct LogLevelArguments {
  ConfigArguments config;
  std::string path;  // instead of the configuration's memory.path
  std::string level;
  ControlArguments control;
};

struct DriftArguments {
  std::string detector;
  std::vector<std::string> sets;  // "delta=0.01"
  bool warnings = false;          // print the zone of warning as well
};

int run_daemon(const ConfigArguments& arguments);
int run_backtest(const BacktestArguments& arguments);
int run_demo(const DemoArguments& arguments);
int run_produce(const ProduceArguments& arguments);
int run_consume(const ConsumeArguments& arguments);
int run_inspect(const StateArguments& arguments);
int run_replay(const ReplayArguments& arguments);
int run_verify(const StateArguments& arguments);
int run_backup(const BackupArguments& arguments);
int run_restore(const RestoreArguments& arguments);
int run_compact(const StateArguments& arguments);
int run_erase(const EraseArguments& arguments);
int run_rollback(const RollbackArguments& arguments);
int run_average(const AverageArguments& arguments);
int run_tune(const TuneArguments& arguments);
int run_export(const ExportArguments& arguments);
int run_model(const ModelArguments& arguments);
int run_log_level(const LogLevelArguments& arguments);
int run_drift(const DriftArguments& arguments);

// The detectors with their options, for --help.
std::string describe_detectors();

}  // namespace freshet
