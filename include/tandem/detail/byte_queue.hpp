/// \file
/// The core of Queue: a queue of messages of bytes between any number of processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tandem/detail/batch.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/message.hpp"
#include "tandem/detail/wait_source.hpp"

namespace tandem {

/// How a queue is made. Limits hold for all processes together unless said otherwise.
struct QueueOptions {
  std::size_t maxsize = 0;  ///< items; 0 = no limit
  std::size_t ring_bytes =
      1 << 20;  ///< bytes of shared memory for waiting items, rounded up to a power of two
  std::size_t buffer_bytes = 0;  ///< bytes this process's feeder may hold; 0 = no limit
  /// Promise: one thread puts. It keeps a lock that others take for each item, so that nobody else
  /// can put until it has ended or closed the queue; then the next one takes over.
  bool single_producer = false;
  bool single_consumer = false;  ///< the same of get
};

namespace detail {

enum class QueueKind : std::uint32_t {
  plain = 0,
  simple = 1,    // no feeder: put waits for room in the ring
  joinable = 2,  // counts what was taken and not finished
};

class Decoder;
class Encoder;

/// Any thread of any process. One core per queue and process: all handles share it.
class TANDEM_EXPORT ByteQueue : public WaitSource {
 public:
  /// \param type fingerprint of the element type, checked wherever the queue is opened
  [[nodiscard]] static std::shared_ptr<ByteQueue> create(const QueueOptions& options,
                                                         std::uint32_t type, QueueKind kind);
  /// A queue that other programs find by its name, until it is removed.
  /// \throws SystemError EEXIST, EINVAL or ENAMETOOLONG for what cannot be a name, ENOSPC
  [[nodiscard]] static std::shared_ptr<ByteQueue> create(const QueueOptions& options,
                                                         std::uint32_t type, QueueKind kind,
                                                         std::string_view name);
  /// \throws SystemError ENOENT; DecodeError if it is not a queue of this type, kind and version
  [[nodiscard]] static std::shared_ptr<ByteQueue> open(std::string_view name, std::uint32_t type,
                                                       QueueKind kind);
  [[nodiscard]] static bool remove(std::string_view name);
  /// Rebuilds what `hand_over` wrote. \throws DecodeError if it is not a queue of this type and
  /// kind
  [[nodiscard]] static std::shared_ptr<ByteQueue> adopt(Decoder& from, std::uint32_t type,
                                                        QueueKind kind);
  virtual void hand_over(Encoder& to) = 0;

  /// \returns false when there was no room until the deadline
  [[nodiscard]] virtual bool put(const Outgoing& message, Deadline deadline) = 0;
  /// Largest message that may be part of a batch.
  [[nodiscard]] virtual std::size_t most_in_batch() const = 0;
  /// Puts all messages of a batch, in order; waits for room as `put` does.
  virtual void put_many(const Batch& batch) = 0;
  /// Takes up to `at_most` messages that are there, and waits for the first.
  /// \returns how many; 0 when the next is too large for a batch, to be taken by `get`
  [[nodiscard]] virtual std::size_t get_many(Batch& into, std::size_t at_most) = 0;
  /// \returns false when there was no item until the deadline
  [[nodiscard]] virtual bool get(Incoming& into, Deadline deadline) = 0;

  [[nodiscard]] virtual std::size_t size() const = 0;
  [[nodiscard]] virtual bool full() const = 0;
  /// A descriptor for epoll: readable while an item waits, and after a shutdown.
  [[nodiscard]] virtual int fd() = 0;
  virtual void close() = 0;
  /// \returns false when the buffer was not empty at the deadline
  [[nodiscard]] virtual bool join_thread(Deadline deadline) = 0;
  virtual void cancel_join_thread() = 0;
  virtual void shutdown(bool immediate) = 0;

  /// One item that this process took is finished. \throws Error when it holds none
  virtual void task_done() = 0;
  /// \returns false when something was unfinished at the deadline
  /// \throws OwnerDied when a process died that held unfinished items; told once
  [[nodiscard]] virtual bool join(Deadline deadline) = 0;
  [[nodiscard]] virtual const std::string& name() const = 0;
};

}  // namespace detail
}  // namespace tandem
