/// \file
/// What travels between a pool and its workers: a chunk of tasks, and in the worker its run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/buffer.hpp"
#include "tandem/detail/call.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::detail {

class PoolBatch;
class ChunkRun;

/// A chunk that has grown to this takes no further element.
inline constexpr std::size_t kChunkBytes = std::size_t{16} << 10;

/// What a worker calls for a chunk: runs all of its tasks.
using ChunkThunk = void(ChunkRun& run);

/// What all tasks of one call share: the thunk and the state of the callable.
struct TaskCall {
  ThunkKey<ChunkThunk> thunk;
  Buffer callable;
  std::vector<Fd> descriptors;  // of the callable's handles

  /// Tells calls apart when run times are remembered.
  [[nodiscard]] TANDEM_EXPORT std::uint64_t identity() const noexcept;
};

/// Encoded bytes with their descriptors, ready to be sent.
struct PoolMessage {
  using TandemHandle = void;  // its bytes are its encoding: see src/pool/message.hpp

  Buffer bytes;
  mutable std::vector<Fd> descriptors;  // gone once sent
  std::vector<Block> blocks;            // of one that is sent
  InflowHandle rest;                    // of one that was received: all of its bytes, if not null
  std::size_t rest_bytes = 0;

  [[nodiscard]] bool empty() const noexcept { return bytes.size() == 0 && rest == nullptr; }
  /// For the bytes of one that was received; once.
  [[nodiscard]] Decoder decoder(Route route) {
    return rest == nullptr ? Decoder(bytes.bytes(), route, &descriptors)
                           : Decoder(std::move(rest), rest_bytes, route, &descriptors);
  }
  /// Waits until all bytes are in `bytes`.
  TANDEM_EXPORT void await_all();

  TANDEM_EXPORT void save(Encoder& to) const;
  TANDEM_EXPORT void load(Decoder& from);
};

/// Some consecutive tasks of one call, encoded. A chunk is kept until all its results are in, so
/// that what a dead worker never began can be given to another.
///
///     header | callable | { u64 size, encoded element } ...
struct ChunkHeader {
  std::uint64_t first_task;  // id in the pool of the chunk's element 0
  ThunkKey<ChunkThunk> thunk;
  std::uint64_t callable_size;
  std::uint32_t begin;  // the elements to run are [begin, end)
  std::uint32_t end;
  std::uint32_t flags;
  std::uint32_t reserved;
};

/// A flag: the worker says of each task when it began and how long it took. Without it no clock is
/// read for a task.
inline constexpr std::uint32_t kTimed = 1;

class TANDEM_EXPORT Chunk {
 public:
  /// An empty chunk whose first element is number `first_index` of its call.
  Chunk(const TaskCall& call, std::size_t first_index);
  Chunk(const Chunk&) = delete;
  Chunk& operator=(const Chunk&) = delete;

  /// Appends the task that `write` encodes. \throws what it throws, and is then as it was
  /// \param lasts whether the value stays where it is until the call it belongs to has ended, or
  ///   was abandoned: then its large parts are sent from there. Such an element is to be the last
  template <class Write>
  void add(Write write, bool lasts) {
    const Mark mark{message_.bytes.size(), message_.descriptors.size(), message_.blocks.size()};
    static_cast<void>(message_.bytes.extend(sizeof(std::uint64_t)));
    try {
      Encoder encoder(message_.bytes, Route::process, &message_.descriptors,
                      lasts ? &message_.blocks : nullptr);
      write(encoder);
      if (encoder.shipped()) gives_away_ = true;  // the pool has it now
    } catch (...) {
      roll_back(mark);
      throw;
    }
    finish_element(mark);
  }
  /// Appends an element that is encoded already, with its descriptors.
  /// \param gives_away whether it holds a handle that has one owner
  void add_encoded(std::span<const std::byte> element, std::vector<Fd> descriptors,
                   bool gives_away);

  [[nodiscard]] std::size_t first_index() const noexcept { return first_index_; }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }

 private:
  friend class Dispatcher;

  /// The id of the next task to get an outcome.
  [[nodiscard]] std::uint64_t next_task() const noexcept { return first_task_ + done_; }

  /// One whose size the user has chosen stays whole.
  [[nodiscard]] bool divisible() const noexcept;
  /// Its elements from number `first` on, 0 < first < count(), become a chunk of their own.
  /// \returns null, and it stays whole, where there is no memory for them or no descriptor
  [[nodiscard]] std::unique_ptr<Chunk> split(std::uint32_t first);

  /// How large the message was.
  struct Mark {
    std::size_t bytes;
    std::size_t descriptors;
    std::size_t blocks;
  };
  void roll_back(Mark to) noexcept;
  void finish_element(Mark start) noexcept;

  PoolMessage message_;
  std::size_t size_bytes_;
  std::size_t first_index_;
  std::uint32_t count_ = 0;
  bool gives_away_ = false;  // an element holds what only the first to begin it can have

  // The dispatcher's own.
  std::shared_ptr<PoolBatch> batch_;
  std::vector<Fd> spare_;  // copies of the descriptors that were sent; empty before
  std::uint64_t first_task_ = 0;
  std::uint32_t done_ = 0;   // elements whose outcome is in
  std::uint32_t begin_ = 0;  // the worker was given [begin, end)
  std::uint32_t end_ = 0;
  int attempts_ = 0;           // at element done_ that ended with the worker
  bool cancelled_ = false;     // its tasks are to end unless their outcome is on its way
  long long estimate_ns_ = 0;  // expected run time when it was sent
};

/// A chunk in a worker. A thunk takes one element after the other:
///
///     while (run.next()) { try { ... run.succeed(); } catch (...) { run.fail(...); } }
class ChunkRun {
 public:
  ChunkRun(const ChunkRun&) = delete;
  ChunkRun& operator=(const ChunkRun&) = delete;

  /// Goes to the next element; from here on it is the one lost if this process dies.
  /// \throws EndOfFile when the pool is gone
  [[nodiscard]] virtual bool next() = 0;
  /// The callable's state, from its beginning.
  [[nodiscard]] virtual Decoder callable() = 0;
  /// A large one comes while it is decoded.
  [[nodiscard]] Decoder& element() { return *element_; }
  [[nodiscard]] Encoder& result() { return *result_; }
  /// Sends what was written to `result()`; large parts of the value from where they are.
  virtual void succeed() = 0;
  /// Sends the exception instead.
  virtual void fail(std::exception_ptr error) = 0;

 protected:
  ChunkRun() = default;
  ~ChunkRun() = default;
  Decoder* element_ = nullptr;
  std::optional<Encoder> result_;
};

}  // namespace tandem::detail
