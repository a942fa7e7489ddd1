/// \file
/// Containers in shared memory.
///
///     tandem::SharedHeap heap(1 << 20);
///     auto* words = heap.find_or_construct<tandem::SharedVector<tandem::SharedString>>("words");
///     tandem::Process child(work, heap);            // the child finds the same vector
///     child.start();
///     auto guard = heap.lock();
///     words->emplace_back("first");
#pragma once

#include <boost/container/map.hpp>
#include <boost/container/scoped_allocator.hpp>
#include <boost/container/string.hpp>
#include <boost/container/vector.hpp>
#include <boost/interprocess/offset_ptr.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/fingerprint.hpp"
#include "tandem/detail/heap_core.hpp"
#include "tandem/lock.hpp"
#include "tandem/memory.hpp"

namespace tandem {

namespace detail {

template <class T>
class HeapAllocator {
 public:
  using value_type = T;
  using pointer = boost::interprocess::offset_ptr<T>;
  using const_pointer = boost::interprocess::offset_ptr<const T>;
  using void_pointer = boost::interprocess::offset_ptr<void>;
  using const_void_pointer = boost::interprocess::offset_ptr<const void>;
  using difference_type = std::ptrdiff_t;
  using size_type = std::size_t;
  template <class U>
  struct rebind {
    using other = HeapAllocator<U>;
  };

  explicit HeapAllocator(HeapState& heap) noexcept : heap_(&heap) {}
  template <class U>
  HeapAllocator(const HeapAllocator<U>& other) noexcept  // NOLINT(google-explicit-constructor)
      : heap_(&other.heap()) {}

  [[nodiscard]] pointer allocate(size_type n) {
    if (n > max_size()) throw std::bad_array_new_length();
    return pointer(static_cast<T*>(heap_allocate(heap(), n * sizeof(T), alignof(T))));
  }
  void deallocate(const pointer& at, size_type) noexcept { heap_deallocate(heap(), at.get()); }
  [[nodiscard]] size_type max_size() const noexcept { return PTRDIFF_MAX / sizeof(T); }
  [[nodiscard]] HeapState& heap() const noexcept { return *static_cast<HeapState*>(heap_.get()); }
  friend bool operator==(const HeapAllocator& a, const HeapAllocator& b) noexcept {
    return a.heap_ == b.heap_;
  }

 private:
  void_pointer heap_;
};

}  // namespace detail

/// The allocator of all that lies in a SharedHeap. Containers pass it on to what they contain.
template <class T>
using SharedAllocator = boost::container::scoped_allocator_adaptor<detail::HeapAllocator<T>>;
/// A vector in a SharedHeap.
template <class T>
using SharedVector = boost::container::vector<T, SharedAllocator<T>>;
/// A string in a SharedHeap.
using SharedString =
    boost::container::basic_string<char, std::char_traits<char>, SharedAllocator<char>>;
/// A map in a SharedHeap.
template <class K, class V, class Less = std::less<K>>
using SharedMap = boost::container::map<K, V, Less, SharedAllocator<std::pair<const K, V>>>;

/// A copy names the same heap; it lives as long as a handle does in any process, and so do the
/// objects in it, whose destructors do not run at its end. Sendable to processes and over
/// connections of this machine.
///
/// What is made in it may hold no pointers but boost::interprocess::offset_ptr, and must have been
/// compiled alike in all processes. Allocating is safe from every thread of every process; objects
/// are plain memory: who changes one while another looks holds `lock()`. When its holder dies the
/// next is told by `OwnerDied`, and judges what it finds, as with any Lock. When a process dies in
/// the middle of an allocation (some hundred instructions) the heap cannot grow any more: what
/// would allocate throws `OwnerDied` from then on.
///
/// A heap does not grow beyond its size: what does not fit throws SystemError ENOMEM.
class SharedHeap {
 public:
  using TandemHandle = void;

  /// \throws SystemError EINVAL for no bytes, ENOMEM for more than there are
  explicit SharedHeap(std::size_t size_bytes)
      : memory_(detail::heap_room_for(size_bytes)),
        heap_(&detail::make_heap(memory_.data(), memory_.size(), memory_.name())) {}
  SharedHeap(const SharedHeap&) = default;
  SharedHeap& operator=(const SharedHeap&) = default;
  ~SharedHeap() = default;

  /// The object of that name, which is made from the arguments if there is none; containers are
  /// given their allocator behind them. One process makes it, the others wait and find it. Its
  /// constructor must not look for objects in the heap.
  /// \throws DecodeError when it is of another type
  /// \throws SystemError ENOMEM; what the constructor throws
  template <class T, class... A>
  T* find_or_construct(std::string_view name, A&&... args) {
    std::tuple<const SharedHeap&, A&&...> made_from(*this, std::forward<A>(args)...);
    const auto construct = [](void* at, void* context) {
      std::apply(
          [at](const SharedHeap& self, A&&... arg) {
            std::uninitialized_construct_using_allocator(static_cast<T*>(at), self.allocator(),
                                                         std::forward<A>(arg)...);
          },
          std::move(*static_cast<decltype(made_from)*>(context)));
    };
    return static_cast<T*>(
        detail::heap_find_or_construct(*heap_, object<T>(name), construct, &made_from));
  }
  /// \returns null when there is none of that name. \throws DecodeError when it is of another type
  template <class T>
  [[nodiscard]] T* find(std::string_view name) const {
    return static_cast<T*>(detail::heap_find(*heap_, object<T>(name)));
  }
  /// Destroys the object of that name, which nobody uses any more. \returns false when there is
  /// none
  template <class T>
  bool destroy(std::string_view name) {
    auto* const found = static_cast<T*>(detail::heap_forget(*heap_, object<T>(name)));
    if (found == nullptr) return false;
    std::destroy_at(found);
    detail::heap_deallocate(*heap_, found);
    return true;
  }

  /// For what is to be moved into a container of the heap, such as a key:
  /// `SharedString("key", heap.allocator())`.
  [[nodiscard]] SharedAllocator<std::byte> allocator() const noexcept {
    return SharedAllocator<std::byte>(detail::HeapAllocator<std::byte>(*heap_));
  }

  /// Waits until the caller holds the heap's lock. This handle must outlive what is returned.
  /// \throws OwnerDied when its holder died, until somebody's `mutex().recover()`
  [[nodiscard]] std::unique_lock<Lock> lock() const { return std::unique_lock<Lock>(lock_); }
  /// The lock itself, to recover it or to wait for it with a Condition.
  [[nodiscard]] Lock& mutex() const noexcept { return lock_; }

  /// In bytes, with what the heap needs for itself.
  [[nodiscard]] std::size_t size() const noexcept { return detail::heap_size(*heap_); }
  /// In bytes; as one piece there may be less.
  [[nodiscard]] std::size_t free_bytes() const { return detail::heap_free_bytes(*heap_); }
  /// As messages call it; the same in every process.
  [[nodiscard]] const std::string& name() const noexcept { return memory_.name(); }

  void save(detail::Encoder& to) const {
    memory_.save(to);
    lock_.save(to);
  }
  [[nodiscard]] static SharedHeap detail_decode(detail::Decoder& from) {
    SharedMemory memory = SharedMemory::detail_decode(from);
    detail::HeapState& heap = detail::adopt_heap(memory.data(), memory.size());
    return SharedHeap(std::move(memory), Lock::detail_decode(from), heap);
  }

 private:
  SharedHeap(SharedMemory memory, Lock lock, detail::HeapState& heap) noexcept
      : memory_(std::move(memory)), lock_(std::move(lock)), heap_(&heap) {}
  template <class T>
  [[nodiscard]] static detail::HeapObject object(std::string_view name) noexcept {
    return {name, detail::fingerprint<T>(), sizeof(T), alignof(T)};
  }

  SharedMemory memory_;
  mutable Lock lock_;
  detail::HeapState* heap_;
};

}  // namespace tandem
