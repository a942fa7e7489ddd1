#include <charconv>
#include <cstring>
#include <shared_mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "os/file.hpp"
#include "os/memfd.hpp"
#include "os/pidfd.hpp"
#include "os/self.hpp"
#include "process/bootstrap.hpp"
#include "process/inherited_state.hpp"
#include "process/start.hpp"
#include "tandem/process.hpp"

namespace tandem::detail {
namespace {

// The child is this same program, so the payload needs no format that others can read:
// PayloadHeader, Identity's members, inherited state, the call.
constexpr std::uint64_t kMagic = 0x646c696863646e74;  // "tndchild"
constexpr int kPayloadDescriptor = 3;
constexpr std::uint32_t kNobody = 0xffffffff;

struct PayloadHeader {
  std::uint64_t magic = kMagic;
  std::uint64_t size = 0;  // of all of it
  std::uint32_t descriptors = 0;
  std::uint32_t owner = kNobody;  // index of the pidfd a daemon watches
  std::int32_t parent_pid = 0;
  StartMethod start_method{};
  std::uint32_t parent_daemon = 0;
};

// Encodes into `payload` everything that the child has to know.
void write_payload(Encoder& to, std::vector<Fd>& descriptors, const Target& target,
                   const Identity& child) {
  PayloadHeader header{.parent_pid = child.parent_pid,
                       .start_method = start_method(),
                       .parent_daemon = child.parent_daemon};
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

// \returns false when descriptor 3 is not what a parent made
bool read_payload(Buffer& payload, PayloadHeader& header) {
  const Fd file(kPayloadDescriptor);
  if (!os::read_at(file, 0, std::as_writable_bytes(std::span(&header, 1)))) return false;
  if (header.magic != kMagic || header.size < sizeof header) return false;
  return os::read_at(file, 0, {payload.assign(header.size), header.size});
}

[[noreturn]] void refuse_to_run() {
  os::write_to_stderr(
      "--tandem-child is for the processes that tandem starts; it cannot be given by hand\n");
  os::exit_now(2);
}

}  // namespace

os::ChildProcess start_spawn(Target& target, const Identity& child) {
  const char* program = initialised_program();
  if (program == nullptr) {
    throw StartError(concat("Process::start on ", child.name,
                            ": the program has not called tandem::init, so a child made by spawn "
                            "could not find its target; make tandem::init(argc, argv) the first "
                            "statement of main, or use start::fork"));
  }

  const std::shared_lock gate(start_gate());
  Buffer payload;
  std::vector<Fd> descriptors;
  Encoder encoder(payload, Route::process, &descriptors);
  write_payload(encoder, descriptors, target, child);
  const Fd file = payload_file(payload);

  std::vector<int> handed{file.get()};
  for (const Fd& fd : descriptors) handed.push_back(fd.get());
  std::string name(program);
  std::string flag("--tandem-child");
  std::string count = std::to_string(handed.size());
  char* const argv[] = {name.data(), flag.data(), count.data(), nullptr};
  os::ChildProcess process = os::exec_program("/proc/self/exe", argv, handed);
  encoder.shipped();
  return process;
}

void run_spawned_child(const char* program, const char* count_text) {
  unsigned count = 0;
  const char* end = count_text + std::strlen(count_text);
  if (std::from_chars(count_text, end, count).ptr != end || count == 0) refuse_to_run();

  Buffer payload;
  PayloadHeader header;
  std::vector<Fd> descriptors;
  if (!read_payload(payload, header) || header.descriptors != count - 1) refuse_to_run();

  run_to_the_end([&] {
    const char* slash = std::strrchr(program, '/');
    os::set_command_name(slash == nullptr ? program : slash + 1);
    for (unsigned i = 1; i < count; ++i) {
      descriptors.emplace_back(kPayloadDescriptor + static_cast<int>(i));
      os::set_close_on_exec(descriptors.back().get());
    }
    Decoder from(payload.bytes().subspan(sizeof header), Route::process, &descriptors);
    Identity self{.daemon = header.owner != kNobody,
                  .parent_pid = header.parent_pid,
                  .parent_daemon = header.parent_daemon != 0};
    self.name = decode<std::string>(from);
    self.path = decode<std::string>(from);
    self.parent_name = decode<std::string>(from);
    become(std::move(self));
    set_start_method(header.start_method);
    if (header.owner != kNobody) end_with(from.take_descriptor(header.owner));
    load_inherited_state(from);
    run_call(from);
  });
}

}  // namespace tandem::detail
