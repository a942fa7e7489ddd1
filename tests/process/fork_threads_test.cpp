// A fork while other threads are inside calls of this library: the child's own calls work.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/forked.hpp"
#include "support/start_methods.hpp"
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

constexpr int kForks = 15;

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

}  // namespace
}  // namespace tandem::test
