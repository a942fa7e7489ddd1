// A queue whose shared memory holds anything, but in the mutexes: every operation is refused with an
// exception or returns. A thread may overwrite bytes while the operations run, so that what is
// checked is not what is used, wherever a word is read twice.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fuzz/target.hpp"
#include "queue/queue_header.hpp"
#include "queue/ring_queue.hpp"
#include "tandem/error.hpp"

namespace tandem::fuzz {
namespace {

using namespace detail;
using namespace std::chrono_literals;

constexpr std::uint32_t kType = 7;
constexpr std::size_t kRing = 4096;
constexpr std::size_t kMostOperations = 48;

enum class Op : std::uint8_t {
  write_header,  // offset, length, bytes
  write_ring,    // offset, length, bytes
  set_cursors,   // head, tail, and whether both are close to each other
  put,           // size
  try_put,
  put_if_free,
  put_records,
  get,
  try_get,
  get_records,
  look,
  shutdown,
  open_again,
  watch,
  settle_bell,
  task_done,
  join,
  kCount,
};

/// Where the mutexes are; they are not written.
bool in_mutex(std::size_t offset) {
  const auto within = [offset](std::size_t start) {
    return offset >= start && offset < start + sizeof(os::RobustMutex);
  };
  return within(offsetof(QueueHeader, put_lock)) || within(offsetof(QueueHeader, get_lock)) ||
         within(offsetof(QueueHeader, bell_lock));
}

class World {
 public:
  World(QueueKind kind, const QueueOptions& options)
      : kind_(kind),
        queue_(std::make_unique<RingQueue>(options, kType, kind)),
        spoiled_(shm::Segment::adopt(queue_->fd().duplicate(), QueueHeader::kDataOffset)) {}

  void write_header(std::size_t offset, std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) {
      offset %= sizeof(QueueHeader);
      if (!in_mutex(offset)) overwrite(spoiled_.data() + offset, {&b, 1});
      ++offset;
    }
  }
  void write_ring(std::size_t offset, std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) {
      overwrite(spoiled_.data() + QueueHeader::kDataOffset + offset++ % kRing, {&b, 1});
    }
  }
  void set_cursors(std::uint64_t head, std::uint64_t tail, bool close) {
    if (close) tail = head + tail % (2 * kRing / shm::Cursor::kUnit);
    header().ring.head.store(head);
    header().ring.tail.store(tail);
  }
  void step(Op op, Input& from);

  /// Overwrites single bytes, many times, beside the operations.
  void overwrite_much(std::uint64_t seed) {
    std::minstd_rand random(static_cast<unsigned>(seed));
    for (int i = 0; i < 3'000; ++i) {
      const auto byte = static_cast<std::byte>(random() % 4 == 0 ? random() : random() % 4);
      // The cursors and the first records more often than the rest.
      switch (random() % 4) {
        case 0:
          write_header(offsetof(QueueHeader, ring) + random() % sizeof(shm::RingState), {&byte, 1});
          break;
        case 1:
          write_header(random(), {&byte, 1});
          break;
        default:
          write_ring(random() % 2 == 0 ? random() % 64 : random(), {&byte, 1});
      }
    }
  }

 private:
  [[nodiscard]] QueueHeader& header() { return *reinterpret_cast<QueueHeader*>(spoiled_.data()); }
  [[nodiscard]] Deadline soon() const { return Deadline::after(20us); }
  [[nodiscard]] Outgoing message(std::size_t size) {
    payload_.assign(size, std::byte{'x'});
    return {kType, payload_, nullptr};
  }
  bool get(Deadline deadline);

  QueueKind kind_;
  std::unique_ptr<RingQueue> queue_;
  std::unique_ptr<RingQueue> second_;
  shm::Segment spoiled_;
  std::vector<std::byte> payload_;
  std::vector<std::byte> room_;
};

bool World::get(Deadline deadline) {
  Incoming into;
  into.context = &room_;
  into.grow = [](Incoming& self, std::size_t size) -> std::byte* {
    if (size > (std::size_t{1} << 24)) return nullptr;  // no value of this queue's type
    auto& room = *static_cast<std::vector<std::byte>*>(self.context);
    room.resize(size + 1);
    return room.data();
  };
  return queue_->get(into, deadline);
}

void World::step(Op op, Input& from) {
  switch (op) {
    case Op::write_header: {
      const auto offset = from.raw<std::uint16_t>();
      return write_header(offset, from.take(from.raw<std::uint8_t>() % 32));
    }
    case Op::write_ring: {
      const auto offset = from.raw<std::uint16_t>();
      return write_ring(offset, from.take(from.raw<std::uint8_t>()));
    }
    case Op::set_cursors: {
      const auto head = from.raw<std::uint64_t>();
      const auto tail = from.raw<std::uint64_t>();
      return set_cursors(head, tail, from.raw<std::uint8_t>() % 4 != 0);
    }
    case Op::put:
      static_cast<void>(queue_->put(message(from.raw<std::uint16_t>() % (2 * kRing)), soon()));
      return;
    case Op::try_put:
      static_cast<void>(queue_->put(message(from.raw<std::uint16_t>() % kRing), Deadline::now()));
      return;
    case Op::put_if_free:
      static_cast<void>(
          queue_->put_if_free(message(from.raw<std::uint16_t>() % queue_->most_whole())));
      return;
    case Op::put_records: {
      Batch batch;
      for (int i = 0; i < 8; ++i) batch.add(message(from.raw<std::uint8_t>()));
      static_cast<void>(queue_->put_records(batch.records(), soon()));
      return;
    }
    case Op::get:
      static_cast<void>(get(soon()));
      return;
    case Op::try_get:
      static_cast<void>(get(Deadline::now()));
      return;
    case Op::get_records: {
      Batch batch;
      static_cast<void>(queue_->get_records(batch, 1 + from.raw<std::uint16_t>(), soon()));
      Incoming into;
      while (batch.take(into)) {
      }
      return;
    }
    case Op::look:
      static_cast<void>(queue_->items());
      static_cast<void>(queue_->empty());
      queue_->check_type(kType, kind_);
      return;
    case Op::shutdown:
      return queue_->shutdown(from.raw<std::uint8_t>() % 2 == 0);
    case Op::open_again:
      second_ = std::make_unique<RingQueue>(
          shm::Segment::adopt(queue_->fd().duplicate(), QueueHeader::kDataOffset),
          queue_->bell().duplicate(), kType, kind_);
      std::swap(queue_, second_);
      return;
    case Op::watch:
      if (from.raw<std::uint8_t>() % 2 == 0) {
        queue_->watch();
      } else {
        queue_->unwatch();
      }
      return;
    case Op::settle_bell:
      return queue_->settle_bell();
    case Op::task_done:
      if (kind_ == QueueKind::joinable) static_cast<void>(queue_->takers().finish_one());
      return;
    case Op::join:
      if (kind_ != QueueKind::joinable) return;
      static_cast<void>(queue_->takers().report_loss());
      static_cast<void>(queue_->finished());
      return;
    case Op::kCount:
      return;
  }
}

void run(std::span<const std::byte> input) {
  Input from(input);
  const auto flags = from.raw<std::uint8_t>();
  const QueueOptions options{.maxsize = flags & 4U ? 3U : 0U,
                             .ring_bytes = kRing,
                             .single_producer = (flags & 8U) != 0,
                             .single_consumer = (flags & 16U) != 0};
  World world(static_cast<QueueKind>(flags % 3), options);
  std::thread other;
  if ((flags & 0xe0U) == 0xe0U) {
    other = std::thread([&world, seed = from.raw<std::uint64_t>()] { world.overwrite_much(seed); });
  }
  for (std::size_t i = 0; i < kMostOperations && !from.empty(); ++i) {
    const auto op =
        static_cast<Op>(from.raw<std::uint8_t>() % static_cast<std::uint8_t>(Op::kCount));
    try {
      world.step(op, from);
    } catch (const Error&) {  // DecodeError mostly; ShutDown and others by the words they stand for
    }
  }
  if (other.joinable()) other.join();
}

Seed begin(unsigned flags) { return std::move(Seed().raw(static_cast<std::uint8_t>(flags))); }

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const unsigned flags : {0U, 1U, 2U, 4U, 2U | 8U, 8U | 16U, 0xe0U, 0xe2U, 0xfcU}) {
    const bool overwritten = (flags & 0xe0U) == 0xe0U;
    const auto seed = [&] {
      Seed start = begin(flags);
      if (overwritten) start.raw(std::uint64_t{42});
      return start;
    };
    Seed used = seed();
    for (const unsigned size : {10U, 0U, 2'000U, 900U})
      used.raw(Op::put).raw(static_cast<std::uint16_t>(size));
    for (int i = 0; i < 3; ++i) used.raw(Op::get).raw(Op::task_done);
    used.raw(Op::put_records).text("12345678").raw(Op::look).raw(Op::get_records);
    used.raw(std::uint16_t{5}).raw(Op::watch).raw(std::uint8_t{0}).raw(Op::settle_bell);
    used.raw(Op::join).raw(Op::open_again).raw(Op::try_get);
    used.raw(Op::shutdown).raw(std::uint8_t{1}).raw(Op::get).raw(Op::get);
    all.push_back(used.done());

    // Records that wrap around, a stream's beginning, cursors far apart.
    const shm::RecordHeader whole{16U | 1U << 28, kType};
    const shm::RecordHeader first{16U | 2U << 28, kType};
    Seed spoiled = seed();
    spoiled.raw(Op::write_ring).raw(std::uint16_t{0}).raw(std::uint8_t{8}).raw(whole);
    spoiled.raw(Op::write_ring).raw(std::uint16_t{24}).raw(std::uint8_t{16}).raw(first);
    spoiled.raw(std::uint64_t{1} << 40);
    spoiled.raw(Op::set_cursors).raw(std::uint64_t{0}).raw(std::uint64_t{6}).raw(std::uint8_t{1});
    for (int i = 0; i < 3; ++i) spoiled.raw(Op::get);
    spoiled.raw(Op::get_records).raw(std::uint16_t{1'000});
    all.push_back(spoiled.done());

    // One record that fills the ring, and a tail further than that: the same bytes wait for ever.
    Seed round = seed();
    const shm::RecordHeader full{static_cast<std::uint32_t>(kRing - 8) | 1U << 28, kType};
    round.raw(Op::write_ring).raw(std::uint16_t{0}).raw(std::uint8_t{8}).raw(full);
    const std::uint64_t units = kRing / shm::Cursor::kUnit;
    round.raw(Op::set_cursors).raw(std::uint64_t{0}).raw(2 * units).raw(std::uint8_t{0});
    round.raw(Op::write_header);
    round.raw(static_cast<std::uint16_t>(offsetof(QueueHeader, ring) +
                                         offsetof(shm::RingState, tail_seen)));
    round.raw(std::uint8_t{8}).raw(units);
    round.raw(Op::get_records).raw(std::uint16_t{1'000});
    all.push_back(round.done());
  }
  return all;
}

}  // namespace

const Target kQueue{"queue", run, seeds};

}  // namespace tandem::fuzz
