#include <charconv>
#include <cstring>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "os/self.hpp"
#include "process/bootstrap.hpp"
#include "process/payload.hpp"
#include "process/start.hpp"

namespace tandem::detail {
namespace {

constexpr int kPayloadDescriptor = 3;

[[noreturn]] void refuse_to_run() {
  os::write_to_stderr(
      "--tandem-child is for the processes that tandem starts; it cannot be given by hand\n");
  os::exit_now(2);
}

}  // namespace

void require_init(const std::string& child) {
  if (initialised_program() != nullptr) return;
  throw StartError(concat("Process::start on ", child,
                          ": the program has not called tandem::init, so a child made by spawn or "
                          "forkserver could not find its target; make tandem::init(argc, argv) the "
                          "first statement of main, or use start::fork"));
}

os::ChildProcess exec_child(Target& target, const Identity& child) {
  Buffer payload;
  std::vector<Fd> descriptors;
  Encoder encoder(payload, Route::process, &descriptors);
  write_payload(encoder, descriptors, target, child);
  const Fd file = payload_file(payload);

  std::vector<int> handed{file.get()};
  for (const Fd& fd : descriptors) handed.push_back(fd.get());
  std::string name(initialised_program());
  std::string flag("--tandem-child");
  std::string count = std::to_string(handed.size());
  char* const argv[] = {name.data(), flag.data(), count.data(), nullptr};
  os::ChildProcess process = os::exec_program("/proc/self/exe", argv, handed);
  encoder.shipped();
  return process;
}

os::ChildProcess start_spawn(Target& target, const Identity& child) {
  require_init(child.name);
  const std::shared_lock gate(start_gate());
  return exec_child(target, child);
}

void run_spawned_child(const char* program, const char* count_text) {
  unsigned count = 0;
  const char* end = count_text + std::strlen(count_text);
  if (std::from_chars(count_text, end, count).ptr != end || count == 0) refuse_to_run();
  auto payload = ReceivedPayload::read(Fd(kPayloadDescriptor), count - 1);
  if (!payload) refuse_to_run();

  run_to_the_end([&] {
    os::set_command_name(command_name(program));
    std::vector<Fd> descriptors;
    for (unsigned i = 1; i < count; ++i) {
      descriptors.emplace_back(kPayloadDescriptor + static_cast<int>(i));
      os::set_close_on_exec(descriptors.back().get());
    }
    payload->run(std::move(descriptors));
  });
}

}  // namespace tandem::detail
