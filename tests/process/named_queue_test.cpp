#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <string>
#include <system_error>

#include "os/named_memory.hpp"
#include "os/poll.hpp"
#include "queue/queue_header.hpp"
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

/// Overwrites bytes of the queue's file.
void spoil(const std::string& name, long offset, const std::string& bytes) {
  std::fstream file(os::named_path("queue", name), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(offset);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(file.flush().good());
}

TEST_P(NamedQueueTest, AnotherVersionOrDamageIsRefused) {
  struct {
    long offset;
    std::string bytes;
  } const damages[] = {
      {0, "NOTQUEUE"},
      {offsetof(detail::QueueHeader, version), "\x7f"},
      {offsetof(detail::QueueHeader, capacity), std::string(8, '\xff')},
      {offsetof(detail::QueueHeader, domain), std::string(8, '\x55')},
  };
  for (const auto& damage : damages) {
    const Name name;
    { const auto queue = Queue<int>::create(name); }
    spoil(name, damage.offset, damage.bytes);
    EXPECT_THROW((void)Queue<int>::open(name), DecodeError) << damage.offset;
  }
}

/// Where its bell lies.
std::string bell_of(const std::string& name) {
  struct stat found {};
  EXPECT_EQ(::stat(os::named_path("queue", name).c_str(), &found), 0);
  return os::named_path("bell", std::to_string(found.st_ino));
}

TEST_P(NamedQueueTest, RemoveLeavesNothing) {
  const Name name;
  auto queue = Queue<int>::create(name);
  const std::string bell = bell_of(name);
  EXPECT_EQ(::access(bell.c_str(), F_OK), 0);
  EXPECT_TRUE(Queue<int>::remove(name));
  EXPECT_EQ(::access(bell.c_str(), F_OK), -1);
  EXPECT_FALSE(Queue<int>::remove(name));
  EXPECT_EQ(refusal([&] { (void)Queue<int>::open(name); }), std::errc::no_such_file_or_directory);
}

// Its maker died between the two.
TEST_P(NamedQueueTest, AMissingBellIsMade) {
  const Name name;
  {
    auto queue = Queue<int>::create(name);
    queue.put(1);
  }
  ASSERT_EQ(::unlink(bell_of(name).c_str()), 0);
  auto queue = Queue<int>::open(name);
  EXPECT_TRUE(os::wait_readable(queue.fd(), detail::Deadline::now()));
  EXPECT_EQ(queue.get(), 1);
  EXPECT_FALSE(os::wait_readable(queue.fd(), detail::Deadline::now()));
}

TEST_P(NamedQueueTest, SomethingElseWhereTheBellShouldBeIsRefused) {
  const Name name;
  { const auto queue = Queue<int>::create(name); }
  const std::string bell = bell_of(name);
  ASSERT_EQ(::unlink(bell.c_str()), 0);
  std::ofstream(bell) << "not a bell";
  EXPECT_EQ(refusal([&] { (void)Queue<int>::open(name); }), std::errc::permission_denied);
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
