#include "storage/prompt_reads.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <rocksdb/file_system.h>
#include <unistd.h>

#include <fstream>

#include "core/rng.h"
#include "tests/storage/store_fixture.h"

namespace freshet {
namespace {

using testing::Batch;
using testing::Folder;
using testing::Opened;

// Takes a folder's files out of the page cache, where the volume has one of its own beside it.
void forget_pages(const std::string& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const int file = open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(file, 0);
    fdatasync(file);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
  }
}

class PromptReads : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_.store());
    Rng rng(5);
    for (int i = 0; i < 20'000; ++i) bytes_ += static_cast<char>(rng.next());
    std::ofstream(name_, std::ios::binary) << bytes_;
    ASSERT_TRUE(files().NewRandomAccessFile(name_, rocksdb::FileOptions(), &file_, nullptr).ok());
  }
  rocksdb::FileSystem& files() const { return *env_->GetFileSystem(); }

  rocksdb::IOStatus read(std::uint64_t offset, std::size_t size, std::chrono::microseconds timeout) {
    rocksdb::IOOptions options;
    options.timeout = timeout;
    scratch_.assign(size, '?');
    return file_->Read(offset, size, options, &result_, scratch_.data(), nullptr);
  }
  std::string got() const { return result_.ToString(); }

  Folder folder_;
  std::string name_ = folder_.store() + "/000001.sst";
  std::string bytes_;
  std::unique_ptr<rocksdb::Env> env_ = with_prompt_reads(rocksdb::Env::Default());
  std::unique_ptr<rocksdb::FSRandomAccessFile> file_;
  rocksdb::Slice result_;
  std::string scratch_;
};

constexpr std::chrono::microseconds kPatient{0};

TEST_F(PromptReads, WhatIsCachedComesAtOnce) {
  ASSERT_TRUE(read(0, bytes_.size(), kPatient).ok());
  EXPECT_EQ(got(), bytes_);
  const auto status = read(4000, 300, kPrompt);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(got(), bytes_.substr(4000, 300));
}

TEST_F(PromptReads, WhatIsMissingIsSaidToBeMissingAndCanBeWaitedFor) {
  forget_pages(folder_.store());
  const auto status = read(8000, 500, kPrompt);  // a volume in memory has it still
  if (status.ok()) {
    EXPECT_EQ(got(), bytes_.substr(8000, 500));
  } else {
    EXPECT_TRUE(status.IsTryAgain()) << status.ToString();
    EXPECT_EQ(got(), "");
  }
  ASSERT_TRUE(read(8000, 500, kPatient).ok());
  EXPECT_EQ(got(), bytes_.substr(8000, 500));
  ASSERT_TRUE(read(8000, 500, kPrompt).ok());
  EXPECT_EQ(got(), bytes_.substr(8000, 500));
}

TEST_F(PromptReads, APatientReadIsNeverToldToTryAgain) {
  forget_pages(folder_.store());
  for (std::size_t at = 0; at + 700 <= bytes_.size(); at += 700) {
    const auto status = read(at, 700, kPatient);
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(got(), bytes_.substr(at, 700));
  }
}

TEST_F(PromptReads, TheEndOfTheFileEndsThePatientRead) {
  ASSERT_TRUE(read(bytes_.size() - 10, 100, kPatient).ok());
  EXPECT_EQ(got(), bytes_.substr(bytes_.size() - 10));
  ASSERT_TRUE(read(bytes_.size() + 10, 100, kPatient).ok());
  EXPECT_EQ(got(), "");
}

TEST_F(PromptReads, AFileThatIsNotThereIsRefusedAsBelow) {
  std::unique_ptr<rocksdb::FSRandomAccessFile> file;
  const auto status = files().NewRandomAccessFile(folder_.store() + "/2.sst", rocksdb::FileOptions(), &file, nullptr);
  EXPECT_TRUE(status.IsPathNotFound()) << status.ToString();
}

TEST(StoreReads, EveryRecordIsRightFromADiskThatIsNotCached) {
  Folder folder;
  StoreOptions options = testing::options_for(folder.store());
  options.record_cache_bytes = 0;
  constexpr std::uint64_t kEvents = 30'000;
  Opened opened;
  ASSERT_OK(open_into(opened, options));
  for (std::uint64_t seq = 1; seq <= kEvents; seq += 1000) {
    Batch batch(seq);
    ASSERT_OK(opened.store->append(batch.events(0, static_cast<std::int64_t>(seq) - 1, 1000).view()));
  }
  ASSERT_OK(opened.store->flush());
  Rng rng(3);
  for (int round = 0; round < 5; ++round) {
    forget_pages(folder.store());
    std::vector<std::uint64_t> seqs(2500);  // more than one MultiGet takes, with repetitions
    for (std::uint64_t& seq : seqs) seq = 1 + rng.below(kEvents);
    std::vector<int> seen(seqs.size());
    ASSERT_OK(opened.store->read(seqs, [&](std::size_t i, std::string_view record) {
      EXPECT_EQ(record, testing::record_of(seqs[i], {0, static_cast<std::int64_t>(seqs[i]) - 1}));
      ++seen[i];
    }));
    EXPECT_EQ(seen, std::vector<int>(seqs.size(), 1));
  }
}

}  // namespace
}  // namespace freshet
