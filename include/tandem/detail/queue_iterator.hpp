/// \file
/// What `for (T& v : queue)` goes by, for queues of every kind.
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>

#include "tandem/error.hpp"

namespace tandem::detail {

/// Takes items one after another; the end is reached when the queue was shut down and is empty.
template <class Queue, class T>
class QueueIterator {
 public:
  using iterator_concept = std::input_iterator_tag;
  using value_type = T;
  using difference_type = std::ptrdiff_t;

  QueueIterator() = default;
  /// Waits for the first item.
  explicit QueueIterator(Queue* queue) : queue_(queue) { ++*this; }

  [[nodiscard]] T& operator*() const { return *item_; }
  QueueIterator& operator++() {
    try {
      item_.emplace(queue_->get());
    } catch (const ShutDown&) {
      queue_ = nullptr;
    }
    return *this;
  }
  void operator++(int) { ++*this; }
  [[nodiscard]] bool operator==(std::default_sentinel_t) const { return queue_ == nullptr; }

 private:
  Queue* queue_ = nullptr;
  mutable std::optional<T> item_;
};

}  // namespace tandem::detail
