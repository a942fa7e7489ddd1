#include "tandem/detail/shared_cell.hpp"

#include <atomic>
#include <cstring>
#include <new>

#include "os/robust_mutex.hpp"
#include "os/spin.hpp"
#include "shm/cell_state.hpp"

namespace tandem::detail {
namespace {

// Invariants
// 1. The value is copy `number % 2`. Who writes holds `lock`, writes the other copy, then stores
//    number + 1. A death before that store leaves the old value, one after it the new.
// 2. Readers take no lock. They read the copy and then the number again: if it is the same, nobody
//    had begun to overwrite that copy. The words are stored with release and loaded with acquire,
//    so that who sees a word of value n + 2 also sees that the number was n + 1 before it.
using Word = std::atomic<std::uint64_t>;

constexpr std::size_t kWordsOffset = 64;
static_assert(sizeof(CellState) <= kWordsOffset && sizeof(Word) == 8);
constexpr int kTries = 64;

constexpr std::size_t words_of(std::size_t size_bytes) { return (size_bytes + 7) / 8; }

CellState& state_at(std::byte* at) { return *std::launder(reinterpret_cast<CellState*>(at)); }

Word* copy_at(std::byte* at, std::size_t size_bytes, std::uint64_t number) {
  auto* const words = reinterpret_cast<Word*>(at + kWordsOffset);
  return words + (number % 2) * words_of(size_bytes);
}

void read(const Word* from, std::byte* to, std::size_t size_bytes) {
  for (; size_bytes != 0; ++from) {
    const std::uint64_t word = from->load(std::memory_order_acquire);
    const std::size_t n = size_bytes < sizeof word ? size_bytes : sizeof word;
    std::memcpy(to, &word, n);
    to += n;
    size_bytes -= n;
  }
}

void write(Word* to, const std::byte* from, std::size_t size_bytes) {
  for (; size_bytes != 0; ++to) {
    std::uint64_t word = 0;
    const std::size_t n = size_bytes < sizeof word ? size_bytes : sizeof word;
    std::memcpy(&word, from, n);
    to->store(word, std::memory_order_release);
    from += n;
    size_bytes -= n;
  }
}

bool equal(const Word* words, const std::byte* value, std::size_t size_bytes) {
  for (; size_bytes != 0; ++words) {
    const std::uint64_t word = words->load(std::memory_order_relaxed);
    const std::size_t n = size_bytes < sizeof word ? size_bytes : sizeof word;
    if (std::memcmp(&word, value, n) != 0) return false;
    value += n;
    size_bytes -= n;
  }
  return true;
}

/// Whoever died with the lock has left nothing to repair.
class Hold {
 public:
  explicit Hold(os::RobustMutex& mutex) : mutex_(mutex) { (void)mutex_.lock(); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  ~Hold() { mutex_.unlock(); }

 private:
  os::RobustMutex& mutex_;
};

}  // namespace

std::size_t SharedCell::room_for(std::size_t size_bytes) noexcept {
  return kWordsOffset + 2 * words_of(size_bytes) * sizeof(Word);
}

void SharedCell::init(std::byte* at, std::size_t size_bytes, const std::byte* value) {
  auto* const state = new (at) CellState;
  state->lock.init(false);
  state->number.store(0, std::memory_order_relaxed);
  write(copy_at(at, size_bytes, 0), value, size_bytes);
}

std::uint64_t SharedCell::load(std::byte* value) const {
  CellState& state = state_at(at_);
  for (int i = 0; i < kTries; ++i) {
    const std::uint64_t number = state.number.load(std::memory_order_acquire);  // pairs with put
    read(copy_at(at_, size_bytes_, number), value, size_bytes_);
    if (state.number.load(std::memory_order_relaxed) == number) return number;
    os::cpu_relax();
  }
  // Written all the time: wait for a turn.
  const Hold hold(state.lock);
  const std::uint64_t number = state.number.load(std::memory_order_relaxed);
  read(copy_at(at_, size_bytes_, number), value, size_bytes_);
  return number;
}

namespace {

// Held: the lock.
void put(std::byte* at, std::size_t size_bytes, std::uint64_t number, const std::byte* value) {
  write(copy_at(at, size_bytes, number + 1), value, size_bytes);
  state_at(at).number.store(number + 1, std::memory_order_release);  // pairs with load
}

}  // namespace

void SharedCell::exchange(const std::byte* value, std::byte* old) {
  CellState& state = state_at(at_);
  const Hold hold(state.lock);
  const std::uint64_t number = state.number.load(std::memory_order_relaxed);
  if (old != nullptr) read(copy_at(at_, size_bytes_, number), old, size_bytes_);
  put(at_, size_bytes_, number, value);
}

bool SharedCell::compare_exchange(std::byte* expected, const std::byte* value) {
  CellState& state = state_at(at_);
  const Hold hold(state.lock);
  const std::uint64_t number = state.number.load(std::memory_order_relaxed);
  const Word* const now = copy_at(at_, size_bytes_, number);
  if (!equal(now, expected, size_bytes_)) {
    read(now, expected, size_bytes_);
    return false;
  }
  put(at_, size_bytes_, number, value);
  return true;
}

bool SharedCell::replace(std::uint64_t number, const std::byte* value) {
  CellState& state = state_at(at_);
  const Hold hold(state.lock);
  if (state.number.load(std::memory_order_relaxed) != number) return false;
  put(at_, size_bytes_, number, value);
  return true;
}

}  // namespace tandem::detail
