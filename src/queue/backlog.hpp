// How many items of this process wait before the ring. They go from here into the ring in what
// looks like one step to whoever counts both.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace tandem::detail {

class Backlog {
 public:
  [[nodiscard]] std::size_t items() const noexcept {
    return items_.load(std::memory_order_acquire);  // pairs with move: none left, all is published
  }
  void add(std::size_t items) noexcept { items_.fetch_add(items, std::memory_order_release); }
  void drop(std::size_t items) noexcept { items_.fetch_sub(items, std::memory_order_release); }

  void reset() noexcept {
    items_.store(0, std::memory_order_relaxed);
    version_.store(0, std::memory_order_relaxed);
  }

  /// Counts `items` as moved by `publish`. One thread at a time.
  template <class Publish>
  void move(std::size_t items, Publish publish) noexcept {
    const std::uint32_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_seq_cst);
    publish();
    items_.fetch_sub(items, std::memory_order_seq_cst);
    version_.store(version + 2, std::memory_order_release);
  }

  /// The items here and those that `ring` counts, none missed and none counted twice.
  template <class Ring>
  [[nodiscard]] std::size_t with(Ring ring) const noexcept {
    for (;;) {
      const std::uint32_t version = version_.load(std::memory_order_seq_cst);
      const std::size_t sum = items_.load(std::memory_order_seq_cst) + ring();
      if (version % 2 == 0 && version_.load(std::memory_order_seq_cst) == version) return sum;
      std::this_thread::yield();
    }
  }

 private:
  std::atomic<std::size_t> items_{0};
  std::atomic<std::uint32_t> version_{0};  // odd while items are being moved
};

}  // namespace tandem::detail
