// What a step answers.
#pragma once

#include <cstddef>
#include <exception>
#include <span>
#include <string_view>
#include <vector>

#include "manager/caller.hpp"
#include "manager/protocol.hpp"
#include "tandem/detail/buffer.hpp"

namespace tandem::detail {

class Store;

/// From the first piece's header on. References that go to the client with it are counted at once,
/// and given back if the step throws after all.
class ReplyWriter {
 public:
  ReplyWriter(Store& store, ClientReferences& client, Buffer& to);

  void missing() { header_.status = manager_protocol::ReplyStatus::missing; }
  template <class Raw>
  void raw(const Raw& number) {
    manager_protocol::put(*to_, number);
  }
  void bytes(std::span<const std::byte> b);
  void value(std::span<const std::byte> b, const References& references);
  void value(const StoredValue& v) { value(v.span(), v.references); }
  /// Bytes that were encoded already.
  void append(std::span<const std::byte> b) { to_->append(b.data(), b.size()); }
  /// The client is given a reference to the object.
  void grant(ObjectId id);

  /// Throws away what was written, for an exception in its place.
  void raise(const std::exception_ptr& error, std::string_view where);
  void finish();

 private:
  void begin();

  Store* store_;
  ClientReferences* client_;
  Buffer* to_;
  manager_protocol::ReplyHeader header_;
  std::vector<ObjectId> granted_;
};

}  // namespace tandem::detail
