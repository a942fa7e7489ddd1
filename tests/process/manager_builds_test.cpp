// A manager and a client that are programs of different builds.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "other_build.hpp"
#include "support/leak_check.hpp"
#include "tandem/manager.hpp"

namespace tandem::test {
namespace {

/// \returns what waitpid says
int run_other_build(const Address& address) {
  std::string program = TANDEM_OTHER_BUILD;
  std::string where = address.to_string();
  char* const arguments[] = {program.data(), where.data(), nullptr};
  pid_t child = 0;
  int status = -1;
  if (posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ) != 0 ||
      waitpid(child, &status, 0) != child) {
    ADD_FAILURE() << program << " does not run";
  }
  return status;
}

class ManagerBuildsTest : public testing::TestWithParam<std::string> {};

TEST_P(ManagerBuildsTest, ShareWhatIsStoredAndNoCode) {
  const std::string place = GetParam() == "unix" ? "unix:@" + unique_name("builds") : GetParam();
  Manager manager({.address = Address(place), .authkey = kOtherBuildKey});
  const auto words = manager.dict<std::string, std::string>({{"asked", "who is there?"}}, "words");
  const auto readings = manager.list<Reading>({{1, 20.5, {"first", ""}}}, "readings");
  const auto total = manager.value<long>(10, "total");
  const auto squares = manager.array<int>(std::vector<int>{0, 1, 0}, "squares");
  auto settings = manager.namespace_("settings");
  settings.set("ready", false);
  const auto letters = manager.queue<std::string>(0, "letters");
  letters.put("question");
  const auto lock = manager.lock("lock");
  const auto counter = manager.create_named<Counter>("counter", 100);
  const auto objects = manager.statistics().objects;

  const int status = run_other_build(manager.address());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);

  EXPECT_EQ(words.copy(), (std::map<std::string, std::string>{{"asked", "who is there?"},
                                                              {"answered", "another build"}}));
  EXPECT_EQ(readings.at(0), (Reading{1, 20.5, {"first", ""}}));
  EXPECT_EQ(readings.at(1), (Reading{2, -3.25, {"second"}}));
  EXPECT_EQ(total.load(), 15);
  EXPECT_EQ(squares.at(2), 4);
  EXPECT_TRUE(settings.get<bool>("ready"));
  EXPECT_EQ(letters.get(), "answer");
  EXPECT_EQ(counter.call<&Counter::next>(), 101);
  // What was refused has left nothing.
  while (manager.statistics().connections != 1) std::this_thread::yield();
  EXPECT_EQ(manager.statistics().objects, objects);
}

INSTANTIATE_TEST_SUITE_P(OverAddresses, ManagerBuildsTest,
                         testing::Values("unix", "tcp:127.0.0.1:0"),
                         [](const auto& of) { return of.param == "unix" ? "Unix" : "Tcp"; });

}  // namespace
}  // namespace tandem::test
