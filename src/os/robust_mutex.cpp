#include "os/robust_mutex.hpp"

#include <cerrno>
#include <ctime>

#include "os/check.hpp"
#include "os/fence.hpp"
#include "os/futex.hpp"
#include "os/spin.hpp"

namespace tandem::os {
namespace {

void expect_success(int error, const char* what) {
  if (error != 0) throw_error(error, what);
}

// What a lock call of any kind said, short of success. EDEADLK is left to the caller.
Acquired outcome(int error, pthread_mutex_t& mutex) {
  switch (error) {
    case 0:
      return Acquired::yes;
    case EOWNERDEAD:
      // Unlocked without this, it would be unusable for ever.
      expect_success(::pthread_mutex_consistent(&mutex), "mend a lock whose owner died");
      return Acquired::owner_died;
    case EBUSY:
    case ETIMEDOUT:
    case EAGAIN:
      return Acquired::no;
    default:
      throw_error(error, "lock");
  }
}

int lock_until(pthread_mutex_t& mutex, detail::Deadline deadline) {
#if defined(TANDEM_THREAD_SANITIZER)
  // The sanitizer of GCC 12 does not see a mutex taken by pthread_mutex_clocklock, nor one that
  // pthread_mutex_timedlock took from a dead owner. It understands trylock.
  for (;;) {
    const int error = ::pthread_mutex_trylock(&mutex);
    if (error != EBUSY) return error;
    if (deadline.passed()) return ETIMEDOUT;
    const timespec pause{0, 100'000};
    ::nanosleep(&pause, nullptr);
  }
#else
  timespec until{};
  until.tv_sec = static_cast<time_t>(deadline.ns() / 1'000'000'000);
  until.tv_nsec = static_cast<long>(deadline.ns() % 1'000'000'000);
  return ::pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &until);
#endif
}

}  // namespace

void RobustMutex::init(bool checked) {
  pthread_mutexattr_t attributes;
  expect_success(::pthread_mutexattr_init(&attributes), "make a lock");
  int error = ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  if (error == 0) error = ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  if (error == 0) {
    error = ::pthread_mutexattr_settype(&attributes,
                                        checked ? PTHREAD_MUTEX_ERRORCHECK : PTHREAD_MUTEX_NORMAL);
  }
  if (error == 0) error = ::pthread_mutex_init(&mutex_, &attributes);
  ::pthread_mutexattr_destroy(&attributes);
  expect_success(error, "make a lock");
  average_wait_ns_.store(0, std::memory_order_relaxed);
}

std::optional<Acquired> RobustMutex::try_lock_unless_mine() {
  const int error = ::pthread_mutex_trylock(&mutex_);
  if (error == EDEADLK) return std::nullopt;
  return outcome(error, mutex_);
}

Acquired RobustMutex::try_lock() { return try_lock_unless_mine().value_or(Acquired::no); }

Acquired RobustMutex::lock(detail::Deadline deadline) {
  const int error = ::pthread_mutex_trylock(&mutex_);
  if (error == 0) [[likely]]
    return Acquired::yes;
  if (error == EDEADLK) {
    if (deadline.is_now()) return Acquired::no;
    throw_error(EDEADLK, "lock");
  }
  const Acquired got = outcome(error, mutex_);
  return got != Acquired::no || deadline.is_now() ? got : lock_slowly(deadline);
}

void RobustMutex::unlock() { expect_success(::pthread_mutex_unlock(&mutex_), "unlock"); }

Acquired RobustMutex::lock_slowly(detail::Deadline deadline) {
  SpinBudget budget(average_wait_ns_.load(std::memory_order_relaxed));
  const long long start = SpinBudget::now_ns();
  Acquired got = Acquired::no;
  // Its holder may be waiting for this CPU, where there are more processes than CPUs.
  const bool spun = budget.spin([&] { return holder() == 0 && (got = try_lock()) != Acquired::no; },
                                deadline, Between::yield);
  if (!spun) {
    for (;;) {
      const auto slice = deadline.earlier(detail::Deadline::after(kSlice));
      got = outcome(lock_until(mutex_, slice), mutex_);
      if (got != Acquired::no) break;
      if (deadline.passed()) return Acquired::no;
    }
    budget.slept(SpinBudget::now_ns() - start);
  }
  average_wait_ns_.store(budget.average_ns(), std::memory_order_relaxed);
  return got;
}

}  // namespace tandem::os
