// What children of several tests do.
#pragma once

#include <stdexcept>

#include "tandem/connection.hpp"

namespace tandem::test {

/// In a child a failure is its exit status.
inline void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

/// Sends back what it receives until the other end is closed.
template <class T>
void echo(Connection<T> connection) {
  try {
    for (;;) connection.send(connection.recv());
  } catch (const EndOfFile&) {
  }
}

}  // namespace tandem::test
