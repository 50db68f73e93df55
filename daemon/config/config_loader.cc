#include "daemon/config/config_loader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <string_view>
#include <tuple>

#include "daemon/config/option_table.h"

namespace freshet {
namespace {

constexpr std::string_view kEnvironmentPrefix = "FRESHET_";

std::vector<std::string> split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  for (;;) {
    const auto at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + separator.size());
  }
}

std::string unknown_option(std::string_view name) {
  const std::string hint = option_hint(name);
  return fmt::format("{}: no such option{}{}", name, hint.empty() ? "" : "; ", hint);
}

// The option that `path` names or lies within.
const Option* option_above(std::string_view path) {
  for (std::string_view name = path;;) {
    if (const Option* option = find_option(name)) return option;
    const auto dot = name.rfind('.');
    if (dot == std::string_view::npos) return nullptr;
    name = name.substr(0, dot);
  }
}

// Puts values of the environment and of --set into the tree of the file.
class Overlay {
 public:
  Overlay(YamlNode& root, std::vector<YamlFault>& faults) : root_(root), faults_(faults) {}

  void environment(const std::map<std::string, std::string>& variables) {
    for (const auto& [variable, value] : variables) {
      if (variable.rfind(kEnvironmentPrefix, 0) != 0) continue;
      std::string rest = variable.substr(kEnvironmentPrefix.size());
      const auto first = rest.find("__");
      if (first == std::string::npos || first == 0) continue;
      std::transform(rest.begin(), rest.end(), rest.begin(), [](unsigned char c) { return std::tolower(c); });
      std::string path = fmt::format("{}", fmt::join(split(rest, "__"), "."));
      // A property's own dots are written as single underscores.
      const Option* option = option_above(path);
      if (option != nullptr && option->type == OptionType::kTextMap) {
        const auto begin = path.begin() + static_cast<std::ptrdiff_t>(std::min(option->name.size(), path.size()));
        std::replace(begin, path.end(), '_', '.');
      }
      apply(path, value, Origin{Origin::Kind::kEnvironment, variable, 0, 0});
    }
  }

  void sets(const std::vector<std::string>& sets) {
    for (const auto& text : sets) {
      const auto equals = text.find('=');
      const Origin origin{Origin::Kind::kSet, text.substr(0, equals), 0, 0};
      if (equals == std::string::npos || equals == 0) {
        faults_.push_back({origin, "expected NAME=VALUE, such as learning.batch_size=32"});
      } else {
        apply(text.substr(0, equals), text.substr(equals + 1), origin);
      }
    }
  }

 private:
  void apply(const std::string& path, const std::string& value, const Origin& origin) {
    const Option* option = option_above(path);
    if (option == nullptr) {
      const bool section = is_section(path);
      faults_.push_back(
          {origin, section ? fmt::format("{}: is a section; set one of its options", path) : unknown_option(path)});
      return;
    }
    const std::string rest = path.size() > option->name.size() ? path.substr(option->name.size() + 1) : "";
    const bool has_parts = option->type == OptionType::kTextMap || option->type == OptionType::kFeatures;
    if (path.size() > option->name.size() && (!has_parts || rest.empty())) {
      faults_.push_back({origin, fmt::format("{}: no such option; '{}' has no parts", path, option->name)});
      return;
    }
    auto node = read_value(*option, rest, value, origin);
    if (node) place(*option, rest, std::move(*node));
  }

  // Single values are taken as they are, so that a password may hold any character; collections are YAML.
  std::optional<YamlNode> read_value(const Option& option, const std::string& rest, const std::string& value,
                                     const Origin& origin) {
    bool yaml = option.type == OptionType::kWholeList || option.type == OptionType::kRealList ||
                option.type == OptionType::kFeatures || option.type == OptionType::kDetectors ||
                (option.type == OptionType::kTextMap && rest.empty());
    if (option.type == OptionType::kTextList || option.type == OptionType::kClasses)
      yaml = !value.empty() && value.front() == '[';
    if (yaml) {
      auto parsed = parse_yaml(value, origin, faults_);
      if (parsed) return std::move(parsed).value();
      faults_.push_back({origin, fmt::format("{}: not valid YAML, expected a value such as {}", option.name,
                                             option.example.empty() ? "[64, 32]" : option.example)});
      return std::nullopt;
    }
    YamlNode node;
    node.kind = value.empty() && rest.empty() ? YamlNode::Kind::kNull : YamlNode::Kind::kScalar;
    node.text = value;
    node.origin = origin;
    return node;
  }

  static YamlNode* child_map(YamlNode& parent, const std::string& key, const Origin& origin) {
    if (parent.kind != YamlNode::Kind::kNull && parent.kind != YamlNode::Kind::kMap) return nullptr;
    YamlNode* child = parent.find(key);
    if (child == nullptr) {
      YamlNode empty;
      empty.kind = YamlNode::Kind::kMap;
      empty.origin = origin;
      child = &parent.set(key, std::move(empty));
    }
    if (child->kind == YamlNode::Kind::kNull) child->kind = YamlNode::Kind::kMap;
    return child;
  }

  void place(const Option& option, const std::string& rest, YamlNode value) {
    auto names = split(option.name, ".");
    const Origin origin = value.origin;
    YamlNode* at = &root_;
    for (std::size_t i = 0; i + 1 < names.size() && at != nullptr; ++i) at = child_map(*at, names[i], origin);
    if (at == nullptr || (at->kind != YamlNode::Kind::kMap && at->kind != YamlNode::Kind::kNull)) {
      return;  // the file has a single value where a section belongs; that is reported when the tree is read
    }
    if (rest.empty()) {
      at->set(names.back(), std::move(value));
      return;
    }
    YamlNode* map = child_map(*at, names.back(), origin);
    if (map->kind != YamlNode::Kind::kMap) {  // `features: auto` gives way to a map
      *map = YamlNode{};
      map->kind = YamlNode::Kind::kMap;
    }
    map->origin = origin;
    const auto dot = option.type == OptionType::kFeatures ? rest.find('.') : std::string::npos;
    if (dot == std::string::npos) {
      map->set(rest, std::move(value));
      return;
    }
    YamlNode* feature = child_map(*map, rest.substr(0, dot), origin);
    if (feature->kind == YamlNode::Kind::kScalar) {  // the short form `name: kind`
      YamlNode kind = *feature;
      *feature = YamlNode{};
      feature->origin = origin;
      feature->set("kind", std::move(kind));
    }
    if (feature->kind == YamlNode::Kind::kMap) feature->set(rest.substr(dot + 1), std::move(value));
  }

  YamlNode& root_;
  std::vector<YamlFault>& faults_;
};

// Reads the merged tree into a Config.
class TreeReader {
 public:
  TreeReader(LoadedConfig& loaded, std::vector<YamlFault>& faults) : loaded_(loaded), faults_(faults) {}

  void read(const YamlNode& root) {
    if (root.kind == YamlNode::Kind::kNull) return;
    if (root.kind != YamlNode::Kind::kMap) {
      faults_.push_back(
          {root.origin, fmt::format("expected sections such as `model:` and `stream:`; got {}", root.kind_words())});
      return;
    }
    read_section(root, "");
  }

  // What was found wrong between options, but for what may follow from an error that is reported already.
  void add(const std::vector<ConfigFault>& together) {
    for (const auto& fault : together) {
      const bool feature = fault.option.rfind("stream.features", 0) == 0;
      const std::string section = fault.option.substr(0, fault.option.find('.'));
      const bool follows = feature ? failed_.count("stream.features") > 0
                                   : failed_.count(section) > 0 || (section != "stream" && failed_.count("model") > 0);
      if (follows) continue;
      auto origin = loaded_.origins.find(fault.option);
      if (origin == loaded_.origins.end() && feature) origin = loaded_.origins.find("stream.features");
      faults_.push_back({origin == loaded_.origins.end() ? Origin{} : origin->second,
                         feature ? fault.what : fmt::format("{}: {}", fault.option, fault.what)});
    }
  }

 private:
  void read_section(const YamlNode& node, const std::string& prefix) {
    for (const auto& entry : node.entries) {
      const std::string name = prefix + entry.key;
      if (entry.key.find('.') !=
          std::string::npos) {  // one way to write an option in the file, and so one place for it
        faults_.push_back({entry.key_origin, find_option(name) != nullptr
                                                 ? fmt::format("{}: write it nested, a key for each dot", name)
                                                 : unknown_option(name)});
        failed_.insert(name.substr(0, name.find('.')));
      } else if (const Option* option = find_option(name)) {
        read_option(*option, entry.value);
      } else if (!is_section(name)) {
        faults_.push_back({entry.key_origin, unknown_option(name)});
        failed_.insert(name.substr(0, name.find('.')));
      } else if (entry.value.kind == YamlNode::Kind::kMap) {
        read_section(entry.value, name + ".");
      } else if (entry.value.kind != YamlNode::Kind::kNull) {
        faults_.push_back({entry.value.origin, fmt::format("{}: is a section, expected a map of options; got {}", name,
                                                           entry.value.kind_words())});
        failed_.insert(name.substr(0, name.find('.')));
      }
    }
  }

  void read_option(const Option& option, const YamlNode& node) {
    if (option.secret) refuse_open_secrets(option, node);
    const auto value = parse_option(option, node, faults_);
    if (!value) {
      failed_.insert(option.name == "stream.features" ? option.name : option.name.substr(0, option.name.find('.')));
      return;
    }
    option.set(loaded_.config, *value);
    loaded_.origins[option.name] = node.origin;
    if (option.type != OptionType::kFeatures) return;
    for (const auto& entry : node.entries) loaded_.origins[option.name + "." + entry.key] = entry.value.origin;
  }

  // A secret in the file lands in a repository, one in --set in the list of processes.
  void refuse_open_secrets(const Option& option, const YamlNode& node) {
    for (const auto& entry : node.entries) {
      if (!is_secret_property(entry.key) || entry.value.origin.kind == Origin::Kind::kEnvironment) continue;
      std::string variable = option.name + "__" + entry.key;
      variable.replace(variable.find('.'), 1, "__");
      std::replace(variable.begin(), variable.end(), '.', '_');
      std::transform(variable.begin(), variable.end(), variable.begin(),
                     [](unsigned char c) { return std::toupper(c); });
      faults_.push_back(
          {entry.value.origin, fmt::format("{}: '{}' is a secret; put it into a file named in {}_files, or into the "
                                           "environment as {}{}",
                                           option.name, entry.key, option.name, kEnvironmentPrefix, variable)});
    }
  }

  LoadedConfig& loaded_;
  std::vector<YamlFault>& faults_;
  std::set<std::string> failed_;  // sections with an error, and "stream.features"
};

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return not_found(fmt::format("cannot read the configuration {}: {}", path, std::strerror(errno)));
  std::string text;
  constexpr std::size_t kChunk = 64 * 1024;
  std::array<char, kChunk> chunk{};
  // A folder opens and then fails to be read. parse_yaml refuses what is too long, so no more of it is taken in.
  while (file && text.size() <= kYamlBytesMax) {
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    text.append(chunk.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (file.bad()) return unavailable(fmt::format("cannot read the configuration {}: is it a file?", path));
  return text;
}

Status to_status(std::vector<YamlFault> faults) {
  std::stable_sort(faults.begin(), faults.end(), [](const YamlFault& a, const YamlFault& b) {
    const auto rank = [](const Origin& o) {
      return std::make_tuple(o.kind == Origin::Kind::kDefault ? 9 : static_cast<int>(o.kind), o.line, o.column);
    };
    return rank(a.origin) < rank(b.origin);
  });
  std::string text = faults.size() == 1 ? "1 error in the configuration:"
                                        : fmt::format("{} errors in the configuration:", faults.size());
  for (const auto& fault : faults) {
    if (fault.origin.kind == Origin::Kind::kDefault) {
      text += "\n  " + fault.what;
    } else if (fault.origin.kind == Origin::Kind::kSet && fault.what.rfind(fault.origin.name + ":", 0) == 0) {
      text += "\n  --set " + fault.what;  // its place is its name
    } else {
      text += fmt::format("\n  {}: {}", fault.origin.place(), fault.what);
    }
  }
  return invalid_argument(std::move(text));
}

}  // namespace

Result<LoadedConfig> load_config_with_origins(const LoadOptions& options) {
  std::vector<YamlFault> faults;
  YamlNode root;
  std::string text;
  if (options.text) {
    text = *options.text;
  } else if (!options.file.empty()) {
    text = TRY(read_file(options.file));
  }
  const std::string name = options.file.empty() ? "configuration" : options.file;
  root = TRY(parse_yaml(text, Origin{Origin::Kind::kFile, name, 0, 0}, faults));
  LoadedConfig loaded;
  TreeReader reader(loaded, faults);
  Overlay overlay(root, faults);
  overlay.environment(options.environment);
  overlay.sets(options.sets);
  reader.read(root);
  reader.add(check_together(loaded.config));
  if (!faults.empty()) return to_status(std::move(faults));
  return loaded;
}

Result<Config> load_config(const LoadOptions& options) {
  auto loaded = TRY(load_config_with_origins(options));
  return std::move(loaded.config);
}

std::map<std::string, std::string> process_environment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (equals == std::string_view::npos || text.rfind(kEnvironmentPrefix, 0) != 0) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

}  // namespace freshet
