/// \file
/// What may cross from one process to another: values (Sendable) and calls (SendableCall).
///
///     struct Job { int id; std::string input; };         // an aggregate of Sendable members
///     static_assert(tandem::Sendable<Job>);
///     static_assert(!tandem::Sendable<int*>);            // means nothing in another process
///
/// Sendable are arithmetic and enum types; trivially copyable types that hold no pointer or
/// reference as far as can be told; std::string, the containers, pair, tuple, optional, variant,
/// chrono,
/// std::filesystem::path, unique_ptr and shared_ptr to a Sendable that is not a polymorphic base;
/// aggregates of at most sixteen Sendable members; every type with cereal functions, which are used
/// even where the bytes could be copied; and tandem's handles.
///
/// Trivially copyable types travel as their bytes, between programs of one machine and one
/// compiler's layout. Received bools are made 0 or 1, also inside plain structs; bools that cannot
/// be seen (private members, bit-fields, structs of more than sixteen members) and enumerators
/// arrive as they come, so give such types cereal functions where the sender is not trusted.
#pragma once

#include <cstddef>
#include <exception>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/detail/callable.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/kind.hpp"

namespace tandem {

/// Travels without an archive.
using Bytes = std::vector<std::byte>;

/// A value of type T can be sent to another process.
template <class T>
concept Sendable = std::is_same_v<T, std::decay_t<T>> && detail::is_sendable<T>();

/// f(args...) can be made in another process: F is a function, a lambda without captures or a
/// function object that is Sendable; the arguments are Sendable once copied (a string literal
/// becomes a std::string); and f can be called with those copies. A parameter `T&` is given the
/// copy itself.
template <class F, class... Args>
concept SendableCall = detail::is_sendable_call<F, Args...>();

/// Vouches that what the lambda captured are plain values, which mean the same in another process,
/// and makes a SendableCall of it. Captures that own memory, such as a std::string, are refused:
/// pass them as arguments.
template <class F>
[[nodiscard]] auto by_value(F lambda) {
  static_assert(std::is_trivially_copyable_v<F>,
                "tandem::by_value: a capture is not a plain value; pass it as an argument.");
  return detail::ByValue<F>(std::move(lambda));
}

/// Makes exceptions of type E arrive in another process as an E. E is Sendable (then it crosses
/// whole) or constructible from its `what()`. Types that std or tandem define need no registration.
/// Must have been called in both processes: call it before `init`, or from a namespace-scope
/// initialiser. Threads: any.
template <class E>
void register_exception();

/// Where an exception that came from another process was thrown: process, pid and call. Empty for
/// one that was thrown in this process.
[[nodiscard]] TANDEM_EXPORT std::string remote_trace(const std::exception& error);

}  // namespace tandem

#include "tandem/detail/exception.hpp"
