/// \file
/// The core of Listener and connect.
#pragma once

#include <memory>

#include "tandem/address.hpp"
#include "tandem/auth_key.hpp"
#include "tandem/detail/byte_channel.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"

namespace tandem::detail {

/// All members may be used from any thread.
class TANDEM_EXPORT ByteListener {
 public:
  /// \throws AuthenticationError for tcp without a key; SystemError EADDRINUSE, ...
  [[nodiscard]] static std::shared_ptr<ByteListener> create(Address address, AuthKey key);

  ByteListener() = default;
  ByteListener(const ByteListener&) = delete;
  ByteListener& operator=(const ByteListener&) = delete;
  virtual ~ByteListener() = default;

  /// \returns null when the deadline passed first \throws Closed
  [[nodiscard]] virtual std::unique_ptr<ByteChannel> accept(Deadline deadline) = 0;
  [[nodiscard]] virtual Address address() const = 0;
  [[nodiscard]] virtual Address last_accepted() const = 0;
  /// Readable when `accept` would not wait.
  [[nodiscard]] virtual int fd() const = 0;
  virtual void close() noexcept = 0;
  [[nodiscard]] virtual bool closed() const noexcept = 0;
};

[[nodiscard]] TANDEM_EXPORT std::unique_ptr<ByteChannel> connect_channel(const Address& address,
                                                                         const AuthKey& key);

}  // namespace tandem::detail
