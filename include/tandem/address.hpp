/// \file
/// Where a listener is.
///
///     tandem::Address("unix:/run/user/1000/jobs.sock")   // a file; gone when the listener is closed
///     tandem::Address("unix:@jobs")                      // an abstract name, without a file
///     tandem::Address("tcp:localhost:4711")              // port 0: any that is free
///     tandem::Address("tcp:[::1]:4711")
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <utility>

#include "tandem/detail/export.hpp"

namespace tandem {

namespace detail {
class Decoder;
class Encoder;
}  // namespace detail

/// A value. A default-constructed one is `empty()`: nobody is there, and a listener that is given
/// it chooses an abstract unix name that nobody can guess. Sendable, anywhere.
class TANDEM_EXPORT Address {
 public:
  using TandemHandle = void;

  Address() = default;
  /// \throws Error when it is not one of the above: a scheme with "://" is reserved, unix names
  ///   have at most 107 bytes, ports go up to 65535
  template <class Text>
  requires std::convertible_to<const Text&, std::string_view> Address(const Text& text)
      : Address(Parse{}, static_cast<std::string_view>(text)) {}

  /// As it was written.
  [[nodiscard]] const std::string& to_string() const noexcept { return text_; }
  /// Whether it names no place.
  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
  /// Of tcp; 0 for all others.
  [[nodiscard]] int port() const noexcept { return port_; }
  /// Whether it is one of tcp.
  [[nodiscard]] bool is_tcp() const noexcept { return scheme_ == Scheme::tcp; }
  /// Whether both are written alike.
  bool operator==(const Address& other) const noexcept { return text_ == other.text_; }

  void save(detail::Encoder& to) const;
  [[nodiscard]] static Address detail_decode(detail::Decoder& from);

  // For the library.
  enum class Scheme { none, unix_path, unix_abstract, tcp };
  [[nodiscard]] Scheme scheme() const noexcept { return scheme_; }
  /// The path, the abstract name, or the host without brackets.
  [[nodiscard]] const std::string& place() const noexcept { return place_; }
  [[nodiscard]] Address with_port(int port) const;

 private:
  struct Parse {};
  Address(Parse, std::string_view text);

  std::string text_;
  std::string place_;
  Scheme scheme_ = Scheme::none;
  int port_ = 0;
};

}  // namespace tandem
