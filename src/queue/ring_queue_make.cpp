// How a queue comes to be: made, opened by its name, or handed over; and how it is left.
#include <cstring>
#include <new>
#include <random>
#include <string>
#include <system_error>
#include <utility>

#include "base/text.hpp"
#include "os/named_memory.hpp"
#include "queue/ring_queue.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

namespace {

std::string name_of(std::uint32_t id) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string name = "tandem-queue-";
  for (int shift = 28; shift >= 0; shift -= 4) name += kHex[id >> shift & 15];
  return name;
}

// The bell of a named queue is found by the file's number, which nothing else has while the file
// exists. So queues that have one name after the other never share one.
std::string bell_path(const Fd& queue) {
  return os::named_path("bell", std::to_string(os::identity(queue).inode));
}

}  // namespace

RingQueue::RingQueue(const QueueOptions& options, std::uint32_t type, QueueKind kind,
                     std::string_view name) {
  const std::size_t capacity = shm::Ring::capacity_for(options.ring_bytes);
  const std::size_t bytes = QueueHeader::kDataOffset + capacity;
  const std::uint32_t id = std::random_device()();
  const std::string path = name.empty() ? std::string() : path_of(name);
  shm::Segment segment = name.empty() ? shm::Segment::create(name_of(id), bytes)
                                      : shm::Segment::map_file(os::make_nameless(bytes));
  auto* header = new (segment.data()) QueueHeader;
  header->version = QueueHeader::kVersion;
  header->type = type;
  header->capacity = capacity;
  header->maxsize = options.maxsize;
  header->buffer_bytes = options.buffer_bytes;
  header->id = id;
  header->kind = static_cast<std::uint16_t>(kind);
  header->promises =
      static_cast<std::uint16_t>((options.single_producer ? QueueHeader::kSingleProducer : 0) |
                                 (options.single_consumer ? QueueHeader::kSingleConsumer : 0));
  header->domain = os::own_domain();
  header->put_lock.init(false);
  header->get_lock.init(false);
  header->bell_lock.init(false);
  name.copy(header->name, sizeof header->name - 1);
  header->magic = QueueHeader::kMagic;
  if (name.empty()) {
    map_header(std::move(segment), capacity, os::make_event_fd());
  } else {
    os::publish(segment.fd(), path);
    try {
      Fd bell = open_bell(segment.fd());
      map_header(std::move(segment), capacity, std::move(bell));
    } catch (...) {
      os::remove_named(path);
      throw;
    }
  }
}

std::string RingQueue::path_of(std::string_view name) {
  if (name.size() >= sizeof QueueHeader::name) {
    throw SystemError(std::make_error_code(std::errc::filename_too_long),
                      concat("Queue: the name ", name));
  }
  return os::named_path("queue", name);
}

// Whoever misses the bell makes it, so that a death between making a queue and making its bell is
// mended. If the name is gone by then, so is the bell that the others have.
Fd RingQueue::open_bell(const Fd& queue) {
  Fd bell = os::open_bell(bell_path(queue));
  if (!os::has_name(queue)) {
    os::remove_named(bell_path(queue));
    throw SystemError(std::make_error_code(std::errc::no_such_file_or_directory),
                      "Queue: the name was removed meanwhile");
  }
  return bell;
}

std::pair<Fd, Fd> RingQueue::open(std::string_view name) {
  Fd queue = os::open_named(path_of(name));
  Fd bell = open_bell(queue);
  return {std::move(queue), std::move(bell)};
}

bool RingQueue::remove(std::string_view name) {
  const std::string path = path_of(name);
  std::string bell;
  try {
    bell = bell_path(os::open_named(path));
  } catch (const SystemError& error) {
    if (error.code() == std::errc::no_such_file_or_directory) return false;
    throw;
  }
  // First, so that a death in between leaves the name, by which what is left can be removed; and
  // again, because who opens the queue in between makes a bell.
  os::remove_named(bell);
  const bool removed = os::remove_named(path);
  os::remove_named(bell);
  return removed;
}

RingQueue::RingQueue(shm::Segment segment, Fd bell, std::uint32_t type, QueueKind kind) {
  const auto refuse = [](const char* why) {
    throw DecodeError(concat("Queue: the shared memory ", why));
  };
  if (segment.size() < QueueHeader::kDataOffset) refuse("is too small to be a queue's");
  const auto& header = *std::launder(reinterpret_cast<const QueueHeader*>(segment.data()));
  if (header.magic != QueueHeader::kMagic) refuse("is not a queue's");
  if (header.version != QueueHeader::kVersion) refuse("was made by another version of tandem");
  if (header.domain != os::own_domain()) {
    refuse("belongs to another user or pid namespace; both ends must share one");
  }
  // Read once: what was checked is what is used, whatever another process writes there meanwhile.
  const std::size_t capacity = static_cast<const volatile std::uint64_t&>(header.capacity);
  if (!shm::Ring::valid_capacity(capacity) ||
      segment.size() - QueueHeader::kDataOffset < capacity) {
    refuse("is damaged");
  }
  map_header(std::move(segment), capacity, std::move(bell));
  check_type(type, kind);
}

void RingQueue::map_header(shm::Segment segment, std::size_t capacity, Fd bell) {
  segment_ = std::move(segment);
  header_ = std::launder(reinterpret_cast<QueueHeader*>(segment_.data()));
  ring_ = shm::Ring(&header_->ring, segment_.data() + QueueHeader::kDataOffset, capacity);
  maxsize_ = header_->maxsize;
  buffer_bytes_ = header_->buffer_bytes;
  kind_ = static_cast<QueueKind>(header_->kind);
  if (kind_ == QueueKind::joinable) takers_.emplace(header_->join);
  type_ = header_->type;
  named_ = header_->name[0] != '\0';
  name_ =
      named_
          ? concat("the queue named ",
                   std::string_view(header_->name, ::strnlen(header_->name, sizeof header_->name)))
          : name_of(header_->id);
  const unsigned promises = header_->promises;
  put_side_.attach(header_->put_lock, header_->producer, (promises & QueueHeader::kSingleProducer),
                   {"single_producer", "put", "producer"}, name_);
  get_side_.attach(header_->get_lock, header_->consumer, (promises & QueueHeader::kSingleConsumer),
                   {"single_consumer", "get", "consumer"}, name_);
  bell_ = Bell(header_->ring.bell, header_->bell_lock, !put_side_.promised(), std::move(bell));
}

RingQueue::~RingQueue() {
  resign();
  Tenure::unmap(std::move(segment_), put_side_, get_side_);
}

void RingQueue::resign() noexcept {
  put_side_.resign();
  get_side_.resign();
}

void RingQueue::after_fork_in_child() {
  put_side_.forget();
  get_side_.forget();
  if (takers_) takers_->forget_own_slot();
}

void RingQueue::check_type(std::uint32_t type, QueueKind kind) const {
  const auto refuse = [&](const char* what) {
    throw DecodeError(concat("Queue on ", name_, ": received as ", what));
  };
  if (type_ != type) refuse("a queue of another element type");
  // A joinable queue may be used by those who need no more than a queue.
  if (kind_ != kind && !(kind == QueueKind::plain && kind_ == QueueKind::joinable)) {
    refuse("another kind of queue (Queue, SimpleQueue, JoinableQueue)");
  }
}

}  // namespace tandem::detail
