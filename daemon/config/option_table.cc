#include "daemon/config/option_table.h"

#include "daemon/config/option_declaration.h"

namespace freshet {

using namespace declaration;  // NOLINT(google-build-using-namespace): the language of this file

namespace {

void add_model(List& list) {
  add(list, Declare("model.name", Type::kText, FIELD(model.name),
                    "Name of the model: in the URLs of predictions, in every metric's label, in the log.")
                .example("flights"));
  add(list, Declare("model.architecture", Type::kChoice, FIELD(model.architecture),
                    "`linear`: one weight for each feature. `mlp`: embeddings and hidden layers. `wide_deep`: both, "
                    "side by side. `dcn`: cross layers, which multiply features with each other, and hidden layers "
                    "(DCN V2). `convnet`: convolutions over an image, then hidden layers. `torchscript`: your own, "
                    "from `model.path`.")
                .choices({"linear", "mlp", "wide_deep", "dcn", "convnet", "torchscript"})
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
  add(list, Declare("model.path", Type::kText, FIELD(model.path),
                    "File of a TorchScript module, as torch.jit.save writes it, for `architecture: torchscript`: "
                    "`forward(numbers)` or `forward(numbers, categories)`, and `loss(outputs, targets)` if it has one "
                    "of its own.")
                .or_none()
                .example("model.pt"));
  add(list, Declare("model.image.channels", Type::kWhole, FIELD(model.image.channels),
                    "Channels of a convnet's image, which its numbers give channel by channel, row by row.")
                .between(1, 4096)
                .new_state());
  add(list, Declare("model.image.height", Type::kWhole, FIELD(model.image.height), "Height of a convnet's image.")
                .between(1, 4096)
                .or_none()
                .example("28")
                .new_state());
  add(list, Declare("model.image.width", Type::kWhole, FIELD(model.image.width), "Width of a convnet's image.")
                .between(1, 4096)
                .or_none()
                .example("28")
                .new_state());
  add(list, Declare("model.image.field", Type::kText, FIELD(model.image.field),
                    "The vector feature that is the image; other numbers join the first hidden layer. None: all "
                    "numbers, in their order, are the image.")
                .or_none()
                .example("pixels")
                .new_state());
  add(list, Declare("model.filters", Type::kWholeList, FIELD(model.filters),
                    "Filters of each convolution of a convnet; after each, ReLU and max-pooling of 2 x 2.")
                .between(1, 4096)
                .example("[16, 32]")
                .new_state());
  add(list, Declare("model.kernel", Type::kWhole, FIELD(model.kernel), "Height and width of a filter; odd.")
                .between(1, 31)
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
  add(list, Declare("model.cross_layers", Type::kWhole, FIELD(model.cross_layers),
                    "With `dcn`: cross layers; each multiplies one degree more of features.")
                .between(1, 16)
                .new_state());
  add(list, Declare("model.cross_rank", Type::kWhole, FIELD(model.cross_rank),
                    "With `dcn`: rank of the cross layers' weights, below the number of values that are crossed "
                    "(numbers, and embedding_dim for each category). 0: full.")
                .between(0, 65536)
                .new_state());
  add(list, Declare("model.cross", Type::kChoice, FIELD(model.cross),
                    "With `dcn`: `stacked` puts the hidden layers on top of the cross layers, `parallel` beside them.")
                .choices({"stacked", "parallel"})
                .new_state());
  add(list, Declare("model.initial", Type::kChoice, FIELD(model.initial),
                    "How the weights of layers start: uniform up to 1 / sqrt(inputs), biases too (`fan_in`, as PyTorch "
                    "does it), or up to sqrt(6 / (inputs + outputs)) with biases at zero (`glorot`).")
                .choices({"fan_in", "glorot"})
                .new_state());
  add(list, Declare("model.recompute", Type::kChoice, FIELD(model.recompute),
                    "`layers`: training keeps the activations of few hidden layers and computes the others again on "
                    "the way back, which saves memory where layers are many and changes no result. Of 16 layers it "
                    "keeps 7; it takes 4 or more.")
                .choices({"none", "layers"}));
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

void add_evaluation(List& list) {
  add(list, Declare("evaluation.window_events", Type::kWhole, FIELD(evaluation.window_events),
                    "Events in the window of the live quality metrics.")
                .between(100, 1e8));
  add(list, Declare("evaluation.baseline_after_events", Type::kWhole, FIELD(evaluation.baseline_after_events),
                    "After so many events the served model is kept as it is, statistics and all, and scored beside the "
                    "live one, for the status page and `/status`: what a model exported once would have given. It "
                    "costs two more predictions an event, and begins anew with a restart.")
                .between(0, 1e15)
                .or_none()
                .example("1M"));
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
  add(list,
      Declare("evaluation.slices.by", Type::kChoice, FIELD(evaluation.slices_by),
              "What makes a slice: a class, a month of event time, a value of a field, or a window of event time. "
              "63 slices have a name; what comes after them counts as `other`.")
          .choices({"none", "class", "month", "field", "time"})
          .new_state());
  add(list, Declare("evaluation.slices.window", Type::kDuration, FIELD(evaluation.slices_window_ms),
                    "Length of the windows, for `by: time`; counted from the first event.")
                .between(1000, 3650 * kDay)
                .or_none()
                .example("30d")
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
  add_security_options(list);
  add_gate_options(list);
  add(list, Declare("serving.threads", Type::kWhole, FIELD(serving.threads), "Threads that answer requests.")
                .between(1, kThreadsMax));
  add(list, Declare("serving.body_bytes_max", Type::kBytes, FIELD(serving.body_bytes_max),
                    "A larger request is refused with 413.")
                .between(kKiB, kGiB));
  add(list, Declare("serving.connections_max", Type::kWhole, FIELD(serving.connections_max),
                    "More connections at a time are refused; when few are left, the longest idle ones are closed.")
                .between(1, 1e6));
  add(list, Declare("serving.idle_timeout", Type::kDuration, FIELD(serving.idle_timeout_ms),
                    "A connection without a request is closed after this.")
                .between(100, kDay));
  add(list, Declare("serving.request_timeout", Type::kDuration, FIELD(serving.request_timeout_ms),
                    "Longest time to receive a request whole, or to send its answer.")
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

}  // namespace

const std::vector<Option>& option_table() {
  static const List table = [] {
    List list;
    add_model(list);
    add_stream(list);
    add_memory(list);
    add_learning_options(list);
    add_evaluation(list);
    add_drift_options(list);
    add_tuning_options(list);
    add_checkpoint(list);
    add_serving(list);
    add_log(list);
    return list;
  }();
  return table;
}

}  // namespace freshet
