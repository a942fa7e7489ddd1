// What the primitives cost, beside the bare thing each stands on: a robust mutex of the C library,
// an atomic, a futex.
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <mutex>

#include "harness.hpp"

namespace {

constexpr int kCalls = 1'000'000;

/// \returns nanoseconds for each call
template <class Call>
std::vector<double> time_calls(Call call) {
  const bench::Clock::time_point start = bench::Clock::now();
  for (int i = 0; i < kCalls; ++i) call();
  return {bench::seconds_since(start) * 1e9 / kCalls};
}

class PlainRobustMutex {
 public:
  PlainRobustMutex() {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    if (pthread_mutex_init(mutex_.operator->(), &attributes) != 0) {
      throw std::runtime_error("no robust mutex");
    }
    pthread_mutexattr_destroy(&attributes);
  }
  void lock() { pthread_mutex_lock(mutex_.operator->()); }
  void unlock() { pthread_mutex_unlock(mutex_.operator->()); }

 private:
  bench::Shared<pthread_mutex_t> mutex_;
};

void compare_locks() {
  tandem::Lock lock;
  tandem::RLock rlock;
  tandem::Semaphore semaphore(1);
  PlainRobustMutex plain;
  bench::compare(
      {.work = "lock and unlock, nobody else there",
       .metrics = {{"ns", false}},
       .candidates = {{"Lock", false,
                       [&] { return time_calls([&] { std::scoped_lock guard(lock); }); }},
                      {"RLock", false,
                       [&] { return time_calls([&] { std::scoped_lock guard(rlock); }); }},
                      {"Semaphore", false,
                       [&] {
                         return time_calls([&] {
                           semaphore.acquire();
                           semaphore.release();
                         });
                       }},
                      {"robust mutex", true,
                       [&] { return time_calls([&] { std::scoped_lock guard(plain); }); }}},
       .reaches = {{"Lock", "robust mutex", 1 / 3.0, 1 / 3.0}}});
}

void compare_counters() {
  tandem::Value<long> value(0);
  const bench::Shared<std::atomic<long>> bare;
  bench::compare({.work = "fetch_add, nobody else there",
                  .metrics = {{"ns", false}},
                  .candidates = {{"Value<long>", false,
                                  [&] { return time_calls([&] { value.fetch_add(1); }); }},
                                 {"atomic<long>", true,
                                  [&] { return time_calls([&] { bare->fetch_add(1); }); }}},
                  .reaches = {{"Value<long>", "atomic<long>", 1 / 1.5, 1 / 1.5}}});
}

/// From the call that wakes to the end of the wait in another process, which is asleep by then.
/// \param wait called in one process, \param wake in the other, once each in a round
/// \returns the median in microseconds
std::vector<double> wake_ups(const std::function<void()>& wait, const std::function<void()>& wake) {
  constexpr std::size_t kRounds = 400;
  struct Rounds {
    std::atomic<std::size_t> waits;  // number of the round that waits, from 1 on
    std::array<bench::Clock::time_point, kRounds> woken;
    std::array<double, kRounds> microseconds;
  };
  const bench::Shared<Rounds> rounds;
  bench::run_together(
      {[&] {
         for (std::size_t i = 0; i < kRounds; ++i) {
           rounds->waits.store(i + 1);
           wait();
           const auto now = bench::Clock::now();
           rounds->microseconds[i] =
               std::chrono::duration<double, std::micro>(now - rounds->woken[i]).count();
         }
       },
       [&] {
         for (std::size_t i = 0; i < kRounds; ++i) {
           while (rounds->waits.load() <= i) bench::relax();
           const timespec asleep{0, 400'000};
           nanosleep(&asleep, nullptr);
           rounds->woken[i] = bench::Clock::now();
           wake();
         }
       }});
  return {bench::percentile(rounds->microseconds, 0.5)};
}

long futex(std::atomic<std::uint32_t>& word, int call, std::uint32_t value) {
  return syscall(SYS_futex, &word, call, value, nullptr, nullptr, 0);
}

void compare_wake_ups() {
  bench::compare({.work = "from set to the end of the wait, asleep",
                  .metrics = {{"p50, us", false}},
                  .candidates = {{"Event", false,
                                  [] {
                                    tandem::Event event;
                                    return wake_ups(
                                        [&] {
                                          event.wait();
                                          event.clear();
                                        },
                                        [&] { event.set(); });
                                  }},
                                 {"futex", true,
                                  [] {
                                    const bench::Shared<std::atomic<std::uint32_t>> word;
                                    return wake_ups(
                                        [&] {
                                          while (word->load() == 0)
                                            futex(*word.operator->(), FUTEX_WAIT, 0);
                                          word->store(0);
                                        },
                                        [&] {
                                          word->store(1);
                                          futex(*word.operator->(), FUTEX_WAKE, 1);
                                        });
                                  }}},
                  .reaches = {{"Event", "futex", 1 / 1.1, 1 / 1.1}}});
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  compare_locks();
  compare_counters();
  compare_wake_ups();
}
