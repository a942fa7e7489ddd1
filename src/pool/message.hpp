// What a pool and a worker send each other over their Pipe: bytes encoded beforehand, with descriptors.
//
//     to the worker:   initializer call (may be empty), finalizer call (may be empty), then chunks;
//                      a message without bytes says that no more will come; after a recall one byte
//                      says that what follows counts again
//     from the worker: ResultHeader, TaskTimes where it is timed, then the encoded result or exception
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tandem/detail/buffer.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/detail/fd.hpp"
#include "tandem/detail/fingerprint.hpp"
#include "tandem/detail/message.hpp"
#include "tandem/detail/pool_chunk.hpp"
#include "tandem/pipe.hpp"

namespace tandem::detail {

enum class ResultKind : std::uint32_t {
  ready,        // the initializer has run
  init_failed,  // it threw: an exception follows
  value,
  error,     // an exception follows
  retiring,  // it ends now; what it has not begun it will not begin
};

struct ResultHeader {
  std::uint64_t task = 0;
  std::uint64_t run_ns = 0;  // of all the elements of the chunk so far, with its last one; else 0
  ResultKind kind = ResultKind::ready;
  std::uint32_t timed = 0;  // or 1
};
static_assert(sizeof(ResultHeader) == 24);

/// When a task was decoded, run and its result encoded; CLOCK_MONOTONIC. 0: not known.
struct TaskTimes {
  std::uint64_t began_ns = 0;
  std::uint64_t ran_ns = 0;
};

/// \throws DecodeError
inline void require_pool_message(std::uint32_t type, std::string_view call_and_object) {
  if (type != fingerprint<PoolMessage>()) throw_wrong_type(call_and_object, "pool's message");
}

// These bytes need no second encoding. Pool and worker watch each other's process.
template <>
class OutgoingValue<PoolMessage> {
 public:
  OutgoingValue(const PoolMessage& value, Route /*route*/)
      : message_{fingerprint<PoolMessage>(), value.bytes.bytes(), &value.descriptors, value.blocks,
                 true} {}
  [[nodiscard]] const Outgoing& message() const noexcept { return message_; }
  void shipped() noexcept {}

 private:
  Outgoing message_;
};

template <>
class IncomingValue<PoolMessage> {
 public:
  IncomingValue() {
    message_.storage = value_.bytes.assign(Buffer::kInline);
    message_.capacity = Buffer::kInline;
    message_.grow = [](Incoming& self, std::size_t n) {
      return static_cast<PoolMessage*>(self.context)->bytes.assign(n);
    };
    message_.context = &value_;
    message_.takes_inflow = true;
  }
  IncomingValue(const IncomingValue&) = delete;
  IncomingValue& operator=(const IncomingValue&) = delete;

  [[nodiscard]] Incoming& message() noexcept { return message_; }
  [[nodiscard]] PoolMessage take(Route /*route*/, std::string_view call_and_object) {
    require_pool_message(message_.type, call_and_object);
    value_.bytes.truncate(message_.size);
    value_.descriptors = std::move(message_.descriptors);
    value_.rest = std::move(message_.rest);
    value_.rest_bytes = message_.rest_bytes;
    return std::move(value_);
  }
  [[nodiscard]] static constexpr bool broken_off() noexcept { return false; }

 private:
  PoolMessage value_;
  Incoming message_;
};

/// To a worker that ran a task alone: what comes before this was taken back.
[[nodiscard]] inline PoolMessage end_of_recall() {
  PoolMessage message;
  message.bytes.append("", 1);
  return message;
}
[[nodiscard]] inline bool ends_recall(const PoolMessage& message) noexcept {
  return message.bytes.size() == 1 && message.rest == nullptr;
}

using PoolEnd = Connection<PoolMessage, PoolMessage>;

}  // namespace tandem::detail
