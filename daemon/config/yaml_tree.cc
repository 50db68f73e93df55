#include "daemon/config/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <stdexcept>

namespace freshet {
namespace {

constexpr std::size_t kTextBytesMax = std::size_t{1} << 20;
constexpr std::size_t kNodesMax = 100'000;

class TooLarge : public std::runtime_error {
 public:
  TooLarge() : std::runtime_error("too large") {}
};

std::size_t count_nodes(const YamlNode& node) {
  std::size_t count = 1;
  for (const auto& item : node.items) count += count_nodes(item);
  for (const auto& entry : node.entries) count += count_nodes(entry.value);
  return count;
}

// Builds the tree from the parser's events. Open collections stand on a stack; a finished node goes to the one below.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(const Origin& origin, std::vector<YamlFault>& faults) : origin_(origin), faults_(faults) {}

  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    remember(anchor, finish(make(YamlNode::Kind::kNull, mark)));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {  // an alias inside the very node that it names
      throw YAML::ParserException(mark, "an alias to a node that is not complete yet");
    }
    nodes_ += count_nodes(found->second);
    finish(found->second);
  }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, const std::string& value) override {
    YamlNode node = make(YamlNode::Kind::kScalar, mark);
    node.text = value;
    remember(anchor, finish(std::move(node)));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open_.push_back({make(YamlNode::Kind::kList, mark), anchor, {}, {}, false});
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open_.push_back({make(YamlNode::Kind::kMap, mark), anchor, {}, {}, false});
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlNode node;
    YAML::anchor_t anchor = 0;
    std::string key;  // of a map: the key whose value comes next
    Origin key_origin;
    bool has_key = false;
  };

  YamlNode make(YamlNode::Kind kind, const YAML::Mark& mark) {
    if (++nodes_ > kNodesMax) throw TooLarge();
    YamlNode node;
    node.kind = kind;
    node.origin = origin_;
    if (origin_.kind == Origin::Kind::kFile) {
      node.origin.line = mark.line + 1;
      node.origin.column = mark.column + 1;
    }
    return node;
  }

  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    remember(done.anchor, finish(std::move(done.node)));
  }

  void remember(YAML::anchor_t anchor, const YamlNode& node) {
    if (anchor == 0) return;
    nodes_ += count_nodes(node);
    if (nodes_ > kNodesMax) throw TooLarge();
    anchors_[anchor] = node;
  }

  // Hands a finished node to the collection it stands in; the answer lives until the next event.
  const YamlNode& finish(YamlNode node) {
    if (nodes_ > kNodesMax) throw TooLarge();
    if (open_.empty()) {
      root_ = std::move(node);
      return root_;
    }
    Open& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::kList) {
      parent.node.items.push_back(std::move(node));
      return parent.node.items.back();
    }
    if (!parent.has_key) {
      if (node.kind != YamlNode::Kind::kScalar) {
        faults_.push_back({node.origin, fmt::format("a key must be a plain word, this is {}", node.kind_words())});
      }
      parent.has_key = true;
      parent.key = node.text;
      parent.key_origin = node.origin;
      key_ = std::move(node);
      return key_;
    }
    parent.has_key = false;
    if (YamlNode* earlier = parent.node.find(parent.key)) {
      faults_.push_back({parent.key_origin, fmt::format("'{}' stands here a second time; the first is at {}", parent.key,
                                                        earlier->origin.place())});
      *earlier = std::move(node);
      return *earlier;
    }
    parent.node.entries.push_back({parent.key, parent.key_origin, std::move(node)});
    return parent.node.entries.back().value;
  }

  const Origin& origin_;
  std::vector<YamlFault>& faults_;
  YamlNode root_;
  YamlNode key_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, YamlNode> anchors_;
  std::size_t nodes_ = 0;
};

}  // namespace

std::string Origin::place() const {
  switch (kind) {
    case Kind::kDefault:
      return "default";
    case Kind::kFile:
      return line > 0 ? fmt::format("{}:{}:{}", name, line, column) : name;
    case Kind::kEnvironment:
      return "environment " + name;
    case Kind::kSet:
      return "--set " + name;
  }
  return name;
}

YamlNode* YamlNode::find(std::string_view key) {
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &found->value;
}

YamlNode& YamlNode::set(std::string_view key, YamlNode value) {
  if (kind == Kind::kNull) kind = Kind::kMap;
  if (YamlNode* found = find(key)) {
    *found = std::move(value);
    return *found;
  }
  Origin place = value.origin;
  entries.push_back({std::string(key), std::move(place), std::move(value)});
  return entries.back().value;
}

std::string_view YamlNode::kind_words() const {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kScalar:
      return "a single value";
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a map";
  }
  return "something else";
}

Result<YamlNode> parse_yaml(std::string_view text, const Origin& origin, std::vector<YamlFault>& faults) {
  if (text.size() > kTextBytesMax) {
    return invalid_argument(fmt::format("{}: larger than {} bytes", origin.place(), kTextBytesMax));
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(origin, faults);
    if (!parser.HandleNextDocument(builder)) {
      YamlNode nothing;
      nothing.origin = origin;
      return nothing;
    }
    YamlNode root = builder.take();
    std::vector<YamlFault> ignored;
    TreeBuilder second(origin, ignored);
    if (parser.HandleNextDocument(second)) {
      return invalid_argument(fmt::format("{}: holds more than one YAML document; keep one", origin.place()));
    }
    return root;
  } catch (const YAML::Exception& error) {
    Origin at = origin;
    if (at.kind == Origin::Kind::kFile && !error.mark.is_null()) {
      at.line = error.mark.line + 1;
      at.column = error.mark.column + 1;
    }
    return invalid_argument(fmt::format("{}: not valid YAML: {}", at.place(), error.msg));
  } catch (const TooLarge&) {
    return invalid_argument(fmt::format("{}: more than {} nodes", origin.place(), kNodesMax));
  } catch (const std::exception& error) {
    return invalid_argument(fmt::format("{}: not valid YAML: {}", origin.place(), error.what()));
  }
}

}  // namespace freshet
