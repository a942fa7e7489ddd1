// Ways to send messages to another process that others offer, for queue_bench and pipe_bench.
//
// A channel is made before the fork; many processes may send and many receive. What cannot be made
// here, or not for such messages, says why by a std::runtime_error.
#pragma once

#include <fcntl.h>
#include <mqueue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <vector>

#include <tandem/tandem.hpp>

#ifdef TANDEM_BENCH_ZEROMQ
#include <zmq.h>
#endif

namespace bench {

struct Shape {
  std::size_t producers = 1;
  std::size_t consumers = 1;
  std::size_t bytes = 64;    // of a message
  std::size_t messages = 0;  // of a sample in all; divisible by the processes
};

/// So that about a mebibyte is on its way, for everybody.
inline std::size_t depth_of(const Shape& shape) {
  return std::max<std::size_t>((1 << 20) / shape.bytes, 16);
}

/// As rows name it.
inline std::string size_text(std::size_t bytes) {
  if (bytes < 1 << 10) return std::to_string(bytes) + " B";
  if (bytes < 1 << 20) return std::to_string(bytes >> 10) + " KiB";
  return std::to_string(bytes >> 20) + " MiB";
}

/// No two of one run, nor of two runs at a time.
inline std::string unique_name() {
  static int made = 0;
  return "tandem-bench-" + std::to_string(getpid()) + '-' + std::to_string(made++);
}

class Channel {
 public:
  Channel() = default;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  virtual ~Channel() = default;
  /// First in a process that sends; in one that receives, with its number among those that do.
  virtual void begin_sending() {}
  virtual void begin_receiving(std::size_t) {}
  virtual void send(std::span<const std::byte> message) = 0;
  virtual void receive(std::span<std::byte> message) = 0;
  /// Last in every process: returns when all that it sent is on its way.
  virtual void end() {}
};

inline void check(bool done, const char* call) {
  if (!done) throw std::system_error(errno, std::system_category(), call);
}

class BoostQueue final : public Channel {
 public:
  explicit BoostQueue(const Shape& shape) : BoostQueue(shape, unique_name()) {}
  void send(std::span<const std::byte> message) override {
    queue_.send(message.data(), message.size(), 0);
  }
  void receive(std::span<std::byte> message) override {
    std::size_t size = 0;
    unsigned priority = 0;
    queue_.receive(message.data(), message.size(), size, priority);
  }

 private:
  BoostQueue(const Shape& shape, const std::string& name)
      : queue_(boost::interprocess::create_only, name.c_str(), depth_of(shape), shape.bytes) {
    boost::interprocess::message_queue::remove(name.c_str());
  }

  boost::interprocess::message_queue queue_;
};

class PosixQueue final : public Channel {
 public:
  explicit PosixQueue(const Shape& shape) {
    const std::string name = '/' + unique_name();
    mq_attr attributes = {};
    attributes.mq_maxmsg = 10;  // what a user without privileges may have
    attributes.mq_msgsize = static_cast<long>(shape.bytes);
    queue_ = mq_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600, &attributes);
    check(queue_ != -1, "mq_open");
    mq_unlink(name.c_str());
  }
  ~PosixQueue() override { mq_close(queue_); }
  void send(std::span<const std::byte> message) override {
    check(mq_send(queue_, reinterpret_cast<const char*>(message.data()), message.size(), 0) == 0,
          "mq_send");
  }
  void receive(std::span<std::byte> message) override {
    check(mq_receive(queue_, reinterpret_cast<char*>(message.data()), message.size(), nullptr) ==
              static_cast<ssize_t>(message.size()),
          "mq_receive");
  }

 private:
  mqd_t queue_ = -1;
};

/// Descriptors: the kernel's pipe, or a pair of unix sockets that keep messages apart.
class Descriptors : public Channel {
 public:
  ~Descriptors() override {
    for (int end : ends_) close(end);
  }
  void send(std::span<const std::byte> message) override {
    while (!message.empty()) {
      const ssize_t n = write(ends_[1], message.data(), message.size());
      check(n > 0, "write");
      message = message.subspan(static_cast<std::size_t>(n));
    }
  }
  void receive(std::span<std::byte> message) override {
    while (!message.empty()) {
      const ssize_t n = read(ends_[0], message.data(), message.size());
      check(n > 0, "read");
      message = message.subspan(static_cast<std::size_t>(n));
    }
  }

 protected:
  int ends_[2] = {-1, -1};
};

class KernelPipe final : public Descriptors {
 public:
  explicit KernelPipe(const Shape& shape) {
    if (shape.producers + shape.consumers > 2 && shape.bytes > PIPE_BUF) {
      throw std::runtime_error("larger messages of several writers mix");
    }
    check(pipe(ends_) == 0, "pipe");
  }
};

class UnixSocket final : public Descriptors {
 public:
  explicit UnixSocket(const Shape& shape) {
    const bool one_to_one = shape.producers + shape.consumers == 2;
    check(socketpair(AF_UNIX, one_to_one ? SOCK_STREAM : SOCK_SEQPACKET, 0, ends_) == 0,
          "socketpair");
  }
};

#ifdef TANDEM_BENCH_ZEROMQ
/// Push and pull over a unix socket. Every producer deals its messages out to all consumers in
/// turn, by a socket for each: a PUSH socket's own turns would depend on who is ready.
class ZeroMq final : public Channel {
 public:
  explicit ZeroMq(const Shape& shape)
      : name_(unique_name()), consumers_(shape.consumers), done_(shape.consumers) {}
  void begin_sending() override {
    for (std::size_t i = 0; i < consumers_; ++i) {
      void* const socket = made(ZMQ_PUSH);
      const int soon = 1;  // ms; the consumer may not have bound yet
      check(zmq_setsockopt(socket, ZMQ_RECONNECT_IVL, &soon, sizeof soon) == 0, "zmq_setsockopt");
      check(zmq_connect(socket, endpoint(i).c_str()) == 0, "zmq_connect");
    }
  }
  void begin_receiving(std::size_t consumer) override {
    check(zmq_bind(made(ZMQ_PULL), endpoint(consumer).c_str()) == 0, "zmq_bind");
    receiving_ = consumer;
  }
  void send(std::span<const std::byte> message) override {
    void* const socket = sockets_[next_++ % consumers_];
    check(zmq_send(socket, message.data(), message.size(), 0) != -1, "zmq_send");
  }
  void receive(std::span<std::byte> message) override {
    const int n = zmq_recv(sockets_.front(), message.data(), message.size(), 0);
    check(n == static_cast<int>(message.size()), "zmq_recv");
  }
  void end() override {
    // What a producer that closes has sent and a busy consumer has not read is lost now and then.
    if (receiving_) {
      done_.at(*receiving_).set();
    } else {
      for (tandem::Event& consumer : done_) consumer.wait();
    }
    for (void* socket : sockets_) zmq_close(socket);
    sockets_.clear();
    if (context_ != nullptr) zmq_ctx_term(context_);  // waits until everything was sent
    context_ = nullptr;
  }

 private:
  void* made(int type) {
    if (context_ == nullptr) context_ = zmq_ctx_new();  // not before the fork: it has threads
    check(context_ != nullptr, "zmq_ctx_new");
    sockets_.push_back(zmq_socket(context_, type));
    check(sockets_.back() != nullptr, "zmq_socket");
    return sockets_.back();
  }
  std::string endpoint(std::size_t consumer) const {
    return "ipc://@" + name_ + '-' + std::to_string(consumer);
  }

  std::string name_;
  std::size_t consumers_;
  std::vector<tandem::Event> done_;  // each consumer's: it has everything
  void* context_ = nullptr;
  std::vector<void*> sockets_;
  std::size_t next_ = 0;
  std::optional<std::size_t> receiving_;  // which consumer this is
};
#endif

struct Peer {
  std::string name;
  std::function<std::unique_ptr<Channel>(const Shape&)> make;
};

/// Those that can be made for this shape. The others are named, with the reason.
inline std::vector<Peer> peers_for(const Shape& shape) {
  const auto maker = []<class C>(std::type_identity<C>) {
    return [](const Shape& of) -> std::unique_ptr<Channel> { return std::make_unique<C>(of); };
  };
  const std::vector<Peer> all = {
      {"Boost", maker(std::type_identity<BoostQueue>())},
      {"POSIX mq", maker(std::type_identity<PosixQueue>())},
      {"pipe(2)", maker(std::type_identity<KernelPipe>())},
      {"unix socket", maker(std::type_identity<UnixSocket>())},
#ifdef TANDEM_BENCH_ZEROMQ
      {"ZeroMQ", maker(std::type_identity<ZeroMq>())},
#else
      {"ZeroMQ",
       [](const Shape&) -> std::unique_ptr<Channel> {
         throw std::runtime_error("libzmq3-dev was not there when this was built");
       }},
#endif
  };
  std::vector<Peer> possible;
  for (const Peer& peer : all) {
    try {
      static_cast<void>(peer.make(shape));
      possible.push_back(peer);
    } catch (const std::exception& error) {
      std::printf("(skipped: %s, %s)\n", peer.name.c_str(), error.what());
    }
  }
  return possible;
}

}  // namespace bench
