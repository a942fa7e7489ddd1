#include "tandem/semaphore.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <random>
#include <semaphore>
#include <thread>
#include <vector>

#include "support/cross.hpp"
#include "support/forked.hpp"
#include "support/proc.hpp"
#include "support/random.hpp"
#include "tandem/error.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using test::Forked;
using test::Step;

void wait_until_asleep(const Forked& child) {
  while (test::process_table().at(child.pid()).state != 'S') std::this_thread::yield();
}

int code_of(Semaphore& semaphore, std::size_t permits) {
  try {
    semaphore.release(permits);
  } catch (const SystemError& error) {
    return error.code().value();
  }
  return 0;
}

TEST(SemaphoreTest, HasAsManyPermitsAsItWasGiven) {
  Semaphore semaphore(2);
  EXPECT_EQ(semaphore.value(), 2U);
  semaphore.acquire();
  EXPECT_TRUE(semaphore.try_acquire());
  EXPECT_FALSE(semaphore.try_acquire());
  EXPECT_FALSE(semaphore.try_acquire_for(0s));
  EXPECT_EQ(semaphore.value(), 0U);
  semaphore.release(3);
  EXPECT_EQ(semaphore.value(), 3U);
  EXPECT_TRUE(semaphore.try_acquire_for(1h));
  EXPECT_EQ(Semaphore().value(), 1U);
  EXPECT_EQ(Semaphore(0).value(), 0U);
}

TEST(SemaphoreTest, CountsToItsLimitAndNotBeyond) {
  constexpr std::size_t kMost = 0x7fff'ffff;
  Semaphore semaphore(kMost - 1);
  EXPECT_EQ(code_of(semaphore, 2), EOVERFLOW);
  EXPECT_EQ(code_of(semaphore, ~std::size_t{0}), EOVERFLOW);
  semaphore.release();
  EXPECT_EQ(semaphore.value(), kMost);
  EXPECT_THROW(Semaphore(kMost + 1), SystemError);
  EXPECT_THROW(Semaphore(static_cast<std::size_t>(-1)), SystemError);
}

TEST(BoundedSemaphoreTest, RefusesAReleaseTooMany) {
  BoundedSemaphore semaphore(2);
  EXPECT_EQ(code_of(semaphore, 1), EOVERFLOW);
  semaphore.acquire();
  EXPECT_EQ(code_of(semaphore, 2), EOVERFLOW);
  EXPECT_EQ(semaphore.value(), 1U);
  semaphore.release();
  EXPECT_EQ(code_of(semaphore, 1), EOVERFLOW);
  EXPECT_EQ(semaphore.value(), 2U);
}

TEST(SemaphoreTest, GivesUpAfterTheTimeNotBefore) {
  Semaphore semaphore(0);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(semaphore.try_acquire_for(70ms));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 70ms);
  EXPECT_FALSE(semaphore.try_acquire_until(start));
  EXPECT_FALSE(semaphore.try_acquire_for(-1h));
}

TEST(SemaphoreTest, EachPermitReleasesOneSleeper) {
  Semaphore semaphore(0);
  Step got;
  std::vector<std::unique_ptr<Forked>> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(std::make_unique<Forked>([&] {
      semaphore.acquire();
      got.done();
      return 0;
    }));
  }
  for (const auto& child : children) wait_until_asleep(*child);
  semaphore.release();
  got.await();
  semaphore.release(2);
  got.await();
  got.await();
  semaphore.release();
  got.await();
  for (auto& child : children) EXPECT_EQ(child->wait(), 0);
  EXPECT_EQ(semaphore.value(), 0U);
}

// Every permit is somebody's: what a sleeper leaves behind when it gives up must not be lost.
TEST(SemaphoreTest, NoPermitIsLostBetweenSleepersThatGiveUp) {
  std::mt19937_64 random(test::seed());
  constexpr int kPermits = 3, kThreads = 4, kRounds = 300;
  Semaphore semaphore(kPermits);
  std::atomic<int> holders{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads * 2; ++i) {
    threads.emplace_back([&, chance = std::mt19937_64(random())]() mutable {
      for (int round = 0; round < kRounds; ++round) {
        if (!semaphore.try_acquire_for(std::chrono::microseconds(chance() % 200))) continue;
        EXPECT_LE(holders.fetch_add(1) + 1, kPermits);
        if (chance() % 4 == 0) std::this_thread::yield();
        holders.fetch_sub(1);
        semaphore.release();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(semaphore.value(), static_cast<std::size_t>(kPermits));
}

TEST(SemaphoreTest, AgreesWithTheStandards) {
  std::mt19937_64 random(test::seed());
  Semaphore ours(3);
  std::counting_semaphore<1000> standards(3);
  std::size_t permits = 3;
  for (int i = 0; i < 5'000; ++i) {
    if (random() % 2 == 0 && permits < 900) {
      const std::size_t more = random() % 4;
      ours.release(more);
      standards.release(static_cast<std::ptrdiff_t>(more));
      permits += more;
    } else {
      const bool got = ours.try_acquire();
      ASSERT_EQ(got, permits != 0);
      if (got) {
        standards.acquire();
        --permits;
      }
    }
    ASSERT_EQ(ours.value(), permits);
  }
}

TEST(SemaphoreTest, AKilledSleeperDoesNotKeepAPermitFromTheOthers) {
  for (int round = 0; round < 10; ++round) {
    Semaphore semaphore(0);
    const auto take = [&] {
      semaphore.acquire();
      return 0;
    };
    Forked victim(take), survivor(take);
    wait_until_asleep(victim);
    wait_until_asleep(survivor);
    // The wake-up may go to the victim, which is killed before it can use it.
    ::kill(victim.pid(), SIGSTOP);
    semaphore.release();
    victim.kill();
    EXPECT_EQ(survivor.wait(), 0);
  }
}

TEST(SemaphoreTest, CrossesAsWhatItIs) {
  Semaphore semaphore(1);
  BoundedSemaphore bounded(1);
  Semaphore other = test::cross(semaphore, detail::Route::process);
  other.acquire();
  EXPECT_EQ(semaphore.value(), 0U);
  EXPECT_EQ(other.name(), semaphore.name());
  BoundedSemaphore same = test::cross(bounded, detail::Route::connection);
  EXPECT_THROW(same.release(), SystemError);
  EXPECT_THROW((void)test::cross(semaphore, detail::Route::queue), NotSendable);
  EXPECT_THROW((void)(test::cross<Semaphore, BoundedSemaphore>(semaphore, detail::Route::process)),
               DecodeError);
}

}  // namespace
}  // namespace tandem
