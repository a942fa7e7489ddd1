/// \file
/// What the compiled cores carry: bytes with the descriptors of the handles among them.
///
/// A large value crosses a Connection without a copy of its message on either side: its bytes go
/// from where they lie in the sender (Block) through the ring to where they stay in the receiver
/// (Inflow).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "tandem/detail/fd.hpp"

namespace tandem::detail {

/// A run of bytes that belongs to a message and stays where it is until that was sent.
struct Block {
  /// No smaller ones. A message that has any is larger than what goes through a Connection whole.
  static constexpr std::size_t kLeastBytes = (std::size_t{64} << 10) + 1;

  std::size_t at;  // how many of the message's own bytes come before it
  std::span<const std::byte> bytes;
};

/// A message on its way out. The core copies the bytes; it takes the descriptors once it has
/// accepted the message and leaves them alone when it throws.
struct Outgoing {
  std::uint32_t type = 0;  // fingerprint of the C++ type, checked by the receiver's shell
  std::span<const std::byte> bytes;
  std::vector<Fd>* descriptors = nullptr;  // may be null: none
  std::span<const Block> blocks = {};      // ascending; only over a Connection
  bool peer_is_watched = false;            // who sends learns of its death by other means
  bool tells_cpu = false;                  // the peer will not spin for this one on its own CPU
  bool bell_may_wait = false;              // try_send: a peer that sleeps may be woken by `flush`

  /// With all blocks.
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t n = bytes.size();
    for (const Block& block : blocks) n += block.bytes.size();
    return n;
  }
};

/// A message that comes while it is read. It is its receiver's only message until it was let go of.
class Inflow {
 public:
  Inflow(const Inflow&) = delete;
  Inflow& operator=(const Inflow&) = delete;

  /// Waits for more of the message. To be called while there is more.
  /// \returns the next bytes, at least one, which stay there until the next call
  /// \throws EndOfFile when the rest will not come; DecodeError when it is not what was said
  [[nodiscard]] virtual std::span<const std::byte> next() = 0;
  /// Whether `next` has thrown.
  [[nodiscard]] virtual bool failed() const noexcept = 0;
  /// Whether it did because the sender did not finish this message, though others may follow.
  [[nodiscard]] virtual bool broken_off() const noexcept = 0;

  struct LetGo {
    void operator()(Inflow* flow) const noexcept { flow->let_go(); }
  };

 protected:
  Inflow() = default;
  ~Inflow() = default;

 private:
  /// What was not read is skipped.
  virtual void let_go() noexcept = 0;
};
/// Null: nothing more comes.
using InflowHandle = std::unique_ptr<Inflow, Inflow::LetGo>;

/// What is given messages where they lie.
struct Visitor {
  void* context;
  void (*take)(void* context, std::uint32_t type, std::span<const std::byte> bytes);
};

/// Where a message is received. A core that has one of n bytes calls `begin(n, ...)`, `add` with its
/// bytes, in pieces as they lie there, and sets `type`. If `begin` returns false, the bytes can be of
/// no use: the core drops the message and throws DecodeError. What `begin` throws (bad_alloc) passes
/// through and leaves the message where it was; what `add` throws, too, unless a part of the message
/// had been taken before: then the whole of it is dropped.
///
/// The bytes go to `storage` if n is at most `capacity`, else to what `grow(*this, n)` returns, which
/// may be null; or, if `pieces` is set, they are passed on to it. Where `takes_inflow` is set, a core
/// may leave all of them for `rest` instead.
struct Incoming {
  struct Pieces {
    bool (*begin)(Incoming& self, std::size_t size, std::size_t here);
    void (*add)(Incoming& self, std::span<const std::byte> piece);
  };

  std::byte* storage = nullptr;
  std::size_t capacity = 0;
  std::byte* (*grow)(Incoming& self, std::size_t size) = nullptr;
  const Pieces* pieces = nullptr;
  void* context = nullptr;  // grow's or pieces' own
  bool takes_inflow = false;

  std::uint32_t type = 0;
  std::size_t size = 0;
  std::vector<Fd> descriptors;
  InflowHandle rest;           // to be let go of before the core is used again
  std::size_t rest_bytes = 0;  // how much comes through it

  /// \param here how many of the bytes have come
  [[nodiscard]] bool begin(std::size_t n, std::size_t here) {
    size = 0;
    if (pieces != nullptr) return pieces->begin(*this, n, here);
    std::byte* const at = place(n);
    if (at == nullptr) return false;
    storage = at;
    return true;
  }
  void add(std::span<const std::byte> piece) {
    if (pieces != nullptr) {
      pieces->add(*this, piece);
    } else if (!piece.empty()) {
      std::memcpy(storage + size, piece.data(), piece.size());
    }
    size += piece.size();
  }

 private:
  [[nodiscard]] std::byte* place(std::size_t n) {
    if (n == 0 && storage == nullptr) return &kNowhere;  // an empty message fits anywhere
    return n <= capacity ? storage : (grow != nullptr ? grow(*this, n) : nullptr);
  }

  static inline std::byte kNowhere{};
};

}  // namespace tandem::detail
