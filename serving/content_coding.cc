#include "serving/content_coding.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "serving/http_message.h"

namespace freshet {
namespace {

constexpr int kGzipBits = MAX_WBITS + 16;
constexpr int kLevel = 1;  // answers are latency: the fastest level takes most of what there is to take
constexpr int kMemoryLevel = 8;
constexpr std::size_t kFirstOut = std::size_t{16} << 10;
constexpr std::size_t kPieceMax = std::numeric_limits<uInt>::max();

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The text up to `mark`, which is taken off `rest` with it.
std::string_view next_part(std::string_view& rest, char mark) {
  const auto at = rest.find(mark);
  const std::string_view part = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
  return trimmed(part);
}

double weight(std::string_view parameters) {
  while (!parameters.empty()) {
    std::string_view parameter = next_part(parameters, ';');
    if (parameter.size() < 3 || (parameter[0] != 'q' && parameter[0] != 'Q') || parameter[1] != '=') continue;
    parameter.remove_prefix(2);
    double value = 0;
    std::from_chars(parameter.data(), parameter.data() + parameter.size(), value);
    return value;
  }
  return 1;
}

void give_input(z_stream& stream, std::string_view& rest) {
  const std::size_t size = std::min(rest.size(), kPieceMax);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(rest.data()));  // zlib only reads it
  stream.avail_in = static_cast<uInt>(size);
  rest.remove_prefix(size);
}

void give_output(z_stream& stream, std::string& out, std::size_t filled) {
  stream.next_out = reinterpret_cast<Bytef*>(out.data() + filled);
  stream.avail_out = static_cast<uInt>(std::min(out.size() - filled, kPieceMax));
}

}  // namespace

std::string_view coding_name(ContentCoding coding) {
  switch (coding) {
    case ContentCoding::kGzip:
      return "gzip";
    case ContentCoding::kDeflate:
      return "deflate";
    case ContentCoding::kIdentity:
      break;
  }
  return "identity";
}

std::optional<ContentCoding> find_coding(std::string_view name) {
  if (equals_ignoring_case(name, "gzip") || equals_ignoring_case(name, "x-gzip")) return ContentCoding::kGzip;
  if (equals_ignoring_case(name, "deflate")) return ContentCoding::kDeflate;
  if (equals_ignoring_case(name, "identity")) return ContentCoding::kIdentity;
  return std::nullopt;
}

ContentCoding choose_coding(std::string_view accept_encoding) {
  ContentCoding best = ContentCoding::kIdentity;
  double best_weight = 0;
  while (!accept_encoding.empty()) {
    std::string_view item = next_part(accept_encoding, ',');
    const auto coding = find_coding(next_part(item, ';'));
    if (!coding || *coding == ContentCoding::kIdentity) continue;
    const double wanted = weight(item);
    const bool tie = wanted == best_weight && *coding == ContentCoding::kGzip;
    if (wanted > best_weight || (tie && wanted > 0)) {
      best = *coding;
      best_weight = wanted;
    }
  }
  return best;
}

// One stream a direction and coding, made when first needed and reset for each body.
struct ContentCoder::Streams {
  struct Slot {
    z_stream stream{};
    bool made = false;
  };
  std::array<Slot, 2> inflaters;  // gzip, deflate
  std::array<Slot, 2> deflaters;

  Streams() = default;
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
  ~Streams() {
    for (auto& slot : inflaters) {
      if (slot.made) inflateEnd(&slot.stream);
    }
    for (auto& slot : deflaters) {
      if (slot.made) deflateEnd(&slot.stream);
    }
  }
  static std::size_t place(ContentCoding coding) { return coding == ContentCoding::kGzip ? 0 : 1; }
  static int window_bits(ContentCoding coding) { return coding == ContentCoding::kGzip ? kGzipBits : MAX_WBITS; }

  z_stream* inflater(ContentCoding coding) {
    Slot& slot = inflaters[place(coding)];
    const int done = slot.made ? inflateReset(&slot.stream) : inflateInit2(&slot.stream, window_bits(coding));
    slot.made = slot.made || done == Z_OK;
    return done == Z_OK ? &slot.stream : nullptr;
  }
  z_stream* deflater(ContentCoding coding) {
    Slot& slot = deflaters[place(coding)];
    const int done = slot.made ? deflateReset(&slot.stream)
                               : deflateInit2(&slot.stream, kLevel, Z_DEFLATED, window_bits(coding), kMemoryLevel,
                                              Z_DEFAULT_STRATEGY);
    slot.made = slot.made || done == Z_OK;
    return done == Z_OK ? &slot.stream : nullptr;
  }
};

ContentCoder::ContentCoder() : streams_(std::make_unique<Streams>()) {}
ContentCoder::~ContentCoder() = default;

Status ContentCoder::inflate(ContentCoding coding, std::string_view body, std::size_t bytes_max, std::string& out) {
  if (coding == ContentCoding::kIdentity) {
    out.assign(body);
    return Status::ok();
  }
  const std::string_view name = coding_name(coding);
  z_stream* const stream = streams_->inflater(coding);
  if (stream == nullptr) return resource_exhausted("no memory to inflate the request body");
  std::string_view rest = body;
  stream->avail_in = 0;
  out.clear();
  std::size_t filled = 0;
  // Each turn takes input or makes output, both bounded, or ends.
  while (true) {
    if (stream->avail_in == 0) give_input(*stream, rest);
    if (filled == out.size()) {
      if (filled > bytes_max) {
        return resource_exhausted(
            fmt::format("the request body inflates to more than {} bytes, the most that is taken", bytes_max));
      }
      out.resize(std::min(bytes_max + 1, std::max({kFirstOut, body.size(), filled * 2})));
    }
    give_output(*stream, out, filled);
    const uInt in_before = stream->avail_in;
    const uInt out_before = stream->avail_out;
    const int step = ::inflate(stream, Z_NO_FLUSH);
    filled += out_before - stream->avail_out;
    if (step == Z_STREAM_END) {
      if (stream->avail_in == 0 && rest.empty()) break;
      // Members of gzip may follow each other; nothing may follow deflate.
      if (coding == ContentCoding::kGzip && inflateReset(stream) == Z_OK) continue;
      return invalid_argument(fmt::format("the request body goes on after the end of its {} data", name));
    }
    if (step == Z_MEM_ERROR) return resource_exhausted("no memory to inflate the request body");
    if (step != Z_OK && step != Z_BUF_ERROR)
      return invalid_argument(fmt::format("the request body is no {} data, as its Content-Encoding says", name));
    const bool idle = stream->avail_in == in_before && stream->avail_out == out_before;
    if (idle || (stream->avail_in == 0 && rest.empty() && stream->avail_out > 0))
      return invalid_argument(fmt::format("the request body's {} data is cut short", name));
  }
  if (filled > bytes_max) {
    return resource_exhausted(
        fmt::format("the request body inflates to more than {} bytes, the most that is taken", bytes_max));
  }
  out.resize(filled);
  return Status::ok();
}

bool ContentCoder::deflate(ContentCoding coding, std::string_view body, std::string& out) {
  if (coding == ContentCoding::kIdentity || body.empty()) return false;
  z_stream* const stream = streams_->deflater(coding);
  if (stream == nullptr) return false;
  std::string_view rest = body;
  stream->avail_in = 0;
  out.resize(body.size());
  std::size_t filled = 0;
  // Each turn takes input or makes output, both bounded, or ends.
  while (true) {
    if (stream->avail_in == 0) give_input(*stream, rest);
    if (filled == out.size()) return false;
    give_output(*stream, out, filled);
    const uInt in_before = stream->avail_in;
    const uInt out_before = stream->avail_out;
    const int step = ::deflate(stream, rest.empty() ? Z_FINISH : Z_NO_FLUSH);
    filled += out_before - stream->avail_out;
    if (step == Z_STREAM_END) break;
    if (step != Z_OK || (stream->avail_in == in_before && stream->avail_out == out_before)) return false;
  }
  if (filled >= body.size()) return false;
  out.resize(filled);
  return true;
}

}  // namespace freshet
