/// \file
/// The exceptions of tandem: one tree, named by what the caller can do about them.
///
///     try {
///       reply = connection.recv();
///     } catch (const tandem::EndOfFile&) {
///       break;  // the other side is gone
///     }
///
/// Outcomes (full, empty, timed out) are return values, never exceptions. The message of every
/// error names the call, the object and, where there is one, the peer's pid.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include "tandem/detail/export.hpp"

namespace tandem {

/// Root of every error tandem throws itself.
class TANDEM_EXPORT Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The system refused a call; `code()` is its errno.
class TANDEM_EXPORT SystemError : public Error {
 public:
  /// \param code what the system said
  /// \param what call and object, to which the text of the code is added
  SystemError(std::error_code code, std::string_view what);
  /// Its errno, in the system's category.
  [[nodiscard]] const std::error_code& code() const noexcept { return code_; }

 private:
  std::error_code code_;
};

/// A process could not be started; the message says at which stage and why. It may be tried again.
class TANDEM_EXPORT StartError : public Error {
 public:
  using Error::Error;
};

/// The other end is closed, or its process is dead, and all it had sent has been received.
class TANDEM_EXPORT EndOfFile : public Error {
 public:
  using Error::Error;
};

/// The object was closed or moved from in this process.
class TANDEM_EXPORT Closed : public Error {
 public:
  using Error::Error;
};

/// The queue was shut down, for every process.
class TANDEM_EXPORT ShutDown : public Error {
 public:
  using Error::Error;
};

/// A step that had to end in bounded time did not.
class TANDEM_EXPORT TimedOut : public Error {
 public:
  using Error::Error;
};

/// A process died while it owned this; `recover()` says how to go on.
class TANDEM_EXPORT OwnerDied : public Error {
 public:
  using Error::Error;
};

/// The barrier was aborted, reset, timed out, or lost a party.
class TANDEM_EXPORT BrokenBarrier : public Error {
 public:
  using Error::Error;
};

/// Received bytes are not a value of the expected type.
class TANDEM_EXPORT DecodeError : public Error {
 public:
  using Error::Error;
};

/// A value that cannot travel this way, such as a Queue through a Queue.
class TANDEM_EXPORT NotSendable : public Error {
 public:
  using Error::Error;
};

/// The peer did not prove that it knows the key.
class TANDEM_EXPORT AuthenticationError : public Error {
 public:
  using Error::Error;
};

/// An exception of another process whose type is not known here.
class TANDEM_EXPORT RemoteError : public Error {
 public:
  /// What decoding makes of an exception of unknown type.
  RemoteError(std::string type_name, std::string_view what, std::string remote_trace, int pid);
  /// Name of the exception's type as written in the program that threw it.
  [[nodiscard]] const std::string& type_name() const noexcept { return type_name_; }
  /// Where it was thrown: process name, pid and call.
  [[nodiscard]] const std::string& remote_trace() const noexcept { return remote_trace_; }
  /// Of the process that threw it.
  [[nodiscard]] int pid() const noexcept { return pid_; }

 private:
  std::string type_name_;
  std::string remote_trace_;
  int pid_;
};

/// A pool's worker ended while it ran this task.
class TANDEM_EXPORT WorkerDied : public Error {
 public:
  /// \param exit_code 0..255, or minus the signal's number, which the message spells out
  WorkerDied(std::string_view what, int pid, int exit_code);
  /// Of the worker.
  [[nodiscard]] int pid() const noexcept { return pid_; }
  /// 0..255, or minus the signal's number.
  [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

 private:
  int pid_;
  int exit_code_;
};

/// The task ran longer than its timeout and was killed.
class TANDEM_EXPORT TaskTimeout : public Error {
 public:
  using Error::Error;
};

/// The task was cancelled, or its pool terminated, before it had a result.
class TANDEM_EXPORT Cancelled : public Error {
 public:
  using Error::Error;
};

}  // namespace tandem
