#include <mutex>
#include <shared_mutex>
#include <utility>
#include <vector>

#include "os/event_fd.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/self.hpp"
#include "process/bootstrap.hpp"
#include "process/start.hpp"
#include "tandem/detail/byte_channel.hpp"

namespace tandem::detail {
namespace {

// All that the two sides of the fork have in common.
struct Fork {
  Target& target;
  const Identity& child;
  Buffer payload = {};
  std::vector<Fd> descriptors = {};
  // The child waits for this bell, so that it cannot have ended, and been reaped by a stranger's
  // wait, before the parent holds its pidfd.
  Fd released = {};
  Fd owner = {};  // pidfd of the parent
  Fd null = {};
};

void wait_for_release(Fork& fork) {
  pollfd either[] = {{fork.released.get(), POLLIN, 0}, {fork.owner.get(), POLLIN, 0}};
  os::poll_until(either, Deadline::never());
  if (either[0].revents == 0) os::exit_now(1);  // the parent died first, nobody knows of us
}

[[noreturn]] void run_forked_child(Fork& fork) {
  run_to_the_end([&] {
    end_as_forked_child();
    os::unblock_all_signals();
    become(fork.child);
    wait_for_release(fork);
    os::replace_stdin(std::move(fork.null));
    fork.released.reset();
    if (fork.child.daemon) {
      end_with(std::move(fork.owner));
    } else {
      fork.owner.reset();
    }
    // Else end of file would wait for us on connections that we do not know of.
    if (fork.target.sendable()) abandon_all_channels();
    Decoder from(fork.payload.bytes(), Route::process, &fork.descriptors);
    fork.target.run_in_place(from);
  });
}

os::ChildProcess adopt_child(int pid, const Fork& fork) {
  try {
    os::ChildProcess process{pid, os::open_pidfd(pid)};
    os::ring_bell(fork.released);
    return process;
  } catch (...) {
    os::kill_and_reap(pid);
    throw;
  }
}

}  // namespace

os::ChildProcess start_fork(Target& target, const Identity& child) {
  const std::unique_lock gate(start_gate());
  Fork fork{.target = target, .child = child};
  Encoder encoder(fork.payload, Route::process, &fork.descriptors);
  target.encode(encoder);
  fork.released = os::make_event_fd();
  fork.owner = os::open_pidfd(os::process_id());
  fork.null = os::open_null();

  const int pid = os::fork_process();
  if (pid == 0) run_forked_child(fork);
  os::ChildProcess process = adopt_child(pid, fork);
  encoder.shipped();
  return process;
}

}  // namespace tandem::detail
