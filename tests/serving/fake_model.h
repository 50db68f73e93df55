// A model and an encoder whose answers tests can predict.
#pragma once

#include <atomic>
#include <cmath>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/predictor.h"
#include "core/schema.h"

namespace freshet::test {

inline FeatureSpec feature(std::string name, FeatureKind kind, std::uint32_t size = 0) {
  FeatureSpec spec;
  spec.name = std::move(name);
  spec.kind = kind;
  spec.size = size;
  return spec;
}

// Dense: every number (NaN where missing), then the vectors. Hashes: the low halves of the categories.
class FakeEncoding final : public FeatureEncoding {
 public:
  explicit FakeEncoding(const EventSpec& spec) : schema_(spec) {
    for (const auto& column : schema_.columns()) {
      if (column.kind == ColumnKind::kNumber) layout_.dense_names.push_back(column.name);
      if (column.kind == ColumnKind::kCategory) layout_.categorical_names.push_back(column.name);
    }
    for (std::uint32_t i = 0; i < schema_.vector_floats(); ++i)
      layout_.dense_names.push_back("vector" + std::to_string(i));
  }
  const Schema& schema() const override { return schema_; }
  const EncodedLayout& layout() const override { return layout_; }
  void encode(const EventBatch& events, std::size_t begin, std::size_t end, EncodedBatch& out) const override {
    for (std::size_t row = begin; row < end; ++row) {
      const std::size_t to = row - begin;
      const auto dense = out.dense_row(to);
      for (std::uint32_t c = 0; c < events.number_columns(); ++c) dense[c] = events.numbers(c)[row];
      const auto vectors = events.vectors(row);
      std::copy(vectors.begin(), vectors.end(), dense.begin() + events.number_columns());
      for (std::uint32_t c = 0; c < events.category_columns(); ++c) {
        out.hash_row(to)[c] = static_cast<std::uint32_t>(events.categories(c)[row]);
      }
      out.time_ms[to] = events.time_ms[row];
    }
  }

 private:
  Schema schema_;
  EncodedLayout layout_;
};

// Answers `answer(batch, row, column)`, by default version * 1000 + the first number.
class FakePredictor final : public Predictor {
 public:
  using Answer = std::function<float(const EncodedBatch&, std::size_t, std::uint32_t)>;

  explicit FakePredictor(std::uint64_t version, std::uint32_t outputs = 1, Answer answer = {},
                         std::function<void(std::uint64_t)> destroyed = {})
      : version_(version), outputs_(outputs), answer_(std::move(answer)), destroyed_(std::move(destroyed)) {}
  ~FakePredictor() override {
    if (destroyed_) destroyed_(version_);
  }
  FakePredictor(const FakePredictor&) = delete;
  FakePredictor& operator=(const FakePredictor&) = delete;

  std::uint64_t version() const override { return version_; }
  Task task() const override { return outputs_ > 1 ? Task::kMulticlass : Task::kRegression; }
  std::uint32_t outputs() const override { return outputs_; }
  Status predict(const EncodedBatch& batch, std::size_t begin, std::size_t end, Predictions& out) const override {
    out.rows = end - begin;
    out.width = outputs_;
    if (out.values.size() < out.rows * outputs_) out.values.resize(out.rows * outputs_);
    for (std::size_t row = begin; row < end; ++row) {
      for (std::uint32_t column = 0; column < outputs_; ++column) {
        out.values[(row - begin) * outputs_ + column] =
            answer_ ? answer_(batch, row, column) : static_cast<float>(version_) * 1000 + batch.dense_row(row)[0];
      }
    }
    return Status::ok();
  }

 private:
  std::uint64_t version_;
  std::uint32_t outputs_;
  Answer answer_;
  std::function<void(std::uint64_t)> destroyed_;
};

}  // namespace freshet::test
