/// \file
/// What the proxies stand on: a counted reference to an object of a manager, a request to it, and
/// the server's reply. Typed shells encode into a request and decode from a reply; all else is
/// compiled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/buffer.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/manager_protocol.hpp"

namespace tandem::detail {

class ManagerClient;

/// This process's reference to one object; copies share it. Without an object every use is
/// `Closed`.
class TANDEM_EXPORT ManagerObject {
 public:
  ManagerObject() = default;

  /// \returns "dict 3 on tandem-manager-7f3a (server pid 77)"
  [[nodiscard]] std::string description() const;
  [[nodiscard]] bool operator==(const ManagerObject& other) const noexcept;
  [[nodiscard]] explicit operator bool() const noexcept { return held_ != nullptr; }

  /// Writes where the object is. Into a container of its own manager the container takes the
  /// reference; on any other way the server keeps the object until the receiver has it or this
  /// process ends.
  /// \throws NotSendable into a container of another manager
  void save(Encoder& to) const;
  /// Never fails because of the server: if that is gone, the calls say so.
  /// \throws DecodeError when the bytes name an object of another kind or type
  [[nodiscard]] static ManagerObject load(Decoder& from, ObjectKind kind, std::uint32_t type);

 private:
  friend class ManagerBatch;
  friend class ManagerRequest;
  friend class ManagerReply;
  friend class ManagerClient;
  struct Held;
  explicit ManagerObject(std::shared_ptr<const Held> held) noexcept : held_(std::move(held)) {}

  std::shared_ptr<const Held> held_;
};

/// The server's answer, and the references it came with.
class TANDEM_EXPORT ManagerReply {
 public:
  ManagerReply(ManagerReply&& other) noexcept;
  ManagerReply& operator=(ManagerReply&&) = delete;
  ~ManagerReply();

  /// False: no such key, index or value.
  [[nodiscard]] bool found() const noexcept;
  template <class Raw>
  [[nodiscard]] Raw raw() {
    Raw into;
    read(&into, sizeof into);
    return into;
  }
  template <class T>
  [[nodiscard]] T value() {
    Decoder from(take_value(), Route::manager);
    T result = decode<T>(from);
    from.expect_end();
    return result;
  }
  /// A value that `read(Decoder&)` reads.
  template <class Read>
  [[nodiscard]] auto value_by(Read read) {
    Decoder from(take_value(), Route::manager);
    auto result = read(from);
    from.expect_end();
    return result;
  }
  /// Several values, counted.
  template <class T>
  [[nodiscard]] std::vector<T> values() {
    const auto n = raw<std::uint64_t>();
    std::vector<T> all;
    all.reserve(plausible(n));
    for (std::uint64_t i = 0; i < n; ++i) all.push_back(value<T>());
    return all;
  }
  /// Reads from the beginning again.
  void rewind() noexcept;
  [[nodiscard]] ManagerObject object(ObjectKind kind, std::uint32_t type);
  /// A count that the bytes that are left can hold. \throws DecodeError when they cannot
  [[nodiscard]] std::size_t plausible(std::uint64_t count) const;

 private:
  friend class ManagerBatch;
  friend class BatchStep;
  friend class ManagerClient;
  ManagerReply(std::shared_ptr<ManagerClient> client, Buffer bytes);
  /// When the step threw, throws that.
  void rethrow() const;
  void read(void* into, std::size_t n);
  [[nodiscard]] std::span<const std::byte> take_value();

  std::shared_ptr<ManagerClient> client_;
  Buffer bytes_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::vector<std::uint64_t> granted_;
  std::uint32_t status_ = 0;
};

/// One step in the server. `ManagerRequest(object, op).key(k).value(v).send("DictProxy::set")`.
class TANDEM_EXPORT ManagerRequest {
 public:
  ManagerRequest(const ManagerObject& object, ManagerOp op, std::string_view call);
  /// To the manager itself.
  ManagerRequest(std::shared_ptr<ManagerClient> client, ManagerOp op, std::string_view call);
  ManagerRequest(ManagerRequest&&) = default;
  ManagerRequest(const ManagerRequest&) = delete;
  ManagerRequest& operator=(const ManagerRequest&) = delete;

  template <class Raw>
  ManagerRequest& raw(const Raw& number) {
    static_assert(std::is_trivially_copyable_v<Raw>);
    bytes_.append(&number, sizeof number);
    return *this;
  }
  ManagerRequest& text(std::string_view s);
  /// Bytes only: what can be compared, and what is used up by the step.
  template <class Write>
  ManagerRequest& bytes(Write write) {
    const Scope scope(*this);
    write(scope.encoder());
    end_bytes(scope.start());
    return *this;
  }
  template <class K>
  ManagerRequest& key(const K& k) {
    return bytes([&](Encoder& to) { encode(to, k); });
  }
  /// Bytes, and the objects they refer to.
  template <class T>
  ManagerRequest& value(const T& v) {
    bytes([&](Encoder& to) { encode(to, v); });
    end_references();
    return *this;
  }

  /// A value that `write(Encoder&)` writes.
  template <class Write>
  ManagerRequest& value_by(Write write) {
    bytes(write);
    end_references();
    return *this;
  }
  /// How long the step may wait in the server, from its arrival on.
  ManagerRequest& timeout(Deadline deadline) {
    return raw(deadline.is_never() ? std::int64_t{-1} : std::int64_t{deadline.left().count()});
  }
  /// Names another object of the same manager. \throws Error when it is of another
  ManagerRequest& id_of(const ManagerObject& other);

  /// Sends it and waits for the reply.
  /// \throws EndOfFile when the server is gone; what the step threw, with its type
  [[nodiscard]] ManagerReply send();
  /// For a step that has no result.
  void run() { static_cast<void>(send()); }

 private:
  friend class ManagerBatch;
  friend class ManagerClient;

  /// Proxies that are encoded within belong to this request's manager, and are counted.
  class TANDEM_EXPORT Scope {
   public:
    explicit Scope(ManagerRequest& request);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    [[nodiscard]] Encoder& encoder() const { return encoder_; }
    [[nodiscard]] std::size_t start() const { return start_; }

   private:
    mutable Encoder encoder_;
    const ManagerClient* outer_;
    std::size_t start_;
  };
  void begin(ManagerOp op, std::uint64_t id);
  void end_bytes(std::size_t start);
  void end_references();

  std::shared_ptr<ManagerClient> client_;
  std::shared_ptr<const ManagerObject::Held> object_;  // kept alive during the step
  std::string_view call_;
  Buffer bytes_;
  std::vector<std::uint64_t> references_;      // of the value being written
  std::vector<std::uint64_t> all_references_;  // of those written
};

/// \throws std::out_of_range saying call, object and what was missing
[[noreturn]] TANDEM_EXPORT void throw_out_of_range(std::string_view call,
                                                   const ManagerObject& object,
                                                   std::string_view what);

}  // namespace tandem::detail
