/// \file
/// One value that several processes see and change, always whole.
///
///     tandem::Value<long> done(0);
///     tandem::Process child(work, done);          // the child counts in the same value
///     child.start();
///     done.fetch_add(1);
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/raw.hpp"
#include "tandem/detail/shared_cell.hpp"
#include "tandem/detail/type_name.hpp"
#include "tandem/detail/typed_memory.hpp"
#include "tandem/memory.hpp"

namespace tandem {

/// A copy names the same value; it lives as long as a handle does in any process. Sendable to
/// processes and over connections of this machine. Any thread of any process.
///
/// Every call is one atomic step, whatever the size of T, and orders memory as std::atomic does by
/// default. A process that is killed within a call leaves the old value or the new one. Up to 8
/// bytes that is one instruction; larger ones are written under a lock, which its holder's death
/// does not keep, and read without.
///
/// As Python's `multiprocessing.Value`, whose `value += 1` is two steps and whose lock a killed
/// process keeps.
template <PlainValue T>
class Value {
  static constexpr bool kIsWord = sizeof(T) <= sizeof(std::uint64_t);

 public:
  using TandemHandle = void;
  using value_type = T;

  /// T(). \throws SystemError when there is no memory or no descriptor left
  Value() requires std::default_initializable<T> : Value(T()) {}
  /// With this value. \throws as the above
  explicit Value(const T& init)
      : memory_(detail::make_typed_memory(detail::typed_header<T>('V', 1), room())),
        cell_(memory_.data() + detail::TypedHeader::kOffset) {
    if constexpr (kIsWord) {
      new (cell_) std::atomic<Word>(to_word(init));
    } else {
      detail::SharedCell::init(cell_, sizeof(T), bytes_of(init).data());
    }
  }
  Value(const Value&) = default;
  Value& operator=(const Value&) = default;
  ~Value() = default;

  /// A copy of the value.
  [[nodiscard]] T load() const {
    if constexpr (kIsWord) {
      return from_word(word().load());
    } else {
      Image image;
      (void)cell().load(image.data());
      return std::bit_cast<T>(image);
    }
  }
  /// Replaces the value.
  void store(const T& value) {
    if constexpr (kIsWord) {
      word().store(to_word(value));
    } else {
      cell().exchange(bytes_of(value).data(), nullptr);
    }
  }
  /// \returns the value before
  T exchange(const T& value) {
    if constexpr (kIsWord) {
      return from_word(word().exchange(to_word(value)));
    } else {
      Image old;
      cell().exchange(bytes_of(value).data(), old.data());
      return std::bit_cast<T>(old);
    }
  }
  /// Stores `desired` if the value is `expected`, compared by bytes but for padding.
  /// \param expected receives the value that was found if it is another one
  /// \returns whether it was stored
  bool compare_exchange(T& expected, const T& desired) {
    if constexpr (kIsWord) {
      Word found = to_word(expected);
      if (word().compare_exchange_strong(found, to_word(desired))) return true;
      expected = from_word(found);
      return false;
    } else {
      Image found = bytes_of(expected);
      if (cell().compare_exchange(found.data(), bytes_of(desired).data())) return true;
      expected = std::bit_cast<T>(found);
      return false;
    }
  }
  /// The same without telling what was found.
  bool compare_exchange(const T& expected, const T& desired) {
    T found = expected;
    return compare_exchange(found, desired);
  }

  /// Adds n. Signed integers wrap around. \returns the value before
  T fetch_add(const T& n) requires requires(T a) { static_cast<T>(a + a); }
  {
    if constexpr (std::integral<T>) {
      static_assert(!std::same_as<T, bool>, "bools are not added up");
      return from_word(word().fetch_add(to_word(n)));
    } else {
      return update_from([&](const T& old) { return static_cast<T>(old + n); }).first;
    }
  }
  /// Replaces the value by f(value). f runs again when the value has changed meanwhile, and holds
  /// nothing while it runs: it may take its time, or throw, which changes nothing.
  /// \returns the new value
  template <class F>
  requires std::is_invocable_r_v<T, F&, const T&> T update(F f) { return update_from(f).second; }

  /// As messages call it; the same in every process.
  [[nodiscard]] const std::string& name() const noexcept { return memory_.name(); }

  void save(detail::Encoder& to) const { memory_.save(to); }
  [[nodiscard]] static Value detail_decode(detail::Decoder& from) {
    SharedMemory memory = SharedMemory::detail_decode(from);
    (void)detail::check_typed_memory(memory, detail::typed_header<T>('V', 1), room(),
                                     detail::type_name<Value>());
    return Value(std::move(memory), Adopted());
  }

 private:
  struct Adopted {};
  // The smallest word that holds a T; what it has more is zero.
  using Word = std::conditional_t<
      sizeof(T) == 1, std::uint8_t,
      std::conditional_t<sizeof(T) == 2, std::uint16_t,
                         std::conditional_t<sizeof(T) <= 4, std::uint32_t, std::uint64_t>>>;
  static_assert(std::atomic<Word>::is_always_lock_free);
  using Image = std::array<std::byte, sizeof(T)>;

  Value(SharedMemory memory, Adopted) noexcept
      : memory_(std::move(memory)), cell_(memory_.data() + detail::TypedHeader::kOffset) {}

  [[nodiscard]] static std::size_t room() noexcept {
    return kIsWord ? sizeof(Word) : detail::SharedCell::room_for(sizeof(T));
  }
  [[nodiscard]] static Image bytes_of(const T& value) {
    Image image;
    detail::write_wiped(image.data(), value);
    return image;
  }
  [[nodiscard]] static Word to_word(const T& value) {
    Word word = 0;
    detail::write_wiped(reinterpret_cast<std::byte*>(&word), value);
    return word;
  }
  [[nodiscard]] static T from_word(Word word) {
    Image image;
    std::memcpy(image.data(), &word, sizeof(T));
    return std::bit_cast<T>(image);
  }
  [[nodiscard]] std::atomic<Word>& word() const noexcept {
    return *std::launder(reinterpret_cast<std::atomic<Word>*>(cell_));
  }
  [[nodiscard]] detail::SharedCell cell() const noexcept { return {cell_, sizeof(T)}; }

  template <class F>
  std::pair<T, T> update_from(F&& f) {
    if constexpr (kIsWord) {
      Word seen = word().load();
      for (;;) {
        const T old = from_word(seen);
        const T next = f(old);
        if (word().compare_exchange_weak(seen, to_word(next))) return {old, next};
      }
    } else {
      for (;;) {
        Image image;
        const std::uint64_t number = cell().load(image.data());
        const T old = std::bit_cast<T>(image);
        const T next = f(old);
        if (cell().replace(number, bytes_of(next).data())) return {old, next};
      }
    }
  }

  SharedMemory memory_;
  std::byte* cell_;
};

}  // namespace tandem
