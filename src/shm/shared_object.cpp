#include "tandem/detail/shared_object.hpp"

#include <array>
#include <compare>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/lazy.hpp"
#include "os/exec.hpp"
#include "os/memfd.hpp"
#include "os/random.hpp"
#include "shm/hand_over.hpp"
#include "shm/segment.hpp"
#include "tandem/detail/process_once.hpp"

namespace tandem::detail {
namespace {

/// The same in all processes, and never used again, as the number of a memfd may be.
struct Id {
  std::array<std::byte, 16> bytes;
  auto operator<=>(const Id&) const = default;
};

}  // namespace

/// What one process has of a shared object.
class SharedCopy {
 public:
  SharedCopy(Id number, std::uint32_t object_type, std::size_t bytes)
      : id(number), type(object_type), size_bytes(bytes) {}
  SharedCopy(const SharedCopy&) = delete;
  SharedCopy& operator=(const SharedCopy&) = delete;
  ~SharedCopy() {
    if (void* const made = object.find_inherited(); made != nullptr) destroy(made);
    delete static_cast<shm::Segment*>(mapping.find_inherited());
    object.clear();
    mapping.clear();
  }

  const Id id;
  const std::uint32_t type;
  const std::size_t size_bytes;
  ProcessOnce mapping;
  ProcessOnce object;
  SharedObject::Destroy destroy = nullptr;  // set before there is an object
};

namespace {

constexpr std::size_t kKept = 8;

struct Registry {
  std::mutex mutex;
  std::map<Id, std::weak_ptr<SharedCopy>> known;
  std::vector<std::shared_ptr<SharedCopy>> kept;  // of those received, the latest last
};
constinit base::Lazy<Registry> registry;

// When the library is loaded, before there is a second thread that could fork.
[[maybe_unused]] const bool fork_safe =
    (os::at_fork([] { registry->mutex.lock(); }, [] { registry->mutex.unlock(); },
                 [] { registry->mutex.unlock(); }),
     true);

void remember(const std::shared_ptr<SharedCopy>& copy) {
  std::erase_if(registry->known, [](const auto& known) { return known.second.expired(); });
  registry->known[copy->id] = copy;
}

/// \throws DecodeError
std::shared_ptr<SharedCopy> copy_of(Id id, std::uint32_t type, std::size_t size_bytes) {
  std::shared_ptr<SharedCopy> no_longer_kept;  // goes when the lock is free again
  const std::lock_guard lock(registry->mutex);
  std::shared_ptr<SharedCopy> copy;
  if (const auto known = registry->known.find(id); known != registry->known.end()) {
    copy = known->second.lock();
  }
  if (copy == nullptr) {
    copy = std::make_shared<SharedCopy>(id, type, size_bytes);
    remember(copy);
  } else if (copy->type != type || copy->size_bytes != size_bytes) {
    throw_decode_error("a Shared object is of another type");
  }
  auto& kept = registry->kept;
  if (kept.empty() || kept.back() != copy) {
    std::erase(kept, copy);
    kept.push_back(copy);
    if (kept.size() > kKept) {
      no_longer_kept = std::move(kept.front());
      kept.erase(kept.begin());
    }
  }
  return copy;
}

}  // namespace

SharedObject::SharedObject(std::uint32_t type, std::span<const std::byte> bytes)
    : fd_(os::make_frozen_memfd("tandem-shared", bytes)) {
  Id id;
  os::fill_random(id.bytes);
  copy_ = std::make_shared<SharedCopy>(id, type, bytes.size());
  const std::lock_guard lock(registry->mutex);
  remember(copy_);
}

SharedObject::SharedObject(Fd fd, std::shared_ptr<SharedCopy> copy) noexcept
    : fd_(std::move(fd)), copy_(std::move(copy)) {}

SharedObject::~SharedObject() = default;

void SharedObject::save(Encoder& to) const {
  shm::hand_over(to, fd_, "a Shared object");
  to.write_raw(copy_->id);
  to.write_raw(static_cast<std::uint64_t>(copy_->size_bytes));
}

std::shared_ptr<const SharedObject> SharedObject::load(Decoder& from, std::uint32_t type) {
  Fd fd = shm::take_over(from);
  const auto id = from.read_raw<Id>();
  const auto size_bytes = from.read_raw<std::uint64_t>();
  return std::make_shared<const SharedObject>(std::move(fd), copy_of(id, type, size_bytes));
}

std::span<const std::byte> SharedObject::bytes() const {
  if (copy_->size_bytes == 0) return {};
  void* segment = copy_->mapping.find_inherited();
  if (segment == nullptr) {
    segment = copy_->mapping.get(
        [](void* self) -> void* {
          const auto& object = *static_cast<const SharedObject*>(self);
          return new shm::Segment(shm::Segment::view(object.fd_, object.copy_->size_bytes));
        },
        const_cast<SharedObject*>(this));
  }
  return {static_cast<shm::Segment*>(segment)->data(), copy_->size_bytes};
}

void* SharedObject::object(Decode decode, Destroy destroy) const {
  if (void* const made = copy_->object.find_inherited(); made != nullptr) [[likely]]
    return made;
  struct Call {
    const SharedObject& self;
    Decode decode;
    Destroy destroy;
  } call{*this, decode, destroy};
  return copy_->object.get(
      [](void* given) {
        const auto& [self, decode_object, destroy_object] = *static_cast<const Call*>(given);
        SharedCopy& copy = *self.copy_;
        copy.destroy = destroy_object;
        if (copy.size_bytes == 0) return decode_object({});
        if (copy.mapping.find_inherited() != nullptr) return decode_object(self.bytes());
        // Nobody but the decoder wants to see the bytes.
        const shm::Segment segment = shm::Segment::view(self.fd_, copy.size_bytes);
        return decode_object({segment.data(), copy.size_bytes});
      },
      &call);
}

}  // namespace tandem::detail
