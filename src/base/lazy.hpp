// An object of static duration that is made when it is first asked for and never destroyed.
#pragma once

#include <atomic>

namespace tandem::base {

/// To be declared constinit. A static local variable will not do: a child forked while another thread
/// makes it would wait for that thread for ever. Here the child makes its own. Of two threads that
/// both make one, one throws its away: T() may have no effect beyond the object.
template <class T>
class Lazy {
 public:
  constexpr Lazy() noexcept = default;
  Lazy(const Lazy&) = delete;
  Lazy& operator=(const Lazy&) = delete;
  ~Lazy() = default;

  [[nodiscard]] T& operator*() {
    T* known = object_.load(std::memory_order_acquire);  // pairs with the exchange
    if (known != nullptr) [[likely]]
      return *known;
    T* const made = new T;
    if (object_.compare_exchange_strong(known, made, std::memory_order_acq_rel)) return *made;
    delete made;
    return *known;
  }
  [[nodiscard]] T* operator->() { return &**this; }

 private:
  std::atomic<T*> object_{nullptr};
};

}  // namespace tandem::base
