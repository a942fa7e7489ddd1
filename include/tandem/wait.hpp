/// \file
/// Waits for several things at once.
///
///     for (std::size_t i : tandem::wait_any({connection, queue, worker, descriptor})) {
///       switch (i) {
///         case 0: handle(connection.recv()); break;
///         case 1: while (auto item = queue.try_get()) handle(*item); break;
///         case 2: std::cout << "the worker ended\n"; break;
///         case 3: read(descriptor, ...); break;
///       }
///     }
#pragma once

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/wait_source.hpp"

namespace tandem {

namespace detail {

template <class T>
concept HasWaitSource = requires(const T& object) {
  { object.wait_source() } -> std::same_as<WaitSource&>;
};
template <class T>
concept HasSentinel = requires(const T& object) {
  { object.sentinel() } -> std::same_as<int>;
};
template <class T>
concept HasDescriptor = requires(const T& object) {
  { object.fd() } -> std::same_as<int>;
};

}  // namespace detail

/// One thing to wait for. Refers to the object it was made from, which must live, stay where it is
/// and not be closed until the wait is over.
class Waitable {
 public:
  /// A Connection or Reader is ready when `recv` would not wait: a message, or the end of file. A
  /// queue is ready when it holds an item, which another consumer may take first (`try_get` then
  /// finds nothing), or was shut down.
  template <detail::HasWaitSource T>
  Waitable(const T& object) : source_(&object.wait_source()) {}
  /// A Process is ready when it has ended.
  template <class T>
  requires(detail::HasSentinel<T> && !detail::HasWaitSource<T>) Waitable(const T& object)
      : descriptor_(object.sentinel()) {}
  /// Anything else with a descriptor that is readable when it is ready: a Listener.
  template <class T>
  requires(detail::HasDescriptor<T> && !detail::HasWaitSource<T> && !detail::HasSentinel<T>)
      Waitable(const T& object)
      : descriptor_(object.fd()) {}
  /// A descriptor is ready when it is readable or hung up.
  Waitable(int descriptor) noexcept : descriptor_(descriptor) {}

  // For the library.
  [[nodiscard]] detail::WaitSource* source() const noexcept { return source_; }
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

 private:
  detail::WaitSource* source_ = nullptr;
  int descriptor_ = -1;
};

/// Waits until at least one is ready. Nothing is taken; the same thing may be given several times.
/// \returns the indices of all that are ready, ascending; none when the timeout passed first, or
///   when there is nothing to wait for
/// \throws SystemError EBADF when a descriptor is none; Closed
[[nodiscard]] TANDEM_EXPORT std::vector<std::size_t> wait_any(std::span<const Waitable> things,
                                                              std::optional<duration> timeout = {});
/// The same for things that are written out: `wait_any({connection, queue})`.
[[nodiscard]] inline std::vector<std::size_t> wait_any(std::initializer_list<Waitable> things,
                                                       std::optional<duration> timeout = {}) {
  return wait_any(std::span<const Waitable>(things.begin(), things.size()), timeout);
}

}  // namespace tandem
