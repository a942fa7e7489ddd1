// A lock or an event whose shared memory holds anything, but in the mutex: every operation is
// refused with an exception or returns, and the process works on when the object is gone.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/target.hpp"
#include "os/thread_id.hpp"
#include "shm/segment.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/event_core.hpp"
#include "tandem/detail/lock_core.hpp"
#include "tandem/error.hpp"

namespace tandem::fuzz {
namespace {

using namespace detail;
using namespace std::chrono_literals;

constexpr std::size_t kMostOperations = 64;
constexpr int kMostKept = 1000;
// What lies before a lock's mutex, and all of an event: header, words.
constexpr std::size_t kLockWords = 32;
constexpr std::size_t kOwnerOffset = 16;
constexpr std::size_t kEventWords = 24;

/// The memory of an object, as those it is handed to get it.
template <class Core>
shm::Segment memory_of(const Core& core) {
  Buffer buffer;
  std::vector<Fd> descriptors;
  Encoder to(buffer, Route::process, &descriptors);
  core.hand_over(to);
  return shm::Segment::adopt(std::move(descriptors.at(0)), kEventWords);
}

/// Hands it to a process that looks at it for the first time.
template <class Core, class... Which>
std::shared_ptr<Core> adopt_again(const Core& core, Which... which) {
  Buffer buffer;
  std::vector<Fd> descriptors;
  Encoder to(buffer, Route::process, &descriptors);
  core.hand_over(to);
  Decoder from(buffer.bytes(), Route::process, &descriptors);
  return Core::adopt(from, which...);
}

void write_words(shm::Segment& memory, std::size_t words, Input& from) {
  const std::size_t offset = from.raw<std::uint8_t>() % words;
  const auto bytes = from.take(from.raw<std::uint8_t>() % 9);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    overwrite(memory.data() + (offset + i) % words, bytes.subspan(i, 1));
  }
}

void run_lock(bool recursive, Input& from) {
  std::shared_ptr<LockCore> lock = LockCore::create(recursive);
  std::shared_ptr<LockCore> other;
  shm::Segment memory = memory_of(*lock);
  for (std::size_t i = 0; i < kMostOperations && !from.empty(); ++i) {
    try {
      switch (from.raw<std::uint8_t>() % 8) {
        case 0:
        case 1:
          write_words(memory, kLockWords, from);
          break;
        case 2:
          static_cast<void>(lock->lock(Deadline::after(20us), "fuzz"));
          break;
        case 3:
          static_cast<void>(lock->lock(Deadline::now(), "fuzz"));
          break;
        case 4:
          lock->unlock("fuzz");
          break;
        case 5:
          static_cast<void>(lock->recover("fuzz"));
          break;
        case 6:
          other = adopt_again(*lock, recursive);
          break;
        default:
          if (other) std::swap(lock, other);
      }
    } catch (const Error&) {  // OwnerDied, DecodeError, EPERM, EDEADLK, by the words
    }
  }
  // A lock that is held keeps its memory mapped: some may, more than the kernel maps would not do.
  static int kept = 0;
  if (kept < kMostKept && from.raw<std::uint8_t>() % 8 == 7) {
    ++kept;
    return;
  }
  const std::uint64_t mine = os::ThreadId::mine().raw();
  const std::uint64_t nothing = 0;
  overwrite(memory.data() + kOwnerOffset, std::as_bytes(std::span(&mine, 1)));
  overwrite(memory.data() + kOwnerOffset + 8, std::as_bytes(std::span(&nothing, 1)));
  try {
    lock->unlock("fuzz");
  } catch (const SystemError&) {  // it was not held
  }
}

void run_event(Input& from) {
  std::shared_ptr<EventCore> event = EventCore::create();
  shm::Segment memory = memory_of(*event);
  for (std::size_t i = 0; i < kMostOperations && !from.empty(); ++i) {
    try {
      switch (from.raw<std::uint8_t>() % 8) {
        case 0:
        case 1:
          write_words(memory, kEventWords, from);
          break;
        case 2:
          event->set();
          break;
        case 3:
          event->clear();
          break;
        case 4:
          static_cast<void>(event->is_set());
          break;
        case 5:
          static_cast<void>(event->wait(Deadline::after(20us)));
          break;
        case 6:
          static_cast<void>(event->wait(Deadline::now()));
          break;
        default:
          event = adopt_again(*event);
      }
    } catch (const DecodeError&) {
    }
  }
}

void run(std::span<const std::byte> input) {
  Input from(input);
  switch (from.raw<std::uint8_t>() % 3) {
    case 0:
      return run_lock(false, from);
    case 1:
      return run_lock(true, from);
    default:
      return run_event(from);
  }
}

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  const std::string ones(8, '\xff');
  for (const char kind : {'\0', '\1', '\2'}) {
    for (char offset = 0; offset < 32; offset = static_cast<char>(offset + 4)) {
      const std::string write = std::string("\0", 1) + offset + '\4' + ones.substr(0, 4);
      all.push_back(kind + std::string("\2") + write + "\2\4\5\4\6\7\2\3\4");
      all.push_back(kind + write + "\5\2\4\6\7\5\4\3");
    }
  }
  // Held, and its owner's word overwritten: its memory must not go.
  all.push_back(std::string("\0\2\0\x10\4", 5) + ones.substr(0, 4) + '\7' + '\7');
  return all;
}

}  // namespace

const Target kSync{"sync", run, seeds};

}  // namespace tandem::fuzz
