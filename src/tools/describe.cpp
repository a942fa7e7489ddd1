#include "tools/describe.hpp"

#include <array>
#include <charconv>
#include <cstring>

#include "base/text.hpp"
#include "queue/queue_header.hpp"

namespace tandem::tools {
namespace {

using detail::concat;

struct Family {
  std::string_view file;
  Kind kind;
  bool more;  // the name goes on
};

constexpr Family kFamilies[] = {
    {"tandem-queue-", Kind::queue, true},
    {"tandem-pipe", Kind::pipe, false},
    {"tandem-lock", Kind::lock, false},
    {"tandem-rlock", Kind::rlock, false},
    {"tandem-semaphore", Kind::semaphore, false},
    {"tandem-bounded-semaphore", Kind::bounded_semaphore, false},
    {"tandem-condition", Kind::condition, false},
    {"tandem-event", Kind::event, false},
    {"tandem-barrier", Kind::barrier, false},
    {"tandem-memory", Kind::memory, false},
    {"tandem-memory:", Kind::memory, true},  // with a label
    {"tandem-memory-", Kind::memory, true},  // in /dev/shm
};

const Family* family_of(std::string_view file) noexcept {
  for (const Family& family : kFamilies) {
    if (family.more ? file.starts_with(family.file) : file == family.file) return &family;
  }
  return nullptr;
}

std::string hexadecimal(std::uint64_t number) {
  std::array<char, 16> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr;
  return {digits.data(), end};
}

bool is_queue(std::span<const std::byte> head) noexcept {
  std::uint64_t magic = 0;
  if (head.size() < sizeof magic) return false;
  std::memcpy(&magic, head.data(), sizeof magic);
  return magic == detail::QueueHeader::kMagic;
}

// A file of /dev/shm is called what its user called it, all else by its number.
std::string object_name(const Source& source, const Family& family) {
  if (source.named) {
    const std::size_t kind = source.file.find('-', sizeof "tandem-" - 1);
    if (kind != source.file.npos) return std::string(source.file.substr(kind + 1));
  }
  if (family.kind == Kind::queue) return std::string(source.file);
  const std::string_view kind = family.file.substr(0, family.file.find(':'));
  return concat(kind, "-", hexadecimal(source.inode));
}

}  // namespace

const char* name_of(Kind kind) noexcept {
  switch (kind) {
    case Kind::queue:
      return "queue";
    case Kind::pipe:
      return "pipe";
    case Kind::lock:
      return "lock";
    case Kind::rlock:
      return "rlock";
    case Kind::semaphore:
      return "semaphore";
    case Kind::bounded_semaphore:
      return "bounded_semaphore";
    case Kind::condition:
      return "condition";
    case Kind::event:
      return "event";
    case Kind::barrier:
      return "barrier";
    case Kind::value:
      return "value";
    case Kind::array:
      return "array";
    case Kind::heap:
      return "heap";
    case Kind::worker:
      return "worker";
    case Kind::memory:
      return "memory";
  }
  return "unknown";
}

std::size_t bytes_to_read(std::string_view file) noexcept {
  if (file.empty()) return detail::QueueHeader::kDataOffset;
  const Family* const family = family_of(file);
  if (family == nullptr) return 0;
  return family->kind == Kind::barrier ? kMostRead : detail::QueueHeader::kDataOffset;
}

std::optional<Description> describe(const Source& source, std::span<const std::byte> head) {
  Description description;
  if (source.file.empty()) {  // its name was removed while it is in use
    if (!is_queue(head)) return std::nullopt;
    description.kind = Kind::queue;
    description.name = concat("tandem-queue-", hexadecimal(source.inode));
    describe_queue(source, head, description);
    return description;
  }
  const Family* const family = family_of(source.file);
  if (family == nullptr) return std::nullopt;
  description.kind = family->kind;
  description.name = object_name(source, *family);
  switch (family->kind) {
    case Kind::queue:
      describe_queue(source, head, description);
      break;
    case Kind::pipe:
      describe_pipe(source, head, description);
      break;
    case Kind::memory:
      describe_memory(source, head, description);
      break;
    default:
      describe_sync(head, description);
      break;
  }
  return description;
}

}  // namespace tandem::tools
