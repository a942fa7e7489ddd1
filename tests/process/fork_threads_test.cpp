// A fork while other threads are inside calls of this library: the child's own calls work.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/forked.hpp"
#include "support/start_methods.hpp"
#include "tandem/barrier.hpp"
#include "tandem/detail/buffer.hpp"
#include "tandem/detail/call.hpp"
#include "tandem/detail/exception.hpp"
#include "tandem/event.hpp"
#include "tandem/lock.hpp"
#include "tandem/log.hpp"
#include "tandem/pipe.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"
#include "tandem/rlock.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;

// The allocation of this thread that waits until `go_on`; 0 is none.
constinit thread_local int stalling_allocation = 0;
constinit std::atomic<bool> stalls{false};
constinit std::atomic<bool> go_on{false};

void count_allocation() noexcept {
  if (stalling_allocation == 0 || --stalling_allocation != 0) return;
  stalls = true;
  while (!go_on) std::this_thread::yield();
}

}  // namespace
}  // namespace tandem::test

[[gnu::noinline]] void* operator new(std::size_t size) {
  tandem::test::count_allocation();
  if (void* const memory = std::malloc(size != 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace tandem::test {
namespace {

constexpr int kForks = 15;

void do_nothing() {}

// Threads of this process that do nothing but call, until this goes.
class BusyThreads {
 public:
  explicit BusyThreads(std::vector<std::function<void()>> calls) {
    for (auto& call : calls) {
      threads_.emplace_back([this, call = std::move(call)] {
        while (!stop_.load(std::memory_order_relaxed)) call();
      });
    }
  }
  BusyThreads(const BusyThreads&) = delete;
  BusyThreads& operator=(const BusyThreads&) = delete;
  ~BusyThreads() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

class ForkThreadsTest : public testing::Test {
 protected:
  void TearDown() override { end_fork_servers(); }

  // What the threads of the parent use the child uses as well, and things of its own.
  int child_calls(int number) {
    { const std::scoped_lock guard(lock_, recursive_); }
    event_.set();
    static_cast<void>(event_.is_set());
    static_cast<void>(passed_on_.size());
    from_children_.put(number);
    Queue<std::string> own;
    own.put("own");
    if (own.get() != "own") return 2;
    Lock own_lock;
    const std::scoped_lock guard(own_lock);
    if (Barrier(1, &do_nothing).wait() != 0) return 4;
    auto [one, other] = Pipe<int>();
    one.send(number);
    return other.recv() == number ? 0 : 3;
  }

  std::vector<std::function<void()>> calls() {
    // None waits for another for long: they end in any order.
    return {[this] { static_cast<void>(passed_on_.put_for(std::string(100, 'x'), 1ms)); },
            [this] { static_cast<void>(passed_on_.get_for(1ms)); },
            [this] { static_cast<void>(empty_.get_for(1ms)); },
            [this] { const std::scoped_lock guard(lock_); },
            [this] {
              const std::scoped_lock guard(recursive_);
              event_.set();
              event_.clear();
            },
            [] { static_cast<void>(detail::place_of(&do_nothing)); },
            [] {
              Queue<int> short_lived;
              short_lived.put(1);
              auto [reader, writer] = Pipe<int>();
            }};
  }

  void expect_all() {
    std::vector<bool> seen(kForks);
    for (int i = 0; i < kForks; ++i) {
      const int number = from_children_.get();
      ASSERT_LT(number, kForks);
      EXPECT_FALSE(seen[static_cast<std::size_t>(number)]) << number;
      seen[static_cast<std::size_t>(number)] = true;
    }
    EXPECT_TRUE(from_children_.empty());
  }

  Queue<std::string> passed_on_{64};
  Queue<int> empty_;
  Queue<int> from_children_;
  Lock lock_;
  RLock recursive_;
  Event event_;
};

TEST_F(ForkThreadsTest, AProcessByFork) {
  {
    const BusyThreads busy(calls());
    for (int i = 0; i < kForks; ++i) {
      Process child(start::fork, [this, i] { std::exit(child_calls(i)); });
      child.start();
      child.join();
      EXPECT_EQ(child.exitcode(), 0);
    }
  }
  expect_all();
}

TEST_F(ForkThreadsTest, TheUsersOwnFork) {
  {
    const BusyThreads busy(calls());
    for (int i = 0; i < kForks; ++i) {
      Forked child([this, i] { return child_calls(i); });
      EXPECT_EQ(child.wait(), 0);
    }
  }
  expect_all();
}

TEST_F(ForkThreadsTest, WhileOtherThreadsStartProcesses) {
  const auto start_and_join = [](StartMethod method) {
    Process process({.start_method = method}, [] {});
    process.start();
    process.join();
  };
  const BusyThreads busy({[&] { start_and_join(StartMethod::spawn); },
                          [&] { start_and_join(StartMethod::forkserver); }});
  for (int i = 0; i < 10; ++i) {
    Process child(start::fork, [] {
      Process grandchild(start::forkserver, [] { std::exit(5); });
      grandchild.start();
      grandchild.join();
      std::exit(grandchild.exitcode().value());
    });
    child.start();
    child.join();
    EXPECT_EQ(child.exitcode(), 5);
  }
}

// What the library makes when it is first needed, here at the same time by a thread that the child does
// not have: in it everything that thread was about to make.
TEST_F(ForkThreadsTest, WhileAThreadUsesSomethingForTheFirstTime) {
  if (kTsan)
    GTEST_SKIP() << "ThreadSanitizer takes the thread that the child does not have for a leak";
  const auto use = [] {
    detail::Buffer bytes;
    detail::Encoder to(bytes, detail::Route::process, nullptr);
    detail::encode_exception(to, std::make_exception_ptr(std::runtime_error("first")), "here");
    static_cast<void>(current_process());
    const Process never_started(start::fork, [] {});
  };
  for (int allocation = 1; allocation < 40; allocation += 3) {
    Forked fresh([&] {
      std::thread first([&] {
        stalling_allocation = allocation;
        use();
        stalls = true;  // it has allocated less often
      });
      while (!stalls) std::this_thread::yield();
      Forked child([&] {
        use();
        return 0;
      });
      const int status = child.wait();
      go_on = true;
      first.join();
      return status;
    });
    EXPECT_EQ(fresh.wait(), 0) << "at allocation " << allocation;
  }
}

}  // namespace
}  // namespace tandem::test
