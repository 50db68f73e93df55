// InferResponder: writes the answer to an inference request: model, version, id, and the outputs asked for, each as
// JSON or, after the JSON, in binary form (the binary tensor data extension).
//
//   prediction    INT64 class index or BYTES class name; FP32 for a regression       [rows]
//   probability   FP32: of class 1 for a binary task [rows]; of each class [rows, K]; none for a regression
//
// Threads: immutable after construction.  Owns: names.  Failure: none; predictions must be of the label's width.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/feature_spec.h"
#include "core/predictor.h"
#include "serving/http_message.h"
#include "serving/infer_request.h"

namespace freshet {

class InferResponder {
 public:
  InferResponder(std::string model_name, const LabelSpec& label);

  // "prediction" and, unless a regression, "probability".
  const std::vector<std::string>& outputs() const { return outputs_; }
  // Values a row that a model must predict.
  std::uint32_t width() const { return label_.classes <= 2 ? 1 : label_.classes; }
  // [{"name":…,"datatype":…,"shape":…},…] for the model's metadata.
  std::string describe_outputs() const;

  Response write(const InferRequest& request, const Predictions& predictions, std::uint64_t version) const;

 private:
  std::string_view prediction_datatype() const;
  std::size_t predicted_class(const Predictions& predictions, std::size_t row) const;
  std::size_t binary_bytes(std::size_t output, const Predictions& predictions) const;
  void append_json(std::string& out, std::size_t output, const Predictions& predictions) const;
  void append_binary(std::string& out, std::size_t output, const Predictions& predictions) const;
  void append_class(std::string& out, std::size_t index) const;

  const std::string model_name_;
  const LabelSpec label_;
  const std::vector<std::string> outputs_;
};

// {"name":…,"datatype":…,"shape":…}; `shape` is JSON.
void append_tensor_description(std::string& out, std::string_view name, std::string_view datatype,
                               std::string_view shape);

}  // namespace freshet
