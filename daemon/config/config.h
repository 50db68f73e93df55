// Config: everything a user can set, as plain structs. The defaults stand here; names, bounds and help texts of the
// same options stand in option_table.cc, and a test holds the two together.
//
// In a number marked "0: none" zero means that the option is off and is written `none` in the file.
//
// Threads: values.  Failure: `load_config` (config_loader.h) reports every error at once.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/feature_spec.h"
#include "core/log.h"
#include "core/predictor.h"
#include "daemon/config/strategy_config.h"

namespace freshet {

// The choices of options. Each room has its own types; daemon/ maps one to the other, by name where the room can parse
// one (option_text in option_table.h gives it). The order here is the order of the choices in option_table.cc.
namespace setting {
enum class Architecture : std::uint8_t { kLinear, kMlp, kWideDeep, kDcn, kConvnet, kTorchscript };
enum class Cross : std::uint8_t { kStacked, kParallel };
enum class Initial : std::uint8_t { kFanIn, kGlorot };
enum class Recompute : std::uint8_t { kNone, kLayers };
enum class Format : std::uint8_t { kJson };
enum class Start : std::uint8_t { kEarliest, kLatest };
enum class LostOffsets : std::uint8_t { kFail, kEarliest, kLatest };
enum class Tombstones : std::uint8_t { kAuto, kErase, kSkip };
enum class KeepEvents : std::uint8_t { kNeeded, kAll };
enum class Policy : std::uint8_t {
  kReservoir,
  kSlidingWindow,
  kClassBalanced,
  kLossPrioritised,
  kTimeStratified,
  kUnbounded,
};
enum class Sampling : std::uint8_t { kUniform, kClassBalanced, kPriority, kRecency };
enum class Strategy : std::uint8_t {
  kEr,
  kFinetune,
  kDer,
  kDerPp,
  kErAce,
  kPodEr,
  kLwf,
  kEwc,
  kClsEr,
  kMir,
  kSuperEr,
  kGdumb,
  kJoint,
  kOfflineEr,
  kRepeatedDistillation,
};
enum class Optimizer : std::uint8_t { kSgd, kAdam, kAdamw, kAdagrad };
enum class Schedule : std::uint8_t { kConstant, kNoam, kInverseSqrt, kCosineRestarts, kExponential };
enum class Autocast : std::uint8_t { kAuto, kOff, kBf16 };
enum class Loss : std::uint8_t { kAuto, kCrossEntropy, kMse, kMae, kHuber, kQuantile, kPoisson };
enum class Sifting : std::uint8_t { kNone, kRelativeProbabilistic, kRho };
enum class GoLive : std::uint8_t { kNextCut, kWhenReady };
enum class SliceBy : std::uint8_t { kNone, kClass, kMonth, kField, kTime };
enum class Weights : std::uint8_t { kRaw, kEma, kAverage };
enum class Searcher : std::uint8_t { kRandom, kSobol, kGrid, kGp, kKde };
enum class Scheduler : std::uint8_t { kAsha, kPasha, kSuccessiveHalving, kHyperband, kMedian, kPlain };
enum class LogFormat : std::uint8_t { kText, kJson };
}  // namespace setting

// Written as a count (`classes: 10`) or as names (`classes: [no, yes]`), in the order of the class numbers.
struct ClassList {
  std::uint32_t count = 0;  // 0: not given
  std::vector<std::string> names;
  friend bool operator==(const ClassList&, const ClassList&) = default;
};

// `stream.features`: `auto`, or the features by name in the order of the file.
struct FeatureList {
  bool infer = true;
  std::vector<FeatureSpec> specs;
};

// Of `architecture: convnet`.
struct ImageConfig {
  std::uint32_t channels = 1;
  std::uint32_t height = 0;  // 0: not given
  std::uint32_t width = 0;
  std::string field;  // empty: all numbers
};

struct ModelConfig {
  std::string name = "freshet";
  setting::Architecture architecture = setting::Architecture::kWideDeep;
  Task task = Task::kBinary;
  ClassList classes;
  std::vector<std::int64_t> hidden = {64, 32};
  std::uint32_t embedding_dim = 8;
  std::uint32_t embedding_rows = 65536;
  std::string path;  // of `architecture: torchscript`
  ImageConfig image;
  std::vector<std::int64_t> filters = {16, 32};
  std::uint32_t kernel = 3;
  std::uint32_t cross_layers = 2;
  std::uint32_t cross_rank = 0;  // 0: full
  setting::Cross cross = setting::Cross::kStacked;
  setting::Initial initial = setting::Initial::kFanIn;
  setting::Recompute recompute = setting::Recompute::kNone;
  std::uint64_t seed = 1;
};

struct StreamConfig {
  std::vector<std::string> brokers = {"localhost:9092"};  // host:port each, or the one word "embedded"
  std::string topic;
  std::string group = "freshet";
  setting::Format format = setting::Format::kJson;
  std::string label = "label";
  std::string time;  // empty: the record's Kafka timestamp
  std::string key;   // empty: the record's Kafka key
  setting::Start start = setting::Start::kEarliest;
  setting::LostOffsets on_lost_offsets = setting::LostOffsets::kFail;
  setting::Tombstones tombstones = setting::Tombstones::kAuto;
  FeatureList features;
  std::string dead_letter_topic;  // empty: bad records are counted and skipped, not kept
  std::int64_t record_bytes_max = std::int64_t{1} << 20;
  std::uint32_t queue_batches = 16;
  std::map<std::string, std::string> properties;        // for librdkafka, as they are; may hold secrets
  std::map<std::string, std::string> properties_files;  // property to the file that holds its value
  bool embedded() const { return brokers.size() == 1 && brokers.front() == "embedded"; }
};

struct MemoryConfig {
  std::string path = "/var/lib/freshet";
  setting::Policy policy = setting::Policy::kReservoir;
  std::uint64_t capacity_events = 1'000'000;
  std::int64_t capacity_bytes = 0;  // 0: none; of event records
  std::int64_t ttl_ms = 0;          // 0: none; event time
  setting::Sampling sampling = setting::Sampling::kUniform;
  double priority_alpha = 0.6;
  std::uint64_t recency_half_life_events = 100'000;
  setting::KeepEvents keep_events = setting::KeepEvents::kNeeded;
  std::int64_t block_cache_bytes = std::int64_t{128} << 20;
  std::int64_t write_buffer_bytes = std::int64_t{32} << 20;  // up to three of them are in memory
};

struct RoundConfig {
  std::uint64_t every_events = 1024;
  std::int64_t every_ms = 5000;  // 0: none, events alone decide
  setting::GoLive go_live = setting::GoLive::kWhenReady;
};

struct ScheduleConfig {
  setting::Schedule kind = setting::Schedule::kConstant;
  double scale = 2;
  std::uint32_t dim = 0;  // 0: none, the first hidden layer's width
  std::uint64_t warmup_steps = 8000;
  std::uint64_t first_period = 10'000;
  std::uint32_t t_mult = 1;
  double decay_rate = 0.9;
  std::uint64_t decay_steps = 1000;
  bool staircase = false;
  std::uint64_t start_step = 0;
  std::uint64_t step_duration = 1;
  double minimum_rate = 0;
};

struct SiftingConfig {
  setting::Sifting kind = setting::Sifting::kNone;
  double beta = 0.5;
  double replay_beta = 0;  // 0: none, as beta
  std::uint32_t loss_history = 500;
  std::uint64_t delay_steps = 10;
  std::uint64_t loss_age_rounds_max = 0;  // 0: none
  bool reweigh = false;
  bool only_where_it_pays = true;
};

struct GuardConfig {
  std::uint32_t restore_after = 10;
};

struct LearningConfig {
  setting::Strategy strategy = setting::Strategy::kEr;
  double replay_ratio = 0.5;  // share of a batch that is replayed
  DerConfig der;
  DerPpConfig der_pp;
  PodErConfig pod_er;
  LwfConfig lwf;
  EwcConfig ewc;
  ClsErConfig cls_er;
  MirConfig mir;
  SuperErConfig super_er;
  RetrainConfig gdumb = {30, 1};
  RetrainConfig joint;
  OfflineErConfig offline_er;
  RepeatedDistillationConfig repeated_distillation;
  setting::Optimizer optimizer = setting::Optimizer::kAdagrad;
  double learning_rate = 0.02;
  double momentum = 0;
  bool nesterov = false;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 0;  // 0: none, the optimizer's own
  double initial_accumulator = 0;
  double weight_decay = 0;
  ScheduleConfig schedule;
  std::uint32_t batch_size = 64;  // fresh and replayed rows together
  double clip_norm = 0;           // 0: none
  double label_smoothing = 0;
  std::vector<double> class_weights;  // empty: all 1
  setting::Loss loss = setting::Loss::kAuto;
  double huber_delta = 1;
  double quantile = 0.5;
  RoundConfig round;
  SiftingConfig sifting;
  GuardConfig guard;
  double ema_decay = 0.9999;
  std::uint32_t average_last = 8;
  std::string device = "auto";  // auto, cpu, cuda or cuda:N
  std::uint32_t threads = 1;
  setting::Autocast autocast = setting::Autocast::kOff;
};

struct EvaluationConfig {
  std::uint64_t window_events = 10'000;
  std::uint64_t baseline_after_events = 0;  // 0: none
  double held_out_share = 0;
  std::uint32_t held_out_per_slice = 256;
  double gating_share = 0;
  double tuning_share = 0;
  std::uint32_t held_out_per_set = 2048;
  setting::SliceBy slices_by = setting::SliceBy::kNone;
  std::string slices_field;
  std::int64_t slices_window_ms = 0;  // 0: none given
  std::vector<std::string> slices_values;
  std::uint32_t forgetting_every_rounds = 10;
};

// One of `drift.detectors`.
struct DetectorConfig {
  std::string kind = "adwin";
  std::string on = "loss";
  std::vector<std::pair<std::string, std::string>> settings;  // the detector's own options, as they are written
  friend bool operator==(const DetectorConfig&, const DetectorConfig&) = default;
};
using DetectorList = std::vector<DetectorConfig>;

struct DriftConfig {
  DetectorList detectors = {{"adwin", "loss", {}}, {"adwin", "reference", {}}};
  std::uint64_t cooldown_events = 5000;
  std::uint64_t reference_events = 10'000;  // the model after so many is the first reference
  bool cut_round = false;
  double rate_factor = 1;             // 1: the learning rate stays
  std::uint64_t window_events = 0;    // 0: none, all of the memory is replayed
  std::uint64_t act_events = 20'000;  // how long the two above hold
  std::string topic;                  // empty: alarms are not posted
};

struct TuningConfig {
  setting::Searcher searcher = setting::Searcher::kGp;
  setting::Scheduler scheduler = setting::Scheduler::kAsha;
  std::vector<std::string> search = {"optimizer", "strategy"};
  std::map<std::string, std::string> space;
  std::string metric = "auto";
  double forgetting_penalty = 1;
  std::uint64_t max_trials = 32;
  std::uint32_t workers = 1;
  std::uint64_t max_resource = 27;
  std::uint64_t grace = 1;
  std::uint32_t eta = 3;
  std::uint32_t brackets = 1;
  double max_compute_ratio = 2;  // 0: none
  std::uint64_t events_max = 200'000;
  std::uint64_t seed = 1;
  bool on_drift = false;
  std::uint64_t wait_events = 2000;
  std::uint64_t cooldown_events = 20'000;
  double pace = 20;
  double cpu_share = 1;
  double challenger_alpha = 0.05;
  std::uint64_t challenger_events = 50'000;
};

struct CheckpointConfig {
  std::int64_t every_ms = 5000;
  std::uint64_t every_events = 100'000;  // in a backtest, where seconds must not matter
  std::uint32_t keep = 2;
};

// Which candidates are served: `serving.gate`.
struct GateConfig {
  bool enabled = true;
  double alpha = 0.05;
  double slice_margin = 0.02;
  std::uint32_t rows = 128;
  std::int64_t wait_ms = 1000;
  std::uint64_t watch_rows = 4096;
  std::uint64_t proof_rows = 256;
  std::uint64_t hold_events = 50'000;
  std::uint32_t slices_every_rounds = 10;
};

struct AdminConfig {
  std::string listen;  // empty: on serving.listen
};

// Files of tokens, one a line; empty: none.
struct TokensConfig {
  std::string inference_file;
  std::string feedback_file;
  std::string admin_file;
};

struct TlsConfig {
  std::string certificate_file;  // empty: plain HTTP
  std::string key_file;
  std::string client_ca_file;  // empty: clients need no certificate
  std::int64_t handshake_timeout_ms = 10'000;
};

struct ServingConfig {
  std::string listen = "0.0.0.0:8080";
  AdminConfig admin;
  TokensConfig tokens;
  TlsConfig tls;
  setting::Weights weights = setting::Weights::kRaw;
  GateConfig gate;
  std::uint32_t threads = 1;
  std::int64_t header_bytes_max = 8192;
  std::int64_t body_bytes_max = std::int64_t{16} << 20;
  std::int64_t large_bodies_bytes_max = std::int64_t{256} << 20;
  std::uint32_t connections_max = 1024;
  std::uint32_t connections_per_peer_max = 0;  // 0: none
  std::int64_t idle_timeout_ms = 75'000;
  std::int64_t header_timeout_ms = 10'000;
  std::int64_t request_timeout_ms = 30'000;
  std::uint32_t batch_rows_max = 4096;
  std::int64_t drain_timeout_ms = 20'000;
};

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
  setting::LogFormat format = setting::LogFormat::kText;
};

struct Config {
  ModelConfig model;
  StreamConfig stream;
  MemoryConfig memory;
  LearningConfig learning;
  EvaluationConfig evaluation;
  DriftConfig drift;
  TuningConfig tuning;
  CheckpointConfig checkpoint;
  ServingConfig serving;
  LogConfig log;
};

// How events are to be read; `features` is empty where they are to be inferred.
EventSpec to_event_spec(const Config& config);

// The number of classes: 2 for binary, 0 for regression.
std::uint32_t class_count(const Config& config);

struct HostPort {
  std::string host;  // without the brackets of an IPv6 address
  std::uint16_t port = 0;
};
// "host:port", "1.2.3.4:80" or "[::1]:80".
Result<HostPort> parse_host_port(const std::string& text);

// One thing wrong with an option, found after all values were read alone.
struct ConfigFault {
  std::string option;  // dotted name; "stream.features.NAME" for one feature
  std::string what;
};
// What options must say together: label and features, task and classes, batch and replay, slices and their field.
std::vector<ConfigFault> check_together(const Config& config);

// What `freshet run` needs beyond a valid configuration: a topic, and files that can be read.
Status check_runnable(const Config& config);

}  // namespace freshet
