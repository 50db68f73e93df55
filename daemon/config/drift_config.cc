#include "daemon/config/drift_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "daemon/config/value_text.h"
#include "learners/drift/detectors.h"

namespace freshet {
namespace {

constexpr std::array<std::string_view, 4> kWatched = {"loss", "reference", "error", "label"};
constexpr std::string_view kFeaturePrefix = "feature:";
constexpr std::size_t kDetectorsMax = 32;

std::string usual_statistic(const DetectorKind& kind) { return kind.errors_only ? "error" : "loss"; }

class DetectorReader {
 public:
  DetectorReader(std::string_view option, std::vector<YamlFault>& faults) : option_(option), faults_(faults) {}

  DetectorConfig read(const YamlNode& node) {
    DetectorConfig detector;
    detector.on.clear();
    if (node.kind == YamlNode::Kind::kScalar) {
      detector.kind = node.text;
      if (const DetectorKind* kind = check_kind(node, detector.kind)) detector.on = usual_statistic(*kind);
      return detector;
    }
    if (node.kind != YamlNode::Kind::kMap) {
      fault(node,
            fmt::format("expected a detector, such as adwin or {{kind: adwin, on: loss}}; got {}", node.kind_words()));
      return detector;
    }
    const YamlNode* kind_node = nullptr;
    for (const auto& [key, origin, value] : node.entries) {
      if (value.kind != YamlNode::Kind::kScalar) {
        fault(value, fmt::format("'{}' must have a single value; got {}", key, value.kind_words()));
      } else if (key == "kind") {
        detector.kind = value.text;
        kind_node = &value;
      } else if (key == "on") {
        detector.on = value.text;
        const bool feature = value.text.starts_with(kFeaturePrefix) && value.text.size() > kFeaturePrefix.size();
        if (!feature && std::ranges::find(kWatched, value.text) == kWatched.end()) {
          fault(value,
                fmt::format("'on' must be one of {} or feature:NAME; got '{}'", fmt::join(kWatched, ", "), value.text));
        }
      } else {
        detector.settings.emplace_back(key, value.text);
      }
    }
    if (kind_node == nullptr) {
      fault(node, "a detector needs its kind, such as {kind: adwin, on: loss}");
    } else if (const DetectorKind* kind = check_kind(*kind_node, detector.kind)) {
      if (detector.on.empty()) detector.on = usual_statistic(*kind);
      if (kind->errors_only && detector.on != "error" && detector.on != "label") {
        fault(node, fmt::format("{} watches {}; write on: error", kind->name, kind->input));
      }
      check_settings(node, *kind, detector);
    }
    return detector;
  }

 private:
  const DetectorKind* check_kind(const YamlNode& node, const std::string& name) {
    const auto kind = find_detector(name);
    if (kind.is_ok()) return *kind;
    fault(node, kind.status().message());
    return nullptr;
  }

  void check_settings(const YamlNode& node, const DetectorKind& kind, const DetectorConfig& detector) {
    DetectorSettings settings(kind);
    bool sound = true;
    for (const auto& [name, text] : detector.settings) {
      const Status status = settings.set(name, text);
      if (status.is_ok()) continue;
      sound = false;
      const auto entry = std::ranges::find(node.entries, name, &YamlEntry::key);
      fault(entry == node.entries.end() ? node : entry->value, status.message());
    }
    if (!sound) return;
    const auto made = make_detector(settings);
    if (!made.is_ok()) fault(node, made.status().message());
  }

  void fault(const YamlNode& node, const std::string& what) {
    faults_.push_back({node.origin, fmt::format("{}: {}", option_, what)});
  }

  std::string_view option_;
  std::vector<YamlFault>& faults_;
};

std::string detector_text(const DetectorConfig& detector) {
  std::string text = fmt::format("{{kind: {}, on: {}", quote_yaml(detector.kind), quote_yaml(detector.on));
  for (const auto& [name, value] : detector.settings) text += fmt::format(", {}: {}", quote_yaml(name), value);
  return text + "}";
}

}  // namespace

std::optional<DetectorList> parse_detectors(std::string_view option, const YamlNode& node,
                                            std::vector<YamlFault>& faults) {
  if (node.kind != YamlNode::Kind::kList) {
    const std::string got =
        node.kind == YamlNode::Kind::kScalar ? "'" + node.text + "'" : std::string(node.kind_words());
    faults.push_back({node.origin, fmt::format("{}: expected a list of detectors, such as [{{kind: adwin, on: loss}}]; "
                                               "got {}",
                                               option, got)});
    return std::nullopt;
  }
  if (node.items.size() > kDetectorsMax) {
    faults.push_back(
        {node.origin, fmt::format("{}: {} detectors; {} at most", option, node.items.size(), kDetectorsMax)});
    return std::nullopt;
  }
  const std::size_t before = faults.size();
  DetectorList detectors;
  for (const auto& item : node.items) detectors.push_back(DetectorReader(option, faults).read(item));
  if (faults.size() > before) return std::nullopt;
  return detectors;
}

std::string format_detectors(const DetectorList& detectors) {
  std::vector<std::string> texts;
  texts.reserve(detectors.size());
  for (const auto& detector : detectors) texts.push_back(detector_text(detector));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

std::string detector_reference() {
  std::string page =
      "## Detectors\n\n"
      "`drift.detectors` is a list; each detector has a `kind`, what it is `on`, and options of its kind. A bare name "
      "is\n"
      "short for that kind on the loss, or on the error where it judges errors alone. `loss` is the loss of each event "
      "under\n"
      "the model that was served when it came, `reference` the same under a model that was set aside and no longer "
      "learns\n(`drift.reference_events`): it shows changes that are slow, and those that a quick learner hides; "
      "`error` "
      "is 1 where that model was wrong and else 0 (of a regression "
      "the\n"
      "absolute error), `label` is the label, `feature:NAME` a number that the model is given.\n\n"
      "| kind | option | default | allowed | what it says |\n|---|---|---|---|---|\n";
  for (const DetectorKind* kind : detector_kinds()) {
    std::string name = fmt::format("`{}`: {}", kind->name, kind->title);
    for (const DetectorOption& option : kind->options) {
      page += fmt::format("| {} | `{}` | `{}` | {} | {} |\n", name, option.name,
                          detector_option_text(option, option.standard), detector_option_bounds(option), option.help);
      name.clear();
    }
  }
  return page;
}

}  // namespace freshet
