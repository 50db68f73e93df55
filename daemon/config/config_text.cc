#include "daemon/config/config_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "daemon/config/drift_config.h"
#include "daemon/config/feature_config.h"
#include "daemon/config/option_table.h"
#include "daemon/config/value_text.h"

namespace freshet {
namespace {

std::vector<std::string> segments(std::string_view name) {
  std::vector<std::string> parts;
  for (;;) {
    const auto dot = name.find('.');
    parts.emplace_back(name.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    name.remove_prefix(dot + 1);
  }
}

std::string origin_comment(const LoadedConfig& loaded, const std::string& name) {
  const auto found = loaded.origins.find(name);
  if (found == loaded.origins.end()) return "default";
  const Origin& origin = found->second;
  return origin.kind == Origin::Kind::kFile ? fmt::format("{}:{}", origin.name, origin.line) : origin.place();
}

std::string_view section_words(std::string_view section) {
  static const std::vector<std::pair<std::string_view, std::string_view>> words = {
      {"model", "What is learnt and served."},
      {"stream", "Where events come from and how they are read."},
      {"memory", "The state on disk: events, replay memory, positions, checkpoints."},
      {"learning", "How the model is trained."},
      {"evaluation",
       "How quality and forgetting are measured; predictions are scored before their events are learnt from."},
      {"drift", "What watches for changes of the stream, and what a confirmed one does."},
      {"tuning",
       "The search for better hyperparameters, by `freshet tune` and, with `on_drift`, by the daemon itself, which "
       "searches only what can change under a running memory: options of `learning`, but not `learning.strategy`, "
       "`.round`, `.sifting`, `.guard` and `.loss`."},
      {"checkpoint", "How often the training state is made durable."},
      {"serving", "The HTTP server."},
      {"log", "Log lines on standard error."},
  };
  const auto found =
      std::find_if(words.begin(), words.end(), [&](const auto& entry) { return entry.first == section; });
  return found == words.end() ? "" : found->second;
}

std::string choice_list(const Option& option) {
  std::vector<std::string> quoted;
  for (const auto& choice : option.choices) quoted.push_back(fmt::format("`{}`", choice));
  return fmt::format("{}", fmt::join(quoted, ", "));
}

std::string reference_row(const Option& option) {
  std::string allowed = option.type == OptionType::kChoice ? choice_list(option) : bounds_text(option);
  if (option.may_be_none) allowed += allowed.empty() ? "or `none`" : "; or `none`";
  std::string help = option.help;
  const Config defaults;
  const std::string standard = format_option(option, option.get(defaults));
  if (!option.example.empty() && option.example != standard) help += fmt::format(" Example: `{}`.", option.example);
  return fmt::format("| `{}` | {} | `{}` | {} | {} | {} |\n", option.name, type_words(option.type), standard, allowed,
                     change_words(option.change), help);
}

}  // namespace

std::string_view change_words(Change change) {
  switch (change) {
    case Change::kLive:
      return "on SIGHUP";
    case Change::kRestart:
      return "restart";
    case Change::kNewState:
      return "fresh state";
  }
  return "restart";
}

std::string show_config(const LoadedConfig& loaded) {
  std::vector<std::pair<std::string, std::string>> lines;  // text, comment
  std::vector<std::string> open;                           // sections that are open
  for (const auto& option : option_table()) {
    auto parts = segments(option.name);
    const std::string last = parts.back();
    parts.pop_back();
    std::size_t same = 0;
    while (same < parts.size() && same < open.size() && parts[same] == open[same]) ++same;
    for (std::size_t i = same; i < parts.size(); ++i) lines.emplace_back(std::string(2 * i, ' ') + parts[i] + ":", "");
    open = parts;
    const std::string indent(2 * parts.size(), ' ');
    const OptionValue value = option.get(loaded.config);
    const bool block = option.type == OptionType::kFeatures && !std::get<FeatureList>(value).specs.empty();
    if (!block) {
      lines.emplace_back(fmt::format("{}{}: {}", indent, last, format_option(option, value)),
                         origin_comment(loaded, option.name));
      continue;
    }
    lines.emplace_back(indent + last + ":", "");
    for (const auto& spec : std::get<FeatureList>(value).specs) {
      lines.emplace_back(fmt::format("{}  {}: {}", indent, quote_yaml(spec.name), format_feature(spec)),
                         origin_comment(loaded, option.name + "." + spec.name));
    }
  }
  constexpr std::size_t kCommentColumnMax = 56;
  std::size_t column = 0;
  for (const auto& [text, comment] : lines) {
    if (!comment.empty() && text.size() <= kCommentColumnMax) column = std::max(column, text.size());
  }
  std::string page;
  for (const auto& [text, comment] : lines) {
    page += comment.empty() ? text + "\n" : fmt::format("{:<{}}  # {}\n", text, column, comment);
  }
  return page;
}

std::string summarize_config(const Config& config) {
  const auto& features = config.stream.features;
  const std::string feature_text =
      features.infer ? "features inferred from the first events" : fmt::format("{} features", features.specs.size());
  const std::string topic =
      config.stream.topic.empty() ? "no topic (a backtest needs none)" : "topic " + config.stream.topic;
  return fmt::format("model {} ({}, {}), {}, label {}; {} at {}; state in {}; serving {} weights on {}",
                     config.model.name, option_text(config, "model.architecture"), option_text(config, "model.task"),
                     feature_text, config.stream.label, topic, fmt::join(config.stream.brokers, ","),
                     config.memory.path, option_text(config, "serving.weights"), config.serving.listen);
}

std::string configuration_reference() {
  std::string page =
      "# Configuration\n\n"
      "<!-- Made by `freshet config reference`; a test holds it to the option table. Change "
      "the *_options.cc or option_table.cc in daemon/config. -->\n\n"
      "Freshet reads one YAML file. The same options can be set, in order of precedence, by\n\n"
      "1. `--set learning.batch_size=32` on the command line,\n"
      "2. the environment: `FRESHET_LEARNING__BATCH_SIZE=32` (two underscores for each dot),\n"
      "3. the file,\n"
      "4. the defaults below.\n\n"
      "`freshet config check --config F` reports every error at once with line and hint; `freshet config show --config "
      "F` prints the "
      "effective values and where each was set.\n\n"
      "## Smallest file\n\n"
      "```yaml\nmodel: {name: flights}\nstream:\n  brokers: localhost:9092\n  topic: flights\n  label: late\n```\n\n"
      "## How values are written\n\n"
      "| type | written as |\n|---|---|\n"
      "| whole number | `64`, `1_000_000`, `64k` (thousand), `1M` (million) |\n"
      "| duration | a number and `ms`, `s`, `m`, `h`, `d` or `w`: `250ms`, `1.5h`, `90d` |\n"
      "| size | a number and `B`, `KiB`, `MiB`, `GiB` (or `kB`, `MB`, `GB`): `64MiB` |\n"
      "| list | `[64, 32]`; of texts also with commas: `a:9092,b:9092` |\n"
      "| none | `none`, where the option says so: it is off |\n\n"
      "The column *takes effect* says what a change needs: `on SIGHUP`: the daemon reads the file again and applies "
      "it; `restart`: of the "
      "process, the state stays; `fresh state`: what is stored depends on it, so it needs an empty `memory.path`.\n\n"
      "## Secrets\n\n"
      "Passwords never stand in the file or on the command line, and are never printed. Name a file that holds the "
      "value "
      "(`stream.properties_files: {sasl.password: /run/secrets/kafka}`), or set the environment "
      "(`FRESHET_STREAM__PROPERTIES__SASL_PASSWORD`, where single underscores stand for the property's dots).\n";
  std::string section;
  for (const auto& option : option_table()) {
    const std::string top = option.name.substr(0, option.name.find('.'));
    if (top != section) {
      section = top;
      page += fmt::format(
          "\n## {}\n\n{}\n\n| option | type | default | allowed | takes effect | what it says "
          "|\n|---|---|---|---|---|---|\n",
          section, section_words(section));
    }
    page += reference_row(option);
  }
  page += "\n" + feature_reference() + "\n" + detector_reference();
  return page;
}

}  // namespace freshet
