// Parts of studies beside the checkpoints: whole or not there, replaced and dropped by name and by number.
#include <fstream>

#include "tests/storage/store_fixture.h"

namespace freshet {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

std::string big_part(char letter) {
  std::string bytes((std::size_t{7} << 20) + 3, letter);  // eight pieces, more than a write buffer's quarter
  return bytes + "mark-of-" + letter;
}

Status put(Store& store, std::uint64_t study, std::string_view name, std::string_view bytes, bool sync = false) {
  const StudyPart part{name, bytes};
  return store.put_study(study, {&part, 1}, {}, sync);
}

std::string read(const Store& store, std::uint64_t study, std::string_view name) {
  const auto bytes = store.read_study(study, name);
  EXPECT_OK(bytes.status());
  return bytes.is_ok() && bytes->has_value() ? **bytes : "not there";
}

TEST(StoreStudies, PartsAreReadBackAfterReopening) {
  const Folder folder;
  const std::string big = big_part('b');
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    ASSERT_OK(put(*opened.store, 3, "snapshot", big, true));
    ASSERT_OK(put(*opened.store, 3, "empty", ""));
    ASSERT_OK(put(*opened.store, 4, "snapshot", "small"));
  }
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  EXPECT_EQ(read(*opened.store, 3, "snapshot"), big);
  EXPECT_EQ(read(*opened.store, 3, "empty"), "");
  EXPECT_EQ(read(*opened.store, 4, "snapshot"), "small");
  EXPECT_EQ(read(*opened.store, 4, "snap"), "not there") << "the beginning of a name is another name";
  EXPECT_EQ(read(*opened.store, 5, "snapshot"), "not there");
  EXPECT_EQ(opened.store->study_parts(3).value(), (std::vector<std::string>{"empty", "snapshot"}));
  EXPECT_EQ(opened.store->studies().value(), (std::vector<std::uint64_t>{3, 4}));
}

TEST(StoreStudies, OneWriteReplacesAndDeletes) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  Store& store = *opened.store;
  ASSERT_OK(put(store, 1, "state", big_part('s')));
  ASSERT_OK(put(store, 1, "trial/1", "one"));
  ASSERT_OK(put(store, 1, "trial/11", "eleven"));
  const std::vector<StudyPart> parts = {{"state", "shorter"}, {"trial/2", "two"}};
  const std::vector<std::string> gone = {"trial/1"};
  ASSERT_OK(store.put_study(1, parts, gone, false));
  EXPECT_EQ(read(store, 1, "state"), "shorter");
  EXPECT_EQ(store.study_parts(1).value(), (std::vector<std::string>{"state", "trial/11", "trial/2"}));
}

TEST(StoreStudies, AreDroppedByTheirNumbers) {
  const Folder folder;
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  Store& store = *opened.store;
  for (std::uint64_t study = 1; study <= 5; ++study) ASSERT_OK(put(store, study, "state", "some"));
  ASSERT_OK(store.drop_studies(2, 3, true));
  EXPECT_EQ(store.studies().value(), (std::vector<std::uint64_t>{1, 4, 5}));
  ASSERT_OK(store.drop_studies(4, UINT64_MAX - 1, false));
  EXPECT_EQ(store.studies().value(), (std::vector<std::uint64_t>{1}));
}

TEST(StoreStudies, DamageIsToldAndNotRead) {
  const Folder folder;
  {
    Opened opened;
    ASSERT_OK(open_into(opened, options_for(folder.store())));
    ASSERT_OK(put(*opened.store, 1, "snapshot", big_part('d'), true));
    ASSERT_OK(opened.store->flush());
  }
  int places = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder.store())) {
    if (file.path().extension() != ".sst") continue;
    std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    const auto at = bytes.find("mark-of-d");
    if (at == std::string::npos) continue;
    stream.clear();
    stream.seekp(static_cast<std::streamoff>(at));
    stream.put('M');
    ++places;
  }
  ASSERT_EQ(places, 1);
  Opened opened;
  ASSERT_OK(open_into(opened, options_for(folder.store())));
  EXPECT_EQ(opened.store->read_study(1, "snapshot").code(), Code::kDataLoss);
}

}  // namespace
}  // namespace freshet
