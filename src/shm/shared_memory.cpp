#include "tandem/memory.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.hpp"
#include "os/named_memory.hpp"
#include "shm/hand_over.hpp"
#include "shm/segment.hpp"
#include "tandem/error.hpp"

namespace tandem {
namespace detail {

class MemoryCore {
 public:
  explicit MemoryCore(shm::Segment segment)
      : segment_(std::move(segment)), name_(shm::object_name("memory", segment_.fd())) {}
  MemoryCore(shm::Segment segment, std::string_view name)
      : segment_(std::move(segment)), name_(name), named_(true) {}

  [[nodiscard]] const shm::Segment& segment() const noexcept { return segment_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] bool named() const noexcept { return named_; }

 private:
  shm::Segment segment_;
  std::string name_;
  bool named_ = false;
};

namespace {

constexpr std::string_view kNamespace = "memory";
constexpr std::size_t kLongestLabel = 200;

std::string file_name(std::string_view label) {
  if (label.empty()) return "tandem-memory";
  return concat("tandem-memory:", label.substr(0, kLongestLabel));
}

template <class... Arguments>
std::shared_ptr<const MemoryCore> make_core(Arguments&&... arguments) {
  return std::make_shared<const MemoryCore>(std::forward<Arguments>(arguments)...);
}

}  // namespace
}  // namespace detail

SharedMemory::SharedMemory(std::size_t size_bytes, std::string_view label)
    : SharedMemory(detail::make_core(shm::Segment::create(detail::file_name(label), size_bytes))) {}

SharedMemory::SharedMemory(std::shared_ptr<const detail::MemoryCore> core) noexcept
    : core_(std::move(core)),
      data_(core_->segment().data()),
      size_bytes_(core_->segment().size()) {}

SharedMemory SharedMemory::create(std::string_view name, std::size_t size_bytes) {
  const std::string path = os::named_path(detail::kNamespace, name);
  SharedMemory memory(
      detail::make_core(shm::Segment::map_file(os::make_nameless(size_bytes)), name));
  os::publish(memory.core_->segment().fd(), path);
  return memory;
}

SharedMemory SharedMemory::open(std::string_view name) {
  return SharedMemory(detail::make_core(
      shm::Segment::map_file(os::open_named(os::named_path(detail::kNamespace, name))), name));
}

bool SharedMemory::remove(std::string_view name) {
  return os::remove_named(os::named_path(detail::kNamespace, name));
}

const std::string& SharedMemory::name() const noexcept { return core_->name(); }

void SharedMemory::save(detail::Encoder& to) const {
  shm::hand_over(to, core_->segment().fd(), "a SharedMemory");
  const std::string& name = core_->name();
  to.write_raw(static_cast<std::uint64_t>(core_->named() ? name.size() : 0));
  if (core_->named()) to.write(name.data(), name.size());
}

SharedMemory SharedMemory::detail_decode(detail::Decoder& from) {
  detail::Fd fd = shm::take_over(from);
  const auto length = from.read_raw<std::uint64_t>();
  if (length == 0) return SharedMemory(detail::make_core(shm::Segment::adopt(std::move(fd), 1)));
  const auto name = from.take(length);
  return SharedMemory(
      detail::make_core(shm::Segment::map_file(std::move(fd)),
                        std::string_view(reinterpret_cast<const char*>(name.data()), name.size())));
}

}  // namespace tandem
