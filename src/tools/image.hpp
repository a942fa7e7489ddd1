// A copy of a struct that lies in shared memory, made from bytes that may be anything.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <type_traits>

#include "os/robust_mutex.hpp"
#include "tools/description.hpp"

namespace tandem::tools {

/// \tparam State what the library itself lays over those bytes; its atomics are read as plain words
template <class State>
class Image {
  static_assert(std::is_standard_layout_v<State> && std::is_trivially_destructible_v<State>);

 public:
  explicit Image(std::span<const std::byte> bytes, std::size_t offset = 0) noexcept {
    if (offset > bytes.size()) return;
    copied_ = std::min(bytes.size() - offset, sizeof bytes_);
    if (copied_ != 0) std::memcpy(bytes_, bytes.data() + offset, copied_);
  }
  /// Whether there were enough bytes. What was missing is zero.
  [[nodiscard]] bool whole() const noexcept { return copied_ == sizeof bytes_; }
  [[nodiscard]] const State& operator*() const noexcept {
    return *std::launder(reinterpret_cast<const State*>(bytes_));
  }
  [[nodiscard]] const State* operator->() const noexcept { return &**this; }

 private:
  alignas(State) std::byte bytes_[sizeof(State)] = {};
  std::size_t copied_ = 0;
};

/// The mutex at `offset` of its segment; the word that waiters sleep on is its first.
[[nodiscard]] inline LockWord lock_word(std::string label, std::size_t offset,
                                        const os::RobustMutex& mutex) {
  LockWord word;
  word.label = std::move(label);
  word.offset = offset;
  word.died = mutex.holder_died();
  word.thread = word.died ? 0 : mutex.holder();
  word.contended = mutex.contended();
  return word;
}

}  // namespace tandem::tools
