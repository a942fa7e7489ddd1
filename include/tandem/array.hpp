/// \file
/// An array that several processes see and change.
///
///     tandem::Array<double> samples(1'000);
///     tandem::Process child(measure, samples);    // the child sees the same elements
///     child.start();
///     auto guard = samples.lock();
///     samples[0] = 1.5;
#pragma once

#include <concepts>
#include <cstddef>
#include <deque>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <new>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/type_name.hpp"
#include "tandem/detail/typed_memory.hpp"
#include "tandem/lock.hpp"
#include "tandem/memory.hpp"

namespace tandem {

/// A copy names the same array; it lives as long as a handle does in any process. Sendable to
/// processes and over connections of this machine.
///
/// The elements are plain memory: who changes them while another reads or writes holds `lock()`, or
/// uses std::atomic_ref. What a process has written when it is killed stays, half done or not;
/// who was to hold the lock next hears of it by `OwnerDied`, as with any Lock.
///
/// As Python's `multiprocessing.Array`, without a lock around each access.
template <PlainValue T>
class Array {
  static_assert(alignof(T) <= detail::TypedHeader::kOffset);

 public:
  using TandemHandle = void;
  using value_type = T;

  /// Of that many T(). \throws SystemError ENOMEM; when there is no memory or descriptor left
  explicit Array(std::size_t size) requires std::default_initializable<T> : Array(make(size)) {
    if constexpr (!std::is_trivially_default_constructible_v<T>) {
      std::uninitialized_value_construct_n(data_, size);
    }  // else the zero bytes are T() already
  }
  /// Of the range's elements.
  template <std::ranges::input_range Range>
  requires(!std::same_as<std::remove_cvref_t<Range>, Array>) &&
      std::convertible_to<std::ranges::range_reference_t<Range>, T> explicit Array(Range&& range)
      : Array(make(range)) {}
  /// Of these elements.
  Array(std::initializer_list<T> elements) : Array(make(elements)) {}

  Array(const Array&) = default;
  Array& operator=(const Array&) = default;
  ~Array() = default;

  /// The element at i, which must be less than `size()`.
  [[nodiscard]] T& operator[](std::size_t i) const noexcept { return data_[i]; }
  /// \throws std::out_of_range
  [[nodiscard]] T& at(std::size_t i) const {
    if (i >= size_) {
      throw std::out_of_range("Array::at: " + std::to_string(i) + " of " + std::to_string(size_));
    }
    return data_[i];
  }
  /// How many elements there are.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Whether there are none.
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  /// All elements; valid while this process has a handle, as pointers and iterators are.
  [[nodiscard]] std::span<T> span() const noexcept { return {data_, size_}; }
  /// The first element.
  [[nodiscard]] T* data() const noexcept { return data_; }
  /// The first element.
  [[nodiscard]] T* begin() const noexcept { return data_; }
  /// Behind the last element.
  [[nodiscard]] T* end() const noexcept { return data_ + size_; }

  /// Waits until the caller holds the array's lock. This handle must outlive what is returned.
  /// \throws OwnerDied when its holder died, until somebody's `mutex().recover()`
  [[nodiscard]] std::unique_lock<Lock> lock() const { return std::unique_lock<Lock>(lock_); }
  /// The lock itself, to recover it or to wait for it with a Condition.
  [[nodiscard]] Lock& mutex() const noexcept { return lock_; }

  /// As messages call it; the same in every process.
  [[nodiscard]] const std::string& name() const noexcept { return memory_.name(); }

  void save(detail::Encoder& to) const {
    memory_.save(to);
    lock_.save(to);
  }
  [[nodiscard]] static Array detail_decode(detail::Decoder& from) {
    SharedMemory memory = SharedMemory::detail_decode(from);
    const std::size_t size = detail::check_typed_memory(memory, detail::typed_header<T>('A', 0),
                                                        sizeof(T), detail::type_name<Array>());
    return Array(std::move(memory), Lock::detail_decode(from), size);
  }

 private:
  Array(SharedMemory memory, Lock lock, std::size_t size) noexcept
      : memory_(std::move(memory)),
        lock_(std::move(lock)),
        data_(reinterpret_cast<T*>(memory_.data() + detail::TypedHeader::kOffset)),
        size_(size) {}
  [[nodiscard]] static Array make(std::size_t size) {
    return {detail::make_typed_memory(detail::typed_header<T>('A', size), sizeof(T)), Lock(), size};
  }
  template <class Range>
  [[nodiscard]] static Array make(Range& range) {
    if constexpr (std::ranges::forward_range<Range>) {
      Array array = make(static_cast<std::size_t>(std::ranges::distance(range)));
      T* to = array.data_;
      for (auto&& element : range) new (to++) T(static_cast<T>(element));
      return array;
    } else {
      std::deque<T> elements;
      for (auto&& element : range) elements.push_back(static_cast<T>(element));
      return make(elements);
    }
  }

  SharedMemory memory_;
  mutable Lock lock_;
  T* data_;
  std::size_t size_;
};

}  // namespace tandem
