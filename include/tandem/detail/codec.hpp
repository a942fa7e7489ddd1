/// \file
/// Values in and out of archives, and whole messages in and out of the compiled cores.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/buffer.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/fingerprint.hpp"
#include "tandem/detail/layout.hpp"
#include "tandem/detail/message.hpp"
#include "tandem/detail/run_filler.hpp"
#include "tandem/sendable.hpp"

namespace tandem::detail {

/// One value at the end of `to`, without a header.
template <Sendable T>
void encode(Encoder& to, const T& value) {
  encode_value(to, value);
}

/// The next value. \throws DecodeError when the bytes are not one
template <Sendable T>
[[nodiscard]] T decode(Decoder& from) {
  return decode_value<T>(from);
}

/// How a whole message carries a T: raw as its bytes, flat as the bytes of its elements (the length
/// of the message says how many), anything else encoded.
template <class T>
inline constexpr bool kTravelsRaw = kKind<T> == Kind::raw || kKind<T> == Kind::boolean;
template <class T>
[[nodiscard]] consteval bool travels_flat() {
  if constexpr (kIsFlat<T>) {
    return std::is_default_constructible_v<typename T::value_type>;
  } else {
    return false;
  }
}
template <class T>
inline constexpr bool kTravelsFlat = travels_flat<T>();

/// Padding may hold anything of this process's memory and must not leave the machine.
template <class T>
[[nodiscard]] consteval bool must_wipe() {
  if constexpr (kTravelsRaw<T>) {
    return !kIsDense<T> && !is_boolean<T>();
  } else if constexpr (kTravelsFlat<T>) {
    return !kIsDense<typename T::value_type>;
  } else {
    return false;
  }
}

/// The message for a value, which must stay where it is. Raw and flat values are not copied, nor
/// are the large parts of others that go through a Connection.
template <Sendable T>
class OutgoingValue {
 public:
  OutgoingValue(const T& value, Route route) : parts_(route) {
    message_.type = fingerprint<T>();
    if constexpr (kTravelsRaw<T>) {
      message_.bytes = std::as_bytes(std::span(std::addressof(value), 1));
    } else if constexpr (kTravelsFlat<T>) {
      message_.bytes = std::as_bytes(std::span(value.data(), value.size()));
    }
    if constexpr (kTravelsRaw<T> || kTravelsFlat<T>) {
      if constexpr (kMustWipe) {
        if (route == Route::socket) wipe(value);
      }
    } else {
      encode_value(parts_.to, value);
      message_.bytes = parts_.buffer.bytes();
      message_.descriptors = &parts_.descriptors;
      message_.blocks = parts_.blocks;
    }
  }
  OutgoingValue(const OutgoingValue&) = delete;
  OutgoingValue& operator=(const OutgoingValue&) = delete;

  [[nodiscard]] const Outgoing& message() const noexcept { return message_; }
  /// After it was sent: handles among the value that have one owner, such as a Connection, let go.
  void shipped() {
    if constexpr (!kTravelsRaw<T> && !kTravelsFlat<T>) parts_.to.shipped();
  }

 private:
  struct Nothing {
    explicit Nothing(Route) noexcept {}
  };
  struct Copy {
    explicit Copy(Route) noexcept {}
    Buffer buffer;
  };
  struct Encoded {
    explicit Encoded(Route route) noexcept
        : to(buffer, route, route == Route::socket ? nullptr : &descriptors,
             route == Route::connection ? &blocks : nullptr) {}
    Buffer buffer;
    std::vector<Fd> descriptors;
    std::vector<Block> blocks;
    Encoder to;
  };
  static constexpr bool kMustWipe = must_wipe<T>();

  void wipe(const T& value) {
    Encoder to(parts_.buffer, Route::socket);
    if constexpr (kTravelsRaw<T>) {
      write_run(to, std::addressof(value), 1);
    } else {
      write_run(to, value.data(), value.size());
    }
    message_.bytes = parts_.buffer.bytes();
  }

  using Parts = std::conditional_t<kTravelsRaw<T> || kTravelsFlat<T>,
                                   std::conditional_t<kMustWipe, Copy, Nothing>, Encoded>;

  Outgoing message_;
  [[no_unique_address]] Parts parts_;
};

[[noreturn]] TANDEM_EXPORT void throw_wrong_type(std::string_view call_and_object,
                                                 std::string_view wanted);
[[noreturn]] TANDEM_EXPORT void throw_wrong_size(std::string_view call_and_object,
                                                 std::string_view wanted, std::size_t size);
/// Rethrows the DecodeError being handled with the call in front.
[[noreturn]] TANDEM_EXPORT void rethrow_decode_error(std::string_view call_and_object,
                                                     const DecodeError& error);

/// Where the message of a value is received: into the value itself where that can be.
template <Sendable T>
class IncomingValue {
 public:
  IncomingValue() noexcept {
    if constexpr (kTravelsRaw<T>) {
      message_.storage = room_.bytes;
      message_.capacity = sizeof(T);
    } else if constexpr (kTravelsFlat<T>) {
      message_.pieces = &kPieces;
      message_.context = this;
    } else {
      message_.storage = room_.data();
      message_.capacity = room_.capacity();
      message_.grow = [](Incoming& self, std::size_t n) {
        self.storage = static_cast<IncomingValue*>(self.context)->room_.assign(n);
        self.capacity = n;
        return self.storage;
      };
      message_.context = this;
      message_.takes_inflow = true;
    }
  }
  IncomingValue(const IncomingValue&) = delete;
  IncomingValue& operator=(const IncomingValue&) = delete;

  [[nodiscard]] Incoming& message() noexcept { return message_; }
  /// Whether `take` has thrown EndOfFile for a message that its sender did not finish.
  [[nodiscard]] bool broken_off() const noexcept { return broken_off_; }

  /// The value of the message that was received last. To be called once for each message. A large
  /// one is received by this, and the core is not to be used before.
  /// \param call_and_object for what is thrown, such as "Queue::get on tandem-queue-7f3a"
  /// \throws DecodeError when the message is not a T
  [[nodiscard]] T take(Route route, std::string_view call_and_object) {
    if (message_.type != fingerprint<T>()) throw_wrong_type(call_and_object, type_name<T>());
    if constexpr (kTravelsRaw<T>) {
      if (message_.size != sizeof(T)) {
        throw_wrong_size(call_and_object, type_name<T>(), message_.size);
      }
      mend(room_.value);
      return room_.value;
    } else if constexpr (kTravelsFlat<T>) {
      using Element = typename T::value_type;
      if (message_.size % sizeof(Element) != 0) {
        throw_wrong_size(call_and_object, type_name<T>(), message_.size);
      }
      T value = std::move(room_.run());
      mend_run(value);
      return value;
    } else {
      try {
        if (message_.rest == nullptr) {
          Decoder from({message_.storage, message_.size}, route, &message_.descriptors);
          return whole_value(from);
        }
        return take_rest(route);
      } catch (const DecodeError& error) {
        rethrow_decode_error(call_and_object, error);
      }
    }
  }

 private:
  [[nodiscard]] static T whole_value(Decoder& from) {
    T value = decode_value<T>(from);
    from.expect_end();
    return value;
  }
  [[nodiscard]] T take_rest(Route route) {
    Decoder from(std::move(message_.rest), message_.rest_bytes, route, &message_.descriptors);
    try {
      return whole_value(from);
    } catch (const EndOfFile&) {
      broken_off_ = from.flow() != nullptr && from.flow()->broken_off();
      throw;
    }
  }

  union Slot {
    T value;
    alignas(T) std::byte bytes[sizeof(T)];
    Slot() noexcept {}  // NOLINT(modernize-use-equals-default)
  };
  static constexpr Incoming::Pieces kPieces = {
      [](Incoming& self, std::size_t size, std::size_t here) {
        return static_cast<IncomingValue*>(self.context)->room_.begin(size, here);
      },
      [](Incoming& self, std::span<const std::byte> piece) {
        static_cast<IncomingValue*>(self.context)->room_.add(piece);
      }};

  using Room = std::conditional_t<kTravelsRaw<T>, Slot,
                                  std::conditional_t<kTravelsFlat<T>, RunFiller<T>, Buffer>>;

  Incoming message_;
  Room room_;
  bool broken_off_ = false;
};

}  // namespace tandem::detail
