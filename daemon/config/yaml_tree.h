// YamlNode: a YAML document as a tree in which every node knows where it came from, so that each error can say its place.
//
// yaml-cpp's own tree forgets key positions behind shared nodes; this one is built from its events.
//
// Threads: values.  Owns: its children.
// Failure: `parse_yaml` fails on broken syntax with line and column; duplicate keys are collected, the last one stays.
// Bounds: 1 MiB of text, 100,000 nodes (aliases counted as the copies they are).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace freshet {

// Where a value was set.
struct Origin {
  enum class Kind : unsigned char { kDefault, kFile, kEnvironment, kSet };
  Kind kind = Kind::kDefault;
  std::string name;  // path of the file, name of the variable, or option given to --set
  int line = 0;      // from 1; files only
  int column = 0;

  std::string place() const;  // "default", "flights.yaml:3:7", "environment FRESHET_A__B", "--set a.b"
};

struct YamlEntry;

struct YamlNode {
  enum class Kind : unsigned char { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  std::string text;  // kScalar
  Origin origin;
  std::vector<YamlNode> items;      // kList
  std::vector<YamlEntry> entries;   // kMap, in the order of the text

  YamlNode* find(std::string_view key);
  YamlNode& set(std::string_view key, YamlNode value);  // adds or replaces; makes this a map if it is null
  std::string_view kind_words() const;                  // "a list", for error messages
};

struct YamlEntry {
  std::string key;
  Origin key_origin;
  YamlNode value;
};

struct YamlFault {
  Origin origin;
  std::string what;
};

// `origin` tells kind and name; line and column are filled in for files. An empty text is a null node.
Result<YamlNode> parse_yaml(std::string_view text, const Origin& origin, std::vector<YamlFault>& faults);

}  // namespace freshet
