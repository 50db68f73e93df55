#include "daemon/tuning/study_file.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/hash.h"

namespace freshet {
namespace {

constexpr std::uint32_t kFormat = 2;
constexpr std::uint32_t kFormatsMost = 1000;  // above: no study of any version

}  // namespace

Result<StudyFile> read_study_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return not_found(fmt::format("cannot read {}", path));
  const std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  ByteReader in(bytes);
  const auto format = in.get<std::uint32_t>();
  if (format == 0 || format > kFormatsMost) return data_loss(fmt::format("{} is no study", path));
  if (format > kFormat) {
    return failed_precondition(
        fmt::format("{} is a study of format {}, and this version reads up to {}", path, format, kFormat));
  }
  StudyFile file;
  if (format >= 2) {
    const auto checksum = in.get<std::uint64_t>();
    file.document = in.get_text();
    if (!in.ok() || hash_text(file.document) != checksum) return data_loss(fmt::format("{} is damaged", path));
    TRY(file.timeline.load(in).with_context(path));
  }
  file.runner = bytes.substr(bytes.size() - in.remaining());
  return file;
}

Status write_study_file(const std::string& path, const std::string& document, const StudyTimeline& timeline,
                        const tuning::StudyRunner& runner) {
  ByteWriter out;
  out.put(kFormat);
  out.put(hash_text(document));
  out.put_text(document);
  timeline.save(out);
  runner.save(out);
  const std::string partial = path + ".partial";
  {
    std::ofstream file(partial, std::ios::binary);
    const std::string bytes = out.take();
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) return unavailable(fmt::format("cannot write {}", partial));
  }
  std::error_code error;
  std::filesystem::rename(partial, path, error);
  if (error) return unavailable(fmt::format("cannot rename {} to {}: {}", partial, path, error.message()));
  return Status::ok();
}

}  // namespace freshet
