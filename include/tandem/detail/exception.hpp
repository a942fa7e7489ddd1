/// \file
/// Exceptions that cross to another process and keep their type.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/layout.hpp"
#include "tandem/error.hpp"

namespace tandem {
namespace detail {

/// An exception being thrown again here, as its own type and as this, which knows where it came
/// from.
class TANDEM_EXPORT FromRemote {
 public:
  FromRemote(std::string what, std::string trace)
      : text_(std::make_shared<const Text>(Text{std::move(what), std::move(trace)})) {}
  virtual ~FromRemote() = default;
  FromRemote(const FromRemote&) = default;
  FromRemote& operator=(const FromRemote&) = default;

  [[nodiscard]] const std::string& remote_what() const noexcept { return text_->what; }
  [[nodiscard]] const std::string& remote_trace() const noexcept { return text_->trace; }

 private:
  struct Text {
    std::string what;
    std::string trace;
  };
  std::shared_ptr<const Text> text_;  // copying an exception must not throw
};

/// An E with the text it had where it was thrown, whatever E's constructor makes of it.
template <class E>
class Remote final : public E, public FromRemote {
 public:
  Remote(E error, std::string what, std::string trace)
      : E(std::move(error)), FromRemote(std::move(what), std::move(trace)) {}
  [[nodiscard]] const char* what() const noexcept override { return remote_what().c_str(); }
};

/// What crosses beside the type.
struct ExceptionText {
  std::string what;
  std::string trace;
  int pid = 0;
};

/// How one type of exception crosses.
struct ExceptionCodec {
  /// Writes what E needs beyond its text. The exception is an E.
  void (*save)(const std::exception_ptr& error, Encoder& to);
  /// \returns an exception that can be caught as E
  std::exception_ptr (*load)(Decoder& from, ExceptionText text);
};

TANDEM_EXPORT void add_exception_codec(const std::type_info& type,
                                       const std::type_info* remote_type, ExceptionCodec codec);

/// Throws it and catches it again, so that it is a copy that the runtime owns.
template <class E>
[[nodiscard]] std::exception_ptr throw_and_keep(E error) {
  try {
    throw error;
  } catch (...) {
    return std::current_exception();
  }
}

template <class E>
inline constexpr bool kCanBeRemote = std::is_base_of_v<std::exception, E> && !std::is_final_v<E>;

template <class E>
[[nodiscard]] std::exception_ptr keep_remote(E error, ExceptionText text) {
  if constexpr (kCanBeRemote<E>) {
    return throw_and_keep(Remote<E>(std::move(error), std::move(text.what), std::move(text.trace)));
  } else {
    return throw_and_keep(std::move(error));
  }
}

/// Calls f with the exception, which is an E.
template <class E, class F>
void with_exception(const std::exception_ptr& error, F f) {
  try {
    std::rethrow_exception(error);
  } catch (const E& caught) {
    f(caught);
  }
}

/// \param error what was thrown; its type is kept if std, tandem or `register_exception` know it
/// \param where call, process name and pid, for `remote_trace`
TANDEM_EXPORT void encode_exception(Encoder& to, std::exception_ptr error, std::string_view where);
/// \returns the exception, or a RemoteError when its type is not known here
/// \throws DecodeError when the bytes are not an exception
[[nodiscard]] TANDEM_EXPORT std::exception_ptr decode_exception(Decoder& from);

/// How an E that is built from its text alone crosses.
template <class E>
[[nodiscard]] constexpr ExceptionCodec codec_by_text() {
  return {[](const std::exception_ptr&, Encoder&) {},
          [](Decoder&, ExceptionText text) {
            E error(text.what.c_str());
            return keep_remote(std::move(error), std::move(text));
          }};
}

/// How an E that is Sendable crosses.
template <class E>
[[nodiscard]] constexpr ExceptionCodec codec_by_value() {
  return {[](const std::exception_ptr& error, Encoder& to) {
            with_exception<E>(error, [&to](const E& caught) { encode_value(to, caught); });
          },
          [](Decoder& from, ExceptionText text) {
            return keep_remote(decode_value<E>(from), std::move(text));
          }};
}

template <class E>
[[nodiscard]] constexpr const std::type_info* remote_type() {
  if constexpr (kCanBeRemote<E>) {
    return &typeid(Remote<E>);
  } else {
    return nullptr;
  }
}

}  // namespace detail

template <class E>
void register_exception() {
  static_assert(std::is_class_v<E> && std::is_same_v<E, std::remove_cvref_t<E>>,
                "tandem::register_exception: name the exception's class");
  if constexpr (detail::is_sendable<E>()) {
    detail::add_exception_codec(typeid(E), detail::remote_type<E>(), detail::codec_by_value<E>());
  } else {
    static_assert(std::is_base_of_v<std::exception, E> && std::is_constructible_v<E, const char*>,
                  "tandem::register_exception: the class must be Sendable, or be a std::exception "
                  "that is constructible from its what()");
    detail::add_exception_codec(typeid(E), detail::remote_type<E>(), detail::codec_by_text<E>());
  }
}

}  // namespace tandem
