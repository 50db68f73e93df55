// V2Server: the inference protocol over a model whose answers tests can predict, called without a socket. Bodies lie in
// memory of exactly their size, so that a sanitizer sees every byte read beyond them.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/clock.h"
#include "core/hash.h"
#include "serving/v2_protocol.h"
#include "tests/serving/fake_model.h"

namespace freshet::test {

inline std::string json_tensor(std::string_view name, std::string_view datatype, std::string_view data,
                               std::string_view shape = "[1]") {
  return fmt::format(R"({{"name":"{}","datatype":"{}","shape":{},"data":{}}})", name, datatype, shape, data);
}

inline std::string binary_tensor(std::string_view name, std::string_view datatype, std::string_view shape,
                                 std::string_view size) {
  return fmt::format(R"({{"name":"{}","datatype":"{}","shape":{},"parameters":{{"binary_data_size":{}}}}})", name,
                     datatype, shape, size);
}

inline std::string infer_json(std::string_view inputs, std::string_view more = {}) {
  return fmt::format(R"({{"inputs":[{}]{}}})", inputs, more);
}

// The bytes of numbers as they lie in memory.
template <typename Item>
std::string bytes_of(const std::vector<Item>& items) {
  static_assert(std::is_trivially_copyable_v<Item>);
  std::string bytes(items.size() * sizeof(Item), '\0');
  if (!items.empty()) std::memcpy(bytes.data(), items.data(), bytes.size());
  return bytes;
}

inline std::string bytes_of_texts(const std::vector<std::string>& texts) {
  std::string bytes;
  for (const auto& text : texts) bytes += bytes_of<std::uint32_t>({static_cast<std::uint32_t>(text.size())}) + text;
  return bytes;
}

struct SeenRow {
  std::vector<float> dense;
  std::vector<std::uint32_t> hashes;
  std::int64_t time_ms = 0;
};

class V2Server {
 public:
  static constexpr std::int64_t kNow = 1'357'000'000'000;

  explicit V2Server(const EventSpec& spec, std::size_t rows_max = 10'000) : encoding(spec), slot(clock, 2) {
    V2Options options;
    options.model_name = "flights";
    options.rows_max = rows_max;
    protocol = std::make_unique<V2Protocol>(options, slot, encoding, clock, metrics);
    protocol->add_routes(router);
  }

  void publish(std::uint64_t version, std::uint32_t outputs = 1, const FakePredictor::Answer& answer = {}) {
    slot.publish(std::make_shared<FakePredictor>(
        version, outputs, [this, version, answer](const EncodedBatch& batch, std::size_t row, std::uint32_t column) {
          if (column == 0) {
            const auto dense = batch.dense_row(row);
            const auto hashes = batch.hash_row(row);
            seen.push_back({{dense.begin(), dense.end()}, {hashes.begin(), hashes.end()}, batch.time_ms[row]});
          }
          return answer ? answer(batch, row, column) : static_cast<float>(version);
        }));
  }

  Response call(std::string_view method, std::string_view path, std::string_view body = {},
                const std::vector<HeaderView>& headers = {}) {
    seen.clear();
    const std::vector<char> exact(body.begin(), body.end());
    Request request;
    request.method = method;
    request.path = path;
    request.headers = headers;
    request.body = {exact.data(), exact.size()};
    return router.handle(request);
  }
  Response infer(std::string_view json) { return call("POST", "/v2/models/flights/infer", json); }
  // The JSON, then the binary tensors; `json_bytes` instead of the JSON's own length when not empty.
  Response infer(const std::string& json, const std::string& binary, std::string json_bytes = {}) {
    if (json_bytes.empty()) json_bytes = std::to_string(json.size());
    return call("POST", "/v2/models/flights/infer", json + binary, {{"Inference-Header-Content-Length", json_bytes}});
  }

  static std::uint32_t hash(std::string_view field, std::string_view value) {
    return static_cast<std::uint32_t>(hash_category(field_seed(field), value));
  }

  ManualClock clock{kNow};
  LocalMetrics metrics;
  Router router;
  FakeEncoding encoding;
  ModelSlot slot;
  std::unique_ptr<V2Protocol> protocol;
  std::vector<SeenRow> seen;
};

// The header of that name; empty when there is none.
inline std::string header_of(const Response& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return {};
}

}  // namespace freshet::test
