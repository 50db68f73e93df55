// RequestedOutputs: which outputs an inference request asks for, in which order and form: internal to serving/, for
// infer_request.cc.
//
// Threads: one owner.  Owns: the names of the model's outputs.  Failure: kInvalidArgument in words for the client.
#pragma once

#include <simdjson.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"
#include "serving/infer_request.h"

namespace freshet {

class RequestedOutputs {
 public:
  explicit RequestedOutputs(std::vector<std::string> names) : names_(std::move(names)) {}

  void clear();
  // The request's "outputs".
  Status read(const simdjson::dom::element& outputs);
  // To be called once the whole request is read: what an output says of its form goes before what the request says of
  // all, wherever either stands; and a request that names no output gets all.
  void settle(bool binary_output);
  const std::vector<RequestedOutput>& items() const { return items_; }

 private:
  static Status read_form(const simdjson::dom::element& output, std::string_view name, std::optional<bool>& binary);

  const std::vector<std::string> names_;
  std::vector<RequestedOutput> items_;
  std::vector<std::optional<bool>> forms_;  // one an item: binary, JSON, or not said
};

// Parameters of an input or output that ask for what would change the answer and is not there: better refused than
// left out in silence. `kind`: "input" or "output".
Status refuse_unsupported(const simdjson::dom::object& parameters, std::string_view kind, std::string_view name);

}  // namespace freshet
