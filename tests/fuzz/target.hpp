// A fuzz target: something that reads bytes which anybody may have written. It may refuse them with
// the exceptions its interface names; it must not crash, hang, or allocate more than a small
// multiple of what is there. Anything else that is thrown counts as a crash.
#pragma once

#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace tandem::fuzz {

struct Target {
  std::string_view name;
  void (*run)(std::span<const std::byte> input);
  /// Inputs to begin with: valid ones, and those that once found a bug.
  std::vector<std::string> (*seeds)();
};

extern const Target kArchive;  // bytes to values, exceptions and calls
extern const Target kChannel;  // a pipe whose peer may write anything, to its memory and socket
extern const Target kQueue;    // a queue whose memory holds anything, and changes meanwhile
extern const Target kStore;    // requests to a manager's server
extern const Target kSync;     // a lock or event whose memory holds anything
extern const Target kWire;     // a listener, or a connection over tcp, whose peer sends anything
inline const std::initializer_list<const Target*> kTargets{&kArchive, &kChannel, &kQueue,
                                                           &kStore,   &kSync,    &kWire};

/// Takes an input apart. What is missing at its end is zeros.
class Input {
 public:
  explicit Input(std::span<const std::byte> bytes) : left_(bytes) {}

  [[nodiscard]] bool empty() const { return left_.empty(); }
  template <class Raw>
  [[nodiscard]] Raw raw() {
    static_assert(std::is_trivially_copyable_v<Raw>);
    Raw value{};
    const auto taken = take(sizeof value);
    if (!taken.empty()) std::memcpy(&value, taken.data(), taken.size());
    return value;
  }
  /// The next n bytes, or what is left.
  [[nodiscard]] std::span<const std::byte> take(std::size_t n) {
    const auto taken = left_.first(n < left_.size() ? n : left_.size());
    left_ = left_.subspan(taken.size());
    return taken;
  }
  [[nodiscard]] std::span<const std::byte> rest() { return take(left_.size()); }

 private:
  std::span<const std::byte> left_;
};

/// Puts an input together, for seeds.
class Seed {
 public:
  template <class Raw>
  Seed& raw(const Raw& value) {
    static_assert(std::is_trivially_copyable_v<Raw>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Seed& text(std::string_view s) {
    bytes_.append(s);
    return *this;
  }
  Seed& bytes(std::span<const std::byte> b) {
    bytes_.append(reinterpret_cast<const char*>(b.data()), b.size());
    return *this;
  }
  [[nodiscard]] const std::string& done() const { return bytes_; }

 private:
  std::string bytes_;
};

/// Writes into the memory of others as another process would, in no order that could be relied on.
inline void overwrite(std::byte* at, std::span<const std::byte> with) {
  for (std::size_t i = 0; i < with.size(); ++i) {
    __atomic_store_n(reinterpret_cast<unsigned char*>(at) + i, static_cast<unsigned char>(with[i]),
                     __ATOMIC_RELAXED);
  }
}

}  // namespace tandem::fuzz
