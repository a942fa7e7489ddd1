#include <gtest/gtest.h>

#include <string>
#include <system_error>

#include "support/leak_check.hpp"
#include "support/start_methods.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

using NamedQueueTest = test::StartMethodTest;
TANDEM_OVER_START_METHODS(NamedQueueTest);

/// Takes the name away at the end of the test.
class Name {
 public:
  Name() : name_(test::unique_name("queue")) {}
  Name(const Name&) = delete;
  Name& operator=(const Name&) = delete;
  ~Name() { Queue<int>::remove(name_); }
  operator const std::string&() const { return name_; }
  operator std::string_view() const { return name_; }

 private:
  std::string name_;
};

template <class Call>
std::error_code refusal(Call call) {
  try {
    call();
  } catch (const SystemError& error) {
    return error.code();
  }
  return {};
}

void answer(std::string name) {
  auto queue = Queue<std::string>::open(name);
  queue.put("from the child");
}

TEST_P(NamedQueueTest, FoundByItsNameInAnotherProcess) {
  const Name name;
  auto queue = Queue<std::string>::create(name);
  Process child(answer, std::string(name));
  child.start();
  EXPECT_EQ(queue.get(), "from the child");
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

void answer_on(Queue<std::string> queue) { queue.put("handed over"); }

TEST_P(NamedQueueTest, CrossesAsAnArgumentToo) {
  const Name name;
  auto queue = Queue<std::string>::create(name);
  Process child(answer_on, queue);
  child.start();
  EXPECT_EQ(queue.get(), "handed over");
}

TEST_P(NamedQueueTest, StaysUsableAfterItsNameIsGone) {
  const Name name;
  auto queue = Queue<int>::create(name, {.maxsize = 2});
  auto other = Queue<int>::open(name);
  EXPECT_TRUE(Queue<int>::remove(name));
  EXPECT_FALSE(Queue<int>::remove(name));
  queue.put(1);
  EXPECT_EQ(other.get(), 1);
  EXPECT_EQ(refusal([&] { (void)Queue<int>::open(name); }), std::errc::no_such_file_or_directory);
  auto next = Queue<int>::create(name);  // another one under the same name
  EXPECT_TRUE(next.empty());
}

TEST_P(NamedQueueTest, TheWrongTypeOrKindIsRefused) {
  const Name name;
  auto queue = Queue<int>::create(name);
  EXPECT_THROW((void)Queue<std::string>::open(name), DecodeError);
  EXPECT_THROW((void)JoinableQueue<int>::open(name), DecodeError);
}

TEST_P(NamedQueueTest, NamesThatCannotBe) {
  const Name name;
  auto queue = Queue<int>::create(name);
  EXPECT_EQ(refusal([&] { (void)Queue<int>::create(name); }), std::errc::file_exists);
  EXPECT_EQ(refusal([] { (void)Queue<int>::create(""); }), std::errc::invalid_argument);
  EXPECT_EQ(refusal([] { (void)Queue<int>::create("a/b"); }), std::errc::invalid_argument);
  EXPECT_EQ(refusal([] { (void)Queue<int>::create(std::string_view("a\0b", 3)); }),
            std::errc::invalid_argument);
  EXPECT_EQ(refusal([] { (void)Queue<int>::create(std::string(300, 'n')); }),
            std::errc::filename_too_long);
}

}  // namespace
}  // namespace tandem
