/// \file
/// Two Connections that are joined to each other.
///
///     auto [parent, child] = tandem::Pipe<Request, Reply>();
///     tandem::Process worker(serve, std::move(child));
///     worker.start();
///     parent.send(request);
///     Reply reply = parent.recv();
///
/// A pipe lives in anonymous shared memory (some 520 KiB of address space, touched as it is used)
/// and has two descriptors at each end; both go with the last end, however that ends.
#pragma once

#include <memory>
#include <utility>

#include "tandem/connection.hpp"
#include "tandem/detail/byte_channel.hpp"

namespace tandem {

/// What `first` sends, `second` receives: A's go from first to second, B's back.
template <class A, class B = A>
struct Pipe {
  /// Sends A, receives B.
  Connection<A, B> first;
  /// Sends B, receives A.
  Connection<B, A> second;

  /// \throws SystemError when there is no shared memory or descriptor left
  Pipe() : Pipe(detail::ByteChannel::pair()) {}

 private:
  using Cores =
      std::pair<std::unique_ptr<detail::ByteChannel>, std::unique_ptr<detail::ByteChannel>>;
  explicit Pipe(Cores cores)
      : first(std::shared_ptr<detail::ByteChannel>(std::move(cores.first))),
        second(std::shared_ptr<detail::ByteChannel>(std::move(cores.second))) {}
};

/// What `second` sends, `first` receives.
template <class T>
struct OneWayPipe {
  /// Receives.
  Reader<T> first;
  /// Sends.
  Writer<T> second;

  /// \throws SystemError when there is no shared memory or descriptor left
  OneWayPipe() : OneWayPipe(detail::ByteChannel::pair()) {}

 private:
  using Cores =
      std::pair<std::unique_ptr<detail::ByteChannel>, std::unique_ptr<detail::ByteChannel>>;
  explicit OneWayPipe(Cores cores)
      : first(std::shared_ptr<detail::ByteChannel>(std::move(cores.first))),
        second(std::shared_ptr<detail::ByteChannel>(std::move(cores.second))) {}
};

}  // namespace tandem
