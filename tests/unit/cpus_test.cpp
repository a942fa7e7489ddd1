#include "os/cpus.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace tandem::os {
namespace {

namespace fs = std::filesystem;

// A tree of cgroups, as the kernel would show it.
class CgroupsTest : public testing::Test {
 protected:
  ~CgroupsTest() override { fs::remove_all(root_); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  [[nodiscard]] unsigned cpus(const std::string& groups) const {
    write("self", groups);
    return cpus_of_cgroups(root_ / "self", root_);
  }
  static constexpr unsigned kNoLimit = 1 << 20;

 private:
  const fs::path root_ =
      fs::temp_directory_path() / ("tandem-cgroups-" + std::to_string(::getpid()));
};

TEST_F(CgroupsTest, Version2QuotaIsRoundedUp) {
  write("a/cpu.max", "150000 100000\n");
  EXPECT_EQ(cpus("0::/a\n"), 2U);
  write("a/cpu.max", "200000 100000\n");
  EXPECT_EQ(cpus("0::/a\n"), 2U);
  write("a/cpu.max", "1000 100000\n");
  EXPECT_EQ(cpus("0::/a\n"), 1U);
}

TEST_F(CgroupsTest, WithoutQuotaThereIsNoLimit) {
  write("a/cpu.max", "max 100000\n");
  EXPECT_GE(cpus("0::/a\n"), kNoLimit);
  EXPECT_GE(cpus("0::/elsewhere\n"), kNoLimit);
  EXPECT_GE(cpus(""), kNoLimit);
}

TEST_F(CgroupsTest, AGroupAboveMayBeTheNarrowest) {
  write("a/cpu.max", "300000 100000\n");
  write("a/b/cpu.max", "max 100000\n");
  write("a/b/c/cpu.max", "800000 100000\n");
  EXPECT_EQ(cpus("0::/a/b/c\n"), 3U);
}

TEST_F(CgroupsTest, Version1IsReadWhereverItIsMounted) {
  write("cpu/a/cpu.cfs_quota_us", "250000\n");
  write("cpu/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpus("5:memory:/a\n4:cpu:/a\n"), 3U);
  write("cpu,cpuacct/b/cpu.cfs_quota_us", "100000\n");
  write("cpu,cpuacct/b/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpus("4:cpu,cpuacct:/b\n"), 1U);
  write("cpu/c/cpu.cfs_quota_us", "-1\n");
  write("cpu/c/cpu.cfs_period_us", "100000\n");
  EXPECT_GE(cpus("4:cpu:/c\n"), kNoLimit);
}

TEST_F(CgroupsTest, GarbageIsNoLimit) {
  write("a/cpu.max", "many few\n");
  EXPECT_GE(cpus("0::/a\nno colons\n0:\n::\n0::a\n"), kNoLimit);
  write("b/cpu.max", "100 0\n");
  EXPECT_GE(cpus("0::/b\n"), kNoLimit);
}

}  // namespace
}  // namespace tandem::os
