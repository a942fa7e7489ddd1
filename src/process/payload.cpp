#include "process/payload.hpp"

#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "os/file.hpp"
#include "os/memfd.hpp"
#include "os/pidfd.hpp"
#include "os/self.hpp"
#include "process/bootstrap.hpp"
#include "process/inherited_state.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/process.hpp"

namespace tandem::detail {
namespace {

// Both sides are the same program, so the payload needs no format that others can read: Header,
// Identity's strings, inherited state, the call.
constexpr std::uint64_t kMagic = 0x646c696863646e74;  // "tndchild"
constexpr std::uint32_t kNobody = 0xffffffff;

struct Header {
  std::uint64_t magic = kMagic;
  std::uint64_t size = 0;  // of all of it
  std::uint32_t descriptors = 0;
  std::uint32_t owner = kNobody;  // index of the pidfd a daemon watches
  std::int32_t parent_pid = 0;
  std::uint32_t parent_birth = 0;
  StartMethod start_method{};
  std::uint32_t parent_daemon = 0;
  std::uint32_t parent_birth_known = 0;
  std::uint32_t reserved = 0;
};

}  // namespace

void write_payload(Encoder& to, std::vector<Fd>& descriptors, const Target& target,
                   const Identity& child) {
  Header header{.parent_pid = child.parent_pid,
                .parent_birth = child.parent_birth.value_or(0),
                .start_method = start_method(),
                .parent_daemon = child.parent_daemon,
                .parent_birth_known = child.parent_birth.has_value()};
  to.write_raw(header);
  if (child.daemon) header.owner = to.attach(os::open_pidfd(os::process_id()));
  encode(to, child.name);
  encode(to, child.path);
  encode(to, child.parent_name);
  save_inherited_state(to);
  target.encode(to);

  header.descriptors = static_cast<std::uint32_t>(descriptors.size());
  header.size = to.buffer().size();
  std::memcpy(to.buffer().data(), &header, sizeof header);
}

Fd payload_file(const Buffer& payload) {
  Fd file = os::make_memfd("tandem-start", payload.size());
  os::write_at(file, 0, payload.bytes());
  return file;
}

std::optional<ReceivedPayload> ReceivedPayload::read(const Fd& file, std::size_t descriptors) {
  Header header;
  if (!os::read_at(file, 0, std::as_writable_bytes(std::span(&header, 1)))) return std::nullopt;
  if (header.magic != kMagic || header.size < sizeof header || header.descriptors != descriptors) {
    return std::nullopt;
  }
  ReceivedPayload received;
  if (!os::read_at(file, 0, {received.bytes_.assign(header.size), header.size})) {
    return std::nullopt;
  }
  return received;
}

void ReceivedPayload::run(std::vector<Fd> descriptors) {
  Decoder from(bytes_.bytes(), Route::process, &descriptors);
  const auto header = from.read_raw<Header>();
  Identity self{.daemon = header.owner != kNobody,
                .parent_pid = header.parent_pid,
                .parent_daemon = header.parent_daemon != 0};
  if (header.parent_birth_known != 0) self.parent_birth = header.parent_birth;
  self.name = decode<std::string>(from);
  self.path = decode<std::string>(from);
  self.parent_name = decode<std::string>(from);
  become(std::move(self));
  set_start_method(header.start_method);
  if (header.owner != kNobody) end_with(from.take_descriptor(header.owner));
  load_inherited_state(from);
  run_call(from);
}

}  // namespace tandem::detail
