// A synchronisation object lives in a small segment of its own, which begins with a header that
// says what it is. Handles are copies of one descriptor; the segment goes with the last process
// that maps it.
#pragma once

#include <cstddef>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "base/text.hpp"
#include "shm/segment.hpp"
#include "sync/header.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::sync {

/// \throws DecodeError naming `what` when the header is not that of a `kind`
void check_header(const Header& header, Kind kind, const char* what);

/// \tparam State standard layout, begins with a Header `header`
template <class State>
class Object {
  static_assert(std::is_standard_layout_v<State> && std::is_trivially_destructible_v<State>);
  static_assert(offsetof(State, header) == 0);

 public:
  /// \param what "lock", for messages
  /// \param more_bytes zero-filled, right behind the State
  [[nodiscard]] static Object create(Kind kind, const char* what, std::size_t more_bytes = 0) {
    auto segment =
        shm::Segment::create(detail::concat("tandem-", what), sizeof(State) + more_bytes);
    auto* const state = new (segment.data()) State{};
    state->header.kind = kind;
    return Object(std::move(segment), what);
  }
  /// \throws DecodeError when it is something else
  [[nodiscard]] static Object adopt(detail::Fd fd, Kind kind, const char* what) {
    auto segment = shm::Segment::adopt(std::move(fd), sizeof(State));
    check_header(*reinterpret_cast<const Header*>(segment.data()), kind, what);
    return Object(std::move(segment), what);
  }

  [[nodiscard]] State& operator*() const noexcept { return *state_; }
  [[nodiscard]] State* operator->() const noexcept { return state_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// Bytes behind the State.
  [[nodiscard]] std::size_t more_bytes() const noexcept { return segment_.size() - sizeof(State); }
  [[nodiscard]] const detail::Fd& fd() const noexcept { return segment_.fd(); }
  /// Keeps the mapping for as long as the process lives.
  void keep_mapped() { shm::Segment::keep_mapped(std::move(segment_)); }

 private:
  Object(shm::Segment segment, const char* what)
      : state_(std::launder(reinterpret_cast<State*>(segment.data()))),
        segment_(std::move(segment)),
        name_(shm::object_name(what, segment_.fd())) {}

  State* state_;  // in the segment
  shm::Segment segment_;
  std::string name_;
};

}  // namespace tandem::sync
