#include "daemon/config/option_table.h"

#include <type_traits>

namespace freshet {
namespace {

// An accessor for one field, from which both directions of an option are made.
#define FIELD(path) [](auto& config) -> auto& { return config.path; }  // NOLINT(bugprone-macro-parentheses)

template <typename Field>
OptionValue to_value(const Field& field) {
  if constexpr (std::is_same_v<Field, bool>) {
    return field;
  } else if constexpr (std::is_enum_v<Field> || std::is_integral_v<Field>) {
    return static_cast<std::int64_t>(field);
  } else {
    return field;
  }
}

template <typename Field>
void assign(Field& field, const OptionValue& value) {
  if constexpr (std::is_same_v<Field, bool>) {
    field = std::get<bool>(value);
  } else if constexpr (std::is_enum_v<Field> || std::is_integral_v<Field>) {
    field = static_cast<Field>(std::get<std::int64_t>(value));  // within bounds: parse_option saw to it
  } else {
    field = std::get<Field>(value);
  }
}

// An Option under construction; each word says one property of it.
class Declare {
 public:
  template <typename Access>
  Declare(std::string name, OptionType type, Access access, std::string help) {
    option_.name = std::move(name);
    option_.type = type;
    option_.help = std::move(help);
    option_.set = [access](Config& config, const OptionValue& value) { assign(access(config), value); };
    option_.get = [access](const Config& config) { return to_value(access(config)); };
  }
  Declare&& between(double lowest, double highest) && {
    option_.lowest = lowest;
    option_.highest = highest;
    return std::move(*this);
  }
  Declare&& above(double lowest, double highest) && {  // the lowest itself is out
    option_.above_lowest = true;
    return std::move(*this).between(lowest, highest);
  }
  Declare&& below(double lowest, double highest) && {  // the highest itself is out
    option_.below_highest = true;
    return std::move(*this).between(lowest, highest);
  }
  Declare&& inside(double lowest, double highest) && {  // both are out
    option_.above_lowest = option_.below_highest = true;
    return std::move(*this).between(lowest, highest);
  }
  Declare&& choices(std::vector<std::string> names) && {
    option_.choices = std::move(names);
    return std::move(*this);
  }
  Declare&& example(std::string text) && {
    option_.example = std::move(text);
    return std::move(*this);
  }
  Declare&& or_none() && {
    option_.may_be_none = true;
    return std::move(*this);
  }
  Declare&& secret() && {
    option_.secret = true;
    return std::move(*this);
  }
  Declare&& live() && {
    option_.change = Change::kLive;
    return std::move(*this);
  }
  Declare&& new_state() && {
    option_.change = Change::kNewState;
    return std::move(*this);
  }
  Option take() && { return std::move(option_); }

 private:
  Option option_;
};

using Type = OptionType;
using List = std::vector<Option>;

constexpr double kSecond = 1000;
constexpr double kHour = 3600 * kSecond;
constexpr double kDay = 24 * kHour;
constexpr double kKiB = 1024;
constexpr double kMiB = 1024 * kKiB;
constexpr double kGiB = 1024 * kMiB;
constexpr double kThreadsMax = 256;
constexpr double kEventsMax = 1e12;

void add(List& list, Declare&& option) { list.push_back(std::move(option).take()); }

void add_model(List& list) {
  add(list, Declare("model.name", Type::kText, FIELD(model.name),
                    "Name of the model: in the URLs of predictions, in every metric's label, in the log.")
                .example("flights"));
  add(list, Declare("model.architecture", Type::kChoice, FIELD(model.architecture),
                    "`linear`: one weight for each feature. `mlp`: embeddings and hidden layers. `wide_deep`: both, "
                    "side by side.")
                .choices({"linear", "mlp", "wide_deep"})
                .new_state());
  add(list, Declare("model.task", Type::kChoice, FIELD(model.task),
                    "What the label is: one of two classes, one of many, or a number.")
                .choices({"binary", "multiclass", "regression"})
                .new_state());
  add(list, Declare("model.classes", Type::kClasses, FIELD(model.classes),
                    "Number of classes, when labels are 0, 1, …; or the labels' names, in the order of the classes. "
                    "A multiclass task needs it; for a binary task two names say which is the negative and which the "
                    "positive class.")
                .between(2, 100'000)
                .or_none()
                .example("[ok, fraud]")
                .new_state());
  add(list,
      Declare("model.hidden", Type::kWholeList, FIELD(model.hidden), "Units of each hidden layer; `linear` has none.")
          .between(1, 65536)
          .example("[64, 32]")
          .new_state());
  add(list,
      Declare("model.embedding_dim", Type::kWhole, FIELD(model.embedding_dim), "Floats in the embedding of a category.")
          .between(1, 1024)
          .new_state());
  add(list, Declare("model.embedding_rows", Type::kWhole, FIELD(model.embedding_rows),
                    "Rows that all categories share, a power of two; more rows, fewer categories that collide.")
                .between(1, 268'435'456)
                .new_state());
  add(list,
      Declare(
          "model.seed", Type::kWhole, FIELD(model.seed),
          "Seed of the weights, the replay memory and every other draw: the same seed and stream give the same model.")
          .between(0, 9e15)
          .new_state());
}

void add_stream(List& list) {
  add(list, Declare("stream.brokers", Type::kTextList, FIELD(stream.brokers),
                    "Kafka brokers to begin with, host:port each; or `embedded`, a broker inside the process for "
                    "trying things out.")
                .example("kafka-1:9092,kafka-2:9092"));
  add(list, Declare("stream.topic", Type::kText, FIELD(stream.topic),
                    "Topic of the labelled events. `freshet run` needs it; a backtest does not.")
                .or_none()
                .example("flights")
                .new_state());
  add(list, Declare("stream.group", Type::kText, FIELD(stream.group),
                    "Consumer group. Positions are kept in the memory; the group only shares out partitions and shows "
                    "lag to Kafka's tools."));
  add(list,
      Declare("stream.format", Type::kChoice, FIELD(stream.format), "Encoding of a record's value.").choices({"json"}));
  add(list, Declare("stream.label", Type::kText, FIELD(stream.label), "Field that holds the label.").new_state());
  add(list, Declare("stream.time", Type::kText, FIELD(stream.time),
                    "Field of the event time: milliseconds since 1970 or ISO 8601. None: the record's Kafka timestamp.")
                .or_none()
                .example("ts")
                .new_state());
  add(list, Declare("stream.key", Type::kText, FIELD(stream.key),
                    "Field that identifies an event. None: the record's Kafka key.")
                .or_none()
                .example("id")
                .new_state());
  add(list,
      Declare("stream.start", Type::kChoice, FIELD(stream.start), "Where to begin in a partition that was never read.")
          .choices({"earliest", "latest"}));
  add(list, Declare("stream.on_lost_offsets", Type::kChoice, FIELD(stream.on_lost_offsets),
                    "When Kafka has deleted records before they were read: stop with an error, or go on at the "
                    "earliest or latest record.")
                .choices({"fail", "earliest", "latest"}));
  add(list, Declare("stream.tombstones", Type::kChoice, FIELD(stream.tombstones),
                    "What a record with a key and no value does: erase the stored events of that key, or nothing. With "
                    "`erase` and a stream.key the record's key is taken for that field's value; `auto` erases where "
                    "stream.key is not set.")
                .choices({"auto", "erase", "skip"}));
  add(list,
      Declare("stream.features", Type::kFeatures, FIELD(stream.features), "What the model sees; see Features below.")
          .example("{distance: number, carrier: category}")
          .new_state());
  add(list, Declare("stream.dead_letter_topic", Type::kText, FIELD(stream.dead_letter_topic),
                    "Topic for records that cannot become events, with headers that say where and why. None: they are "
                    "counted and skipped.")
                .or_none()
                .example("flights-dead"));
  add(list, Declare("stream.record_bytes_max", Type::kBytes, FIELD(stream.record_bytes_max),
                    "A larger record is a dead letter.")
                .between(kKiB, kGiB));
  add(list, Declare("stream.queue_batches", Type::kWhole, FIELD(stream.queue_batches),
                    "Decoded batches that may wait for the learner; when it is full, partitions are paused.")
                .between(2, 4096));
  add(list, Declare("stream.properties", Type::kTextMap, FIELD(stream.properties),
                    "Any librdkafka property, as it is. Passwords belong into `properties_files` or the environment.")
                .example("{security.protocol: ssl}")
                .secret());
  add(list, Declare("stream.properties_files", Type::kTextMap, FIELD(stream.properties_files),
                    "librdkafka properties whose value stands in a file, such as a mounted secret.")
                .example("{sasl.password: /run/secrets/kafka}"));
}

void add_memory(List& list) {
  add(list, Declare("memory.path", Type::kText, FIELD(memory.path),
                    "Folder of the state: events, replay memory, positions, checkpoints. One process at a time.")
                .example("/var/lib/freshet"));
  add(list,
      Declare("memory.policy", Type::kChoice, FIELD(memory.policy),
              "Which events the replay memory keeps. `reservoir`: a uniform sample of all. `sliding_window`: the "
              "newest. `class_balanced`: as many of each class, as far as there are. `loss_prioritised`: a sample "
              "weighted by the loss that the served model had. `time_stratified`: every age of the stream keeps "
              "the same share. `unbounded`: all, until `memory.capacity_bytes` are reached; then the oldest leave.")
          .choices(
              {"reservoir", "sliding_window", "class_balanced", "loss_prioritised", "time_stratified", "unbounded"})
          .new_state());
  add(list, Declare("memory.capacity_events", Type::kWhole, FIELD(memory.capacity_events),
                    "Events that the replay memory holds; of no meaning to `policy: unbounded`.")
                .between(0, 4e9)
                .example("1M")
                .new_state());
  add(list, Declare("memory.capacity_bytes", Type::kBytes, FIELD(memory.capacity_bytes),
                    "Bytes of event records that the replay memory holds; where both capacities are given, the smaller "
                    "one counts.")
                .between(kMiB, 1024 * 1024 * kGiB)
                .or_none()
                .example("100GiB")
                .new_state());
  add(list, Declare("memory.ttl", Type::kDuration, FIELD(memory.ttl_ms),
                    "Events older than this, by event time, are not replayed.")
                .between(kSecond, 36500 * kDay)
                .or_none()
                .example("90d")
                .new_state());
  add(list,
      Declare("memory.keep_events", Type::kChoice, FIELD(memory.keep_events),
              "`needed`: an event is deleted once neither the replay memory nor a kept checkpoint needs it. `all`: "
              "no event is ever deleted, so that `freshet state replay --from start` can redo the whole run; what "
              "was deleted before stays deleted.")
          .choices({"needed", "all"}));
  add(list,
      Declare("memory.sampling", Type::kChoice, FIELD(memory.sampling),
              "Which of the held events a round replays. `uniform`: any. `class_balanced`: of a class drawn first, "
              "each with the same probability. `priority`: the higher its last known loss, the likelier. "
              "`recency`: the newer, the likelier.")
          .choices({"uniform", "class_balanced", "priority", "recency"})
          .new_state());
  add(list, Declare("memory.priority_alpha", Type::kReal, FIELD(memory.priority_alpha),
                    "With `sampling: priority`: an event weighs its loss to this power; at 0 all weigh the same.")
                .between(0, 2));
  add(list, Declare("memory.recency_half_life_events", Type::kWhole, FIELD(memory.recency_half_life_events),
                    "With `sampling: recency`: an event that arrived this many events earlier weighs half as much.")
                .between(1, kEventsMax)
                .example("100k"));
  add(list, Declare("memory.block_cache", Type::kBytes, FIELD(memory.block_cache_bytes),
                    "Memory for event records that were appended or read of late; what it lacks comes from the "
                    "kernel's page cache or the disk.")
                .between(kMiB, 1024 * kGiB));
  add(list, Declare("memory.write_buffer", Type::kBytes, FIELD(memory.write_buffer_bytes),
                    "Write buffer of the store; up to three of them are in memory.")
                .between(kMiB, 64 * kGiB));
}

void add_optimizer(List& list) {
  add(list,
      Declare("learning.optimizer", Type::kChoice, FIELD(learning.optimizer),
              "How gradients become steps. `adam` adds the weight decay to the gradient, `adamw` takes it from the "
              "weights.")
          .choices({"sgd", "adam", "adamw", "adagrad"})
          .new_state());
  add(list, Declare("learning.learning_rate", Type::kReal, FIELD(learning.learning_rate),
                    "Size of a step; where a schedule moves it, the highest one.")
                .above(0, 100));
  add(list, Declare("learning.momentum", Type::kReal, FIELD(learning.momentum), "Momentum of `sgd`.").below(0, 1));
  add(list, Declare("learning.nesterov", Type::kBool, FIELD(learning.nesterov), "Nesterov's form of the momentum."));
  add(list, Declare("learning.beta1", Type::kReal, FIELD(learning.beta1),
                    "With `adam` and `adamw`: decay of the gradients' moving average.")
                .below(0, 1));
  add(list, Declare("learning.beta2", Type::kReal, FIELD(learning.beta2),
                    "With `adam` and `adamw`: decay of the squared gradients' moving average.")
                .below(0, 1));
  add(list, Declare("learning.epsilon", Type::kReal, FIELD(learning.epsilon),
                    "Added to the root that divides a step. None: 1e-8 for `adam` and `adamw`, 1e-10 for `adagrad`.")
                .above(0, 1)
                .or_none()
                .example("1e-8"));
  add(list, Declare("learning.initial_accumulator", Type::kReal, FIELD(learning.initial_accumulator),
                    "With `adagrad`: where the sums of squared gradients start.")
                .between(0, 1e6));
  add(list, Declare("learning.weight_decay", Type::kReal, FIELD(learning.weight_decay),
                    "Weight decay; decoupled for `adamw`, else added to the gradient.")
                .between(0, 10));
}

// Not live: a round that is redone after a crash must take the steps that it took.
void add_schedule(List& list) {
  add(list,
      Declare(
          "learning.schedule.kind", Type::kChoice, FIELD(learning.schedule.kind),
          "How the learning rate moves with the steps. `noam`: up in a line for the warm-up, then down with the root "
          "of the step; its size is `scale`. `inverse_sqrt`: the same up to and from `learning.learning_rate`. "
          "`cosine_restarts`: down along a half cosine to `minimum_rate`, again and again. `exponential`: times "
          "`decay_rate` every `decay_steps`.")
          .choices({"constant", "noam", "inverse_sqrt", "cosine_restarts", "exponential"}));
  add(list,
      Declare("learning.schedule.scale", Type::kReal, FIELD(learning.schedule.scale),
              "With `noam`: factor of the rate scale * dim^-0.5 * min(s^-0.5, s * warmup_steps^-1.5), where s counts "
              "steps from 1.")
          .above(0, 1e6));
  add(list, Declare("learning.schedule.dim", Type::kWhole, FIELD(learning.schedule.dim),
                    "With `noam`: width of the model. None: that of its first hidden layer.")
                .between(1, 1'048'576)
                .or_none()
                .example("512"));
  add(list, Declare("learning.schedule.warmup_steps", Type::kWhole, FIELD(learning.schedule.warmup_steps),
                    "With `noam` and `inverse_sqrt`: steps until the rate is at its highest.")
                .between(1, 1e9));
  add(list, Declare("learning.schedule.first_period", Type::kWhole, FIELD(learning.schedule.first_period),
                    "With `cosine_restarts`: steps until the first restart.")
                .between(1, kEventsMax));
  add(list, Declare("learning.schedule.t_mult", Type::kWhole, FIELD(learning.schedule.t_mult),
                    "With `cosine_restarts`: each period is so many times as long as the one before.")
                .between(1, 1000));
  add(list, Declare("learning.schedule.decay_rate", Type::kReal, FIELD(learning.schedule.decay_rate),
                    "With `exponential`: factor of the rate after `decay_steps`.")
                .inside(0, 1));
  add(list, Declare("learning.schedule.decay_steps", Type::kWhole, FIELD(learning.schedule.decay_steps),
                    "With `exponential`: steps over which the rate falls by `decay_rate`.")
                .between(1, kEventsMax));
  add(list, Declare("learning.schedule.staircase", Type::kBool, FIELD(learning.schedule.staircase),
                    "With `exponential`: the rate falls at once after `decay_steps`, not little by little."));
  add(list, Declare("learning.schedule.start_step", Type::kWhole, FIELD(learning.schedule.start_step),
                    "Step from which on the rate moves; before it, it is as at that step.")
                .between(0, kEventsMax));
  add(list, Declare("learning.schedule.step_duration", Type::kWhole, FIELD(learning.schedule.step_duration),
                    "Steps of training that are one step of the schedule.")
                .between(1, 1e9));
  add(list, Declare("learning.schedule.minimum_rate", Type::kReal, FIELD(learning.schedule.minimum_rate),
                    "The rate never falls below this.")
                .between(0, 100));
}

void add_loss(List& list) {
  add(list, Declare("learning.label_smoothing", Type::kReal, FIELD(learning.label_smoothing),
                    "Share of a label spread over all classes.")
                .below(0, 1));
  add(list,
      Declare("learning.class_weights", Type::kRealList, FIELD(learning.class_weights),
              "Factor of the weight of each class's events in training, in the order of the classes. Empty: all 1.")
          .between(0, 1e6)
          .example("[1, 10]"));
  add(list,
      Declare("learning.loss", Type::kChoice, FIELD(learning.loss),
              "`auto`: cross-entropy for classes, squared error for a regression. Of a regression, `quantile` "
              "predicts the label's quantile `learning.quantile`, and `poisson` the mean rate of a count: the model's "
              "output is its logarithm, negative labels are not learnt from. To go to or from `poisson` takes a fresh "
              "`memory.path`.")
          .choices({"auto", "cross_entropy", "mse", "mae", "huber", "quantile", "poisson"}));
  add(list, Declare("learning.huber_delta", Type::kReal, FIELD(learning.huber_delta),
                    "With `loss: huber`: errors count squared up to this and linearly beyond.")
                .above(0, 1e9));
  add(list, Declare("learning.quantile", Type::kReal, FIELD(learning.quantile),
                    "With `loss: quantile`: share of the labels that are to lie below the prediction.")
                .inside(0, 1)
                .example("0.9"));
}

void add_learning(List& list) {
  add(list, Declare("learning.strategy", Type::kChoice, FIELD(learning.strategy),
                    "`er`: experience replay, each batch part fresh and part replayed. `finetune`: fresh events only.")
                .choices({"er", "finetune"})
                .new_state());
  add(list,
      Declare("learning.replay_ratio", Type::kReal, FIELD(learning.replay_ratio), "Share of a batch that is replayed.")
          .below(0, 1));
  add_optimizer(list);
  add_schedule(list);
  add(list, Declare("learning.batch_size", Type::kWhole, FIELD(learning.batch_size),
                    "Rows of a step, fresh and replayed together.")
                .between(1, 1'048'576));
  add(list, Declare("learning.clip_norm", Type::kReal, FIELD(learning.clip_norm),
                    "Largest norm of a step's gradient; a longer one is scaled down.")
                .above(0, 1e9)
                .or_none()
                .example("1"));
  add_loss(list);
  add(list, Declare("learning.round.every_events", Type::kWhole, FIELD(learning.round.every_events),
                    "A round is due after so many events.")
                .between(1, 1e9));
  add(list, Declare("learning.round.every", Type::kDuration, FIELD(learning.round.every_ms),
                    "A round is due after this time, when any event came. A backtest counts events only.")
                .between(10, kDay)
                .or_none()
                .live());
  add(list, Declare("learning.round.go_live", Type::kChoice, FIELD(learning.round.go_live),
                    "`next_cut`: a round's model is served from the next round's start, the same every time. "
                    "`when_ready`: as soon as it is trained. A backtest always takes `next_cut`.")
                .choices({"next_cut", "when_ready"}));
  add(list, Declare("learning.ema.decay", Type::kReal, FIELD(learning.ema_decay),
                    "Decay of the moving average of the weights, after its warm-up.")
                .below(0, 1));
  add(list, Declare("learning.average.last", Type::kWhole, FIELD(learning.average_last), "Models in the plain average.")
                .between(1, 64));
  add(list, Declare("learning.device", Type::kText, FIELD(learning.device),
                    "`auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`.")
                .example("cuda:0"));
  add(list, Declare("learning.threads", Type::kWhole, FIELD(learning.threads),
                    "Threads inside one step. More than one is only faster for large layers and leaves the other "
                    "threads less.")
                .between(1, kThreadsMax));
}

void add_evaluation(List& list) {
  add(list, Declare("evaluation.window_events", Type::kWhole, FIELD(evaluation.window_events),
                    "Events in the window of the live quality metrics.")
                .between(100, 1e8));
  add(list,
      Declare("evaluation.held_out.share", Type::kReal, FIELD(evaluation.held_out_share),
              "Share of the events, chosen by a hash of the key, that is never trained on and measures forgetting.")
          .between(0, 0.5)
          .new_state());
  add(list, Declare("evaluation.held_out.per_slice", Type::kWhole, FIELD(evaluation.held_out_per_slice),
                    "Held-out events kept for each slice.")
                .between(1, 100'000)
                .new_state());
  add(list, Declare("evaluation.held_out.gating_share", Type::kReal, FIELD(evaluation.gating_share),
                    "Share of the keys whose events are kept from training to judge candidates.")
                .between(0, 0.2)
                .new_state());
  add(list, Declare("evaluation.held_out.tuning_share", Type::kReal, FIELD(evaluation.tuning_share),
                    "Share of the keys whose events are kept from training to judge tuning trials.")
                .between(0, 0.2)
                .new_state());
  add(list, Declare("evaluation.held_out.per_set", Type::kWhole, FIELD(evaluation.held_out_per_set),
                    "Held-out events kept for gating, and as many for tuning: half the newest, half a sample of all.")
                .between(2, 1'000'000)
                .new_state());
  add(list, Declare("evaluation.slices.by", Type::kChoice, FIELD(evaluation.slices_by),
                    "What makes a slice: a class, a month of event time, or a value of a field.")
                .choices({"none", "class", "month", "field"})
                .new_state());
  add(list,
      Declare("evaluation.slices.field", Type::kText, FIELD(evaluation.slices_field), "The field, for `by: field`.")
          .or_none()
          .example("carrier")
          .new_state());
  add(list, Declare("evaluation.slices.values", Type::kTextList, FIELD(evaluation.slices_values),
                    "The values, for `by: field`; others make no slice.")
                .example("[UA, DL]")
                .new_state());
  add(list, Declare("evaluation.forgetting_every_rounds", Type::kWhole, FIELD(evaluation.forgetting_every_rounds),
                    "Rounds between two measurements of accuracy and forgetting by slice.")
                .between(1, 1e6));
}

void add_checkpoint(List& list) {
  add(list,
      Declare("checkpoint.every", Type::kDuration, FIELD(checkpoint.every_ms),
              "Time between checkpoints of the training state; after a kill, what came since is redone from the log.")
          .between(100, kDay)
          .live());
  add(list, Declare("checkpoint.every_events", Type::kWhole, FIELD(checkpoint.every_events),
                    "The same in events, for backtests.")
                .between(1, kEventsMax));
  add(list, Declare("checkpoint.keep", Type::kWhole, FIELD(checkpoint.keep), "Checkpoints kept.").between(1, 100));
}

void add_serving(List& list) {
  add(list, Declare("serving.listen", Type::kText, FIELD(serving.listen), "Address of predictions, metrics and health.")
                .example("0.0.0.0:8080"));
  add(list, Declare("serving.weights", Type::kChoice, FIELD(serving.weights),
                    "Which weights answer: as trained, their moving average, or the average of the last models.")
                .choices({"raw", "ema", "average"}));
  add(list, Declare("serving.threads", Type::kWhole, FIELD(serving.threads), "Threads that answer requests.")
                .between(1, kThreadsMax));
  add(list, Declare("serving.body_bytes_max", Type::kBytes, FIELD(serving.body_bytes_max),
                    "A larger request is refused with 413.")
                .between(kKiB, kGiB));
  add(list, Declare("serving.connections_max", Type::kWhole, FIELD(serving.connections_max),
                    "More connections at a time are refused.")
                .between(1, 1e6));
  add(list, Declare("serving.idle_timeout", Type::kDuration, FIELD(serving.idle_timeout_ms),
                    "A connection without a request is closed after this.")
                .between(100, kDay));
  add(list, Declare("serving.request_timeout", Type::kDuration, FIELD(serving.request_timeout_ms),
                    "Longest time to receive a request or to send its answer.")
                .between(100, kHour));
  add(list, Declare("serving.batch_rows_max", Type::kWhole, FIELD(serving.batch_rows_max), "Rows in one request.")
                .between(1, 1'048'576));
  add(list, Declare("serving.drain_timeout", Type::kDuration, FIELD(serving.drain_timeout_ms),
                    "On SIGTERM: longest time for requests in flight to be answered.")
                .between(0, kHour)
                .live());
}

void add_log(List& list) {
  add(list, Declare("log.level", Type::kChoice, FIELD(log.level), "Least level that is written.")
                .choices({"debug", "info", "warning", "error"})
                .live());
  add(list, Declare("log.format", Type::kChoice, FIELD(log.format),
                    "`text` for people, `json` for machines: one object a line.")
                .choices({"text", "json"}));
}

#undef FIELD

}  // namespace

const std::vector<Option>& option_table() {
  static const List table = [] {
    List list;
    add_model(list);
    add_stream(list);
    add_memory(list);
    add_learning(list);
    add_evaluation(list);
    add_checkpoint(list);
    add_serving(list);
    add_log(list);
    return list;
  }();
  return table;
}

}  // namespace freshet
