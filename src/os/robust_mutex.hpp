// A mutex in shared memory whose owner may die. glibc's robust process-shared mutex with three rules
// built in: sleeps are cut in slices, because a wake-up given to a waiter that is then killed is lost;
// an owner's death is told exactly once, with the mutex held and already consistent; nobody waits past
// the deadline.
#pragma once

#include <pthread.h>

#include "tandem/detail/deadline.hpp"

namespace tandem::os {

enum class Acquired {
  no,          // timed out, or busy
  yes,
  owner_died,  // held, and consistent; what it protects is the caller's to judge
};

/// Standard layout; lives in zero-filled shared memory until `init`.
class RobustMutex {
 public:
  /// \param checked relocking by the owner and unlocking by another are errors instead of deadlocks
  void init(bool checked);
  /// Spins shortly before it sleeps. \throws SystemError EDEADLK (checked), ENOTRECOVERABLE
  [[nodiscard]] Acquired lock(detail::Deadline deadline);
  [[nodiscard]] Acquired try_lock();
  /// \throws SystemError EPERM when checked and the caller is not the owner
  void unlock();

 private:
  pthread_mutex_t mutex_;
};

}  // namespace tandem::os
