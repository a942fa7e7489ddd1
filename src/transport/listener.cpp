// A Reception with a thread that drives it, and the clients that were let in and wait.
//
// 1. Everything but `stop_bell_` and the wait in poll is touched under `gate`, one mutex for all
//    listeners of the process, which is never held while waiting. A fork waits for it, so the child
//    finds every listener whole; it has no such thread, and only lets go of the descriptors.
// 2. A client hears that it was let in while the gate is held. So whoever accepts after a connect
//    has returned finds that client.
// 3. The thread ends with the listener. At the process's end it stops before libcrypto is cleaned
//    up, and so before the listener it belongs to, if that is never destroyed.
#include <openssl/crypto.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "os/event_fd.hpp"
#include "os/exec.hpp"
#include "os/poll.hpp"
#include "os/self.hpp"
#include "os/socket_file.hpp"
#include "tandem/detail/byte_listener.hpp"
#include "tandem/detail/log.hpp"
#include "tandem/error.hpp"
#include "transport/live_channels.hpp"
#include "transport/reception.hpp"

namespace tandem::transport {
namespace {

using detail::Deadline;

constexpr std::size_t kMostWaiting = 128;

constinit std::mutex gate;
constinit bool process_ends = false;

constinit std::atomic<bool> prepared{false};

// When the library is loaded, before there is a second thread that could fork.
[[maybe_unused]] const bool fork_safe =
    (os::at_fork([] { gate.lock(); }, [] { gate.unlock(); }, [] { gate.unlock(); }), true);

/// Before the first listener of the process is made. Twice does no harm; waiting for another thread
/// would, in a child forked meanwhile.
void prepare_process() {
  if (prepared.load(std::memory_order_acquire)) return;
  // Its own clean-up is then registered before ours, and so runs after it.
  ::OPENSSL_init_crypto(0, nullptr);
  std::atexit([] {
    const std::lock_guard lock(gate);
    process_ends = true;
  });
  prepared.store(true, std::memory_order_release);
}

class ThreadedListener final : public detail::ByteListener, private LiveChannel {
 public:
  ThreadedListener(std::unique_ptr<os::SocketFile> file, detail::Fd socket, Address address,
                   AuthKey key)
      : file_(std::move(file)),
        reception_(std::make_unique<Reception>(std::move(socket), address, std::move(key))),
        address_(std::move(address)),
        waiting_bell_(os::make_event_fd()),
        stop_bell_(os::make_event_fd()),
        owner_(os::process_id()) {
    const os::SignalsBlocked blocked;  // the program's signals are for its own threads
    try {
      thread_ = std::make_unique<std::thread>([this] { run(); });
    } catch (const std::system_error& error) {
      throw SystemError(error.code(), detail::concat("Listener at ", address_.to_string(),
                                                     ": its thread could not be started"));
    }
  }
  ~ThreadedListener() override { close(); }

  std::unique_ptr<detail::ByteChannel> accept(Deadline deadline) override {
    for (;;) {
      const bool passed = deadline.passed();
      {
        const std::lock_guard lock(gate);
        if (owner_ != os::process_id()) {
          throw Error(detail::concat("Listener::accept at ", address_.to_string(),
                                     ": only the process that made a listener can accept"));
        }
        if (closed_) {
          throw Closed(detail::concat("Listener::accept at ", address_.to_string(),
                                      ": the listener was closed"));
        }
        if (!waiting_.empty()) return next_guest();
        if (failure_) std::rethrow_exception(failure_);
      }
      if (passed) return nullptr;
      // The descriptor lives as long as this object, and rings for good when it was closed.
      static_cast<void>(os::wait_readable(waiting_bell_.get(), deadline));
    }
  }

  Address address() const override { return address_; }
  Address last_accepted() const override {
    const std::lock_guard lock(gate);
    return last_accepted_;
  }
  int fd() const override { return waiting_bell_.get(); }

  bool closed() const noexcept override {
    const std::lock_guard lock(gate);
    return closed_;
  }

  void close() noexcept override {
    if (owner_ != os::process_id()) {
      // The thread is its parent's, and there is nothing here to wait for.
      static_cast<void>(thread_.release());
      return;
    }
    std::unique_ptr<std::thread> thread;
    std::deque<Reception::Guest> nobodys;
    {
      const std::lock_guard lock(gate);
      closed_ = true;
      thread = std::move(thread_);
      nobodys = std::move(waiting_);
      waiting_.clear();
      if (file_) file_->remove();
      os::ring_bell(stop_bell_);
      os::ring_bell(waiting_bell_);
    }
    if (thread == nullptr) return;
    thread->join();
    const std::lock_guard lock(gate);
    reception_.reset();
  }

  // The gate is locked and released by the fork itself: this process has one thread.
  void abandon() noexcept override {
    if (reception_) reception_->abandon();
    waiting_bell_.reset();
    stop_bell_.reset();
  }

 private:
  void run() noexcept {
    Deadline until = Deadline::never();
    for (;;) {
      pollfd both[] = {{reception_->fd(), POLLIN, 0}, {stop_bell_.get(), POLLIN, 0}};
      try {
        os::poll_until(both, until);
        const std::lock_guard lock(gate);
        if (closed_ || process_ends) return;
        os::silence_bell(stop_bell_);
        work();
        until = reception_->next();
      } catch (const std::exception& error) {
        fail(error);
        return;
      }
    }
  }

  void work() {
    std::vector<Reception::Guest> guests;
    reception_->step(guests);
    for (Reception::Guest& guest : guests) waiting_.push_back(std::move(guest));
    if (!waiting_.empty()) os::ring_bell(waiting_bell_);
    reception_->hold(waiting_.size() >= kMostWaiting);
  }

  void fail(const std::exception& error) noexcept {
    detail::log(LogLevel::error, "Listener at ", address_.to_string(), ": ", error.what());
    const std::lock_guard lock(gate);
    failure_ = std::current_exception();
    os::ring_bell(waiting_bell_);
  }

  std::unique_ptr<detail::ByteChannel> next_guest() {
    Reception::Guest guest = std::move(waiting_.front());
    waiting_.pop_front();
    last_accepted_ = std::move(guest.from);
    if (waiting_.empty() && !failure_) os::silence_bell(waiting_bell_);
    if (waiting_.size() + 1 == kMostWaiting) os::ring_bell(stop_bell_);  // the thread lets in again
    return std::move(guest.channel);
  }

  std::unique_ptr<os::SocketFile> file_;
  std::unique_ptr<Reception> reception_;
  const Address address_;
  Address last_accepted_;
  std::deque<Reception::Guest> waiting_;
  detail::Fd waiting_bell_;
  detail::Fd stop_bell_;  // wakes the thread
  std::exception_ptr failure_;
  const int owner_;
  bool closed_ = false;
  std::unique_ptr<std::thread> thread_;
};

}  // namespace
}  // namespace tandem::transport

namespace tandem::detail {

std::shared_ptr<ByteListener> ByteListener::create(Address address, AuthKey key) {
  transport::prepare_process();
  auto file = std::make_unique<os::SocketFile>();
  Fd socket = transport::listen_at(address, key, *file);
  return std::make_shared<transport::ThreadedListener>(std::move(file), std::move(socket),
                                                       std::move(address), std::move(key));
}

std::unique_ptr<ByteChannel> connect_channel(const Address& address, const AuthKey& key) {
  return transport::connect_to(address, key);
}

}  // namespace tandem::detail
