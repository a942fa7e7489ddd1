#include "tandem/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "tandem/version.hpp"

namespace tandem {
namespace {

TEST(ErrorTest, SystemErrorNamesTheCallAndTheReason) {
  const SystemError error(std::error_code(ENOENT, std::system_category()),
                          "SharedMemory::open(\"results\")");
  EXPECT_STREQ(error.what(), "SharedMemory::open(\"results\"): No such file or directory");
  EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory);
}

TEST(ErrorTest, RemoteErrorKeepsTypeTraceAndPid) {
  const RemoteError error("app::BadInput", "line 3", "worker-2, pid 42", 42);
  EXPECT_STREQ(error.what(), "line 3");
  EXPECT_EQ(error.type_name(), "app::BadInput");
  EXPECT_EQ(error.remote_trace(), "worker-2, pid 42");
  EXPECT_EQ(error.pid(), 42);
}

TEST(ErrorTest, WorkerDiedTellsASignalFromAnExitCode) {
  EXPECT_EQ(WorkerDied("Pool::map", 42, -9).exit_code(), -9);
  EXPECT_EQ(WorkerDied("Pool::map", 42, 3).exit_code(), 3);
  EXPECT_EQ(WorkerDied("Pool::map", 42, 3).pid(), 42);
}

TEST(ErrorTest, EveryErrorIsCaughtAsError) {
  EXPECT_THROW(throw EndOfFile("Connection::recv"), Error);
  EXPECT_THROW(throw Cancelled("AsyncResult::get"), std::runtime_error);
}

TEST(VersionTest, HeadersAndLibraryAgree) { EXPECT_EQ(version(), kVersion); }

}  // namespace
}  // namespace tandem
