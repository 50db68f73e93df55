#include "serving/requested_outputs.h"

#include <fmt/format.h>

#include <algorithm>

#include "serving/tensor_values.h"

namespace freshet {

namespace dom = simdjson::dom;

void RequestedOutputs::clear() {
  items_.clear();
  forms_.clear();
}

Status RequestedOutputs::read(const dom::element& outputs) {
  dom::array list;
  if (outputs.get(list) != simdjson::SUCCESS) return invalid_argument("'outputs' must be an array");
  for (const dom::element item : list) {
    std::string_view name;
    if (item["name"].get(name) != simdjson::SUCCESS)
      return invalid_argument("each of 'outputs' must be an object with a 'name'");
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) {
      return invalid_argument(
          fmt::format("there is no output '{}'; this model has: {}", cut_name(name), fmt::join(names_, ", ")));
    }
    const auto index = static_cast<std::size_t>(found - names_.begin());
    if (std::any_of(items_.begin(), items_.end(), [&](const auto& one) { return one.index == index; })) {
      return invalid_argument(fmt::format("output '{}' is asked for twice", name));
    }
    std::optional<bool> binary;
    TRY(read_form(item, name, binary));
    items_.push_back({index, false});
    forms_.push_back(binary);
  }
  return Status::ok();
}

Status RequestedOutputs::read_form(const dom::element& output, std::string_view name, std::optional<bool>& binary) {
  dom::element value;
  if (output["parameters"].get(value) != simdjson::SUCCESS || value.is_null()) return Status::ok();
  dom::object parameters;
  if (value.get(parameters) != simdjson::SUCCESS)
    return invalid_argument(fmt::format("output '{}': 'parameters' must be an object", name));
  TRY(refuse_unsupported(parameters, "output", name));
  dom::element stated;
  if (parameters["binary_data"].get(stated) != simdjson::SUCCESS) return Status::ok();
  bool chosen = false;
  if (stated.get(chosen) != simdjson::SUCCESS) {
    return invalid_argument(
        fmt::format("output '{}': 'binary_data' must be true or false, is {}", name, show_json(stated)));
  }
  binary = chosen;
  return Status::ok();
}

void RequestedOutputs::settle(bool binary_output) {
  if (items_.empty()) {
    for (std::size_t i = 0; i < names_.size(); ++i) items_.push_back({i, binary_output});
    return;
  }
  for (std::size_t i = 0; i < items_.size(); ++i) items_[i].binary = forms_[i].value_or(binary_output);
}

Status refuse_unsupported(const dom::object& parameters, std::string_view kind, std::string_view name) {
  for (const auto& [key, value] : parameters) {
    if (key.starts_with("shared_memory")) {
      return invalid_argument(
          fmt::format("{} '{}': shared memory is not supported; data goes in the body", kind, name));
    }
    if (key == "classification") {
      return invalid_argument(fmt::format(
          "{} '{}': the classification extension is not supported; ask for the output 'probability'", kind, name));
    }
  }
  return Status::ok();
}

}  // namespace freshet
