#include "daemon/adapters/disk_metrics.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "daemon/cli/temporary_folder.h"

namespace freshet {
namespace {

constexpr const char* kSizeHelp = "Size of the volume that holds the state.";
constexpr const char* kAvailableHelp = "What is free of the volume that holds the state, for users other than root.";

TEST(DiskMetrics, TellsTheVolumeOfTheFolder) {
  const auto folder = TemporaryFolder::create("freshet-test");
  ASSERT_TRUE(folder.is_ok());
  LocalMetrics metrics;
  const DiskMetrics disk(metrics, folder->path());
  const auto expected = std::filesystem::space(folder->path());
  EXPECT_EQ(metrics.gauge("freshet_disk_size_bytes", kSizeHelp).value(), static_cast<double>(expected.capacity));
  // Others write to the volume meanwhile.
  EXPECT_NEAR(metrics.gauge("freshet_disk_available_bytes", kAvailableHelp).value(),
              static_cast<double>(expected.available), 0.1 * static_cast<double>(expected.capacity));
}

TEST(DiskMetrics, AFolderThatIsGoneKeepsTheLastFigures) {
  const auto folder = TemporaryFolder::create("freshet-test");
  ASSERT_TRUE(folder.is_ok());
  const std::string path = folder->path() + "/state";
  std::filesystem::create_directory(path);
  LocalMetrics metrics;
  DiskMetrics disk(metrics, path);
  std::filesystem::remove(path);
  const double before = metrics.gauge("freshet_disk_size_bytes", kSizeHelp).value();
  disk.show();
  EXPECT_GT(before, 0);
  EXPECT_EQ(metrics.gauge("freshet_disk_size_bytes", kSizeHelp).value(), before);
  LocalMetrics others;
  const DiskMetrics never(others, path);
  EXPECT_EQ(others.gauge("freshet_disk_size_bytes", kSizeHelp).value(), 0);
}

}  // namespace
}  // namespace freshet
