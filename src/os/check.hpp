// Every system call goes through one of these: errors become SystemError, EINTR never shows.
#pragma once

#include <cerrno>
#include <string_view>
#include <system_error>

#include "tandem/error.hpp"

namespace tandem::os {

[[nodiscard]] inline std::error_code last_error() noexcept {
  return {errno, std::system_category()};
}

/// \throws SystemError with errno, saying `what`
[[noreturn]] void throw_last_error(std::string_view what);
[[noreturn]] void throw_error(int error, std::string_view what);

/// Passes a system call's result through. \throws SystemError when it is -1
template <class Result>
Result check(Result result, std::string_view what) {
  if (result == static_cast<Result>(-1)) throw_last_error(what);
  return result;
}

/// Repeats a call that a signal interrupted. Not for close, whose descriptor is gone either way,
/// nor for calls with a relative timeout, which would start anew.
template <class Call>
auto retry(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

}  // namespace tandem::os
