// A pipe's end over two rings of shared memory (channel_layout.hpp) and a socket (doorbell.hpp).
//
// Invariants
// 1. This end is the only writer of `out_` and the only reader of `in_`; cursors are read from the
//    shared words each time, so that copies of an end made by fork may be used in turn.
// 2. What `send` takes in while it waits for room goes to `stash_`, a message whose end has not
//    come yet to `partial_`; everything there is older than what is in the ring.
// 3. Who sleeps has announced itself in the ring, looked again after a heavy fence, and sleeps on
//    the socket, which also tells of the peer's death. After any death the ring is looked
//    at once more before the end of file is said: the peer published before it died.
// 4. Once `fd` was asked for: between calls either nothing waits, all bells have been heard and the
//    reader's word is armed; or something waits and the descriptor is readable (`covered_`: the
//    peer has rung or will, else our own bell).
// 5. While `flow_` is open a record of its message lies at the head of `in_`, being read by who
//    decodes it, or the next one is being waited for. Nothing else may use the end until it is let
//    go of: then that record is consumed, and what follows of the message is skipped as it comes.
// 6. `closed` is told to the peer in the ring only by the sole copy of an end. Otherwise the last
//    copy of the socket tells.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "os/cpus.hpp"
#include "os/poll.hpp"
#include "os/spin.hpp"
#include "shm/ring.hpp"
#include "shm/segment.hpp"
#include "tandem/detail/buffer.hpp"
#include "tandem/detail/byte_channel.hpp"
#include "transport/doorbell.hpp"
#include "transport/live_channels.hpp"

namespace tandem::transport {

class SharedChannel final : public detail::ByteChannel,
                            private detail::Inflow,
                            private LiveChannel {
 public:
  /// \param forks fork_count() from before the descriptors were made
  SharedChannel(shm::Segment segment, detail::Fd socket, unsigned side, std::uint64_t forks);
  ~SharedChannel() override;

  [[nodiscard]] static shm::Segment create_segment();
  /// \throws DecodeError when it is not a channel's memory
  [[nodiscard]] static shm::Segment adopt_segment(detail::Fd memory);
  /// \param side what hand_over wrote first
  [[nodiscard]] static std::unique_ptr<SharedChannel> adopt_end(detail::Decoder& from,
                                                                std::uint32_t side);

  void send(const detail::Outgoing& message) override;
  bool try_send(const detail::Outgoing& message) override;
  bool flush() override;
  bool bell_waits() const noexcept override { return bell_waits_; }
  bool recv(detail::Incoming& into, detail::Deadline deadline) override;
  [[nodiscard]] std::size_t visit_small(std::size_t at_most, detail::Visitor visitor) override;
  bool poll(detail::Deadline deadline) override;
  int fd() override;

  bool ready() override;
  void arm() override;
  void disarm() override;
  int doorbell() const override { return bell_.socket().get(); }
  bool ready_after_doorbell() override;

  void hand_over(detail::Encoder& to) override;
  void handed_over() noexcept override;
  bool closed() const noexcept override { return closed_; }
  void abandon() noexcept override;

 private:
  struct Message {
    std::uint32_t type = 0;
    detail::Buffer bytes;
    std::vector<detail::Fd> descriptors;
  };
  struct Record {
    shm::RecordKind kind;
    bool has_descriptors;
    std::uint32_t type;
  };
  struct Partial {
    Message message;  // what has come; no more is allocated than that
    std::size_t total = 0;
  };
  /// What stands between the header of a message's first record and its bytes.
  struct Front {
    std::size_t total = 0;  // of the whole message
    std::size_t skip = 0;   // bytes before those of the message
    std::size_t here = 0;   // bytes of the message in this record
    DescriptorNote note{};
  };
  /// A message that is received as it is decoded.
  struct Flow {
    bool open = false;
    bool failed = false;
    bool broken_off = false;
    bool holds = false;                       // the record at the head is the message's
    bool unread = false;                      // and `next` has not given it out
    shm::RecordHeader record;                 // that one
    std::size_t skip = 0;                     // bytes of it before those of the message
    std::size_t to_come = 0;                  // bytes of the message in later records
    std::span<const std::byte> beyond_end{};  // of this record, where the ring begins again
  };
  enum class Found { record, end_of_file, nothing };
  static constexpr long long kNap = 1'000'000;  // nanoseconds
  static constexpr unsigned kManyNaps = 4;

  // Sending.
  /// \param watched how the peer fares need not be looked up
  void require_peer(bool watched);
  /// \param wished one that has to sleep for them sleeps until so many are free
  void await_room(std::size_t bytes, std::size_t wished = 0);
  /// \returns nothing when the socket is full and the caller does not wait
  [[nodiscard]] std::optional<DescriptorNote> ship(const std::vector<detail::Fd>& descriptors,
                                                   bool wait);
  void await_socket_room();
  /// Writes a record and makes it seen. \returns whether the peer slept: it is to be woken
  [[nodiscard]] bool put(const Record& record, std::span<const std::byte> prefix,
                         std::span<const std::byte> bytes);
  void wake_peer();
  void stream(const detail::Outgoing& message, std::span<const std::byte> prefix);
  /// Says that the message being streamed will not be finished.
  void break_off();
  /// Moves a record that has arrived to the stash.
  void take_in(const shm::RecordHeader& header);

  // Receiving.
  [[nodiscard]] bool receive(detail::Incoming& into, detail::Deadline deadline);
  [[nodiscard]] bool look(detail::Deadline deadline);
  /// \param in_stream nothing is found, too, when the writer has broken the stream off
  [[nodiscard]] Found await_record(shm::RecordHeader& header, detail::Deadline deadline,
                                   bool in_stream);
  [[nodiscard]] Found await_later_record(shm::RecordHeader& header, detail::Deadline deadline,
                                         bool in_stream);
  [[nodiscard]] bool stream_ended() const noexcept;
  [[nodiscard]] bool peek(shm::RecordHeader& header) const { return in_.peek(in_.head(), header); }
  void serve_stash(detail::Incoming& into);
  void take_whole(const shm::RecordHeader& header, detail::Incoming& into);
  /// \returns false when its writer broke it off: the part was dropped
  [[nodiscard]] bool take_stream(const shm::RecordHeader& header, detail::Incoming& into);
  void begin_flow(const shm::RecordHeader& header, const Front& front, detail::Incoming& into);
  [[nodiscard]] std::span<const std::byte> next() override;
  [[nodiscard]] bool failed() const noexcept override { return flow_.failed; }
  [[nodiscard]] bool broken_off() const noexcept override { return flow_.broken_off; }
  void let_go() noexcept override;
  /// \throws DecodeError when such a record cannot be the next one of a message that lacks so much
  void require_part(const shm::RecordHeader& header, std::size_t lacking);
  [[nodiscard]] Front front_of(const shm::RecordHeader& header) const;
  [[nodiscard]] std::vector<detail::Fd> descriptors_of(const shm::RecordHeader& header,
                                                       const Front& front);
  void consume(const shm::RecordHeader& header);
  void consume_to(shm::Cursor to);
  /// Without the rest of its stream, if it has one: that is skipped as it comes.
  void discard(const shm::RecordHeader& header);
  [[nodiscard]] bool something_waits();
  [[nodiscard]] bool peer_closed() const noexcept {
    // acquire: pairs with the release in the peer's destructor
    return bell_.hung_up() ||
           (out_.state().state.load(std::memory_order_acquire) & kReaderClosed) != 0;
  }
  [[nodiscard]] bool probe_peer();
  /// Once for each change, or the peer, which looks at the same line, would get it twice a message.
  void tell_cpu() noexcept {
    const std::uint32_t cpu = os::current_cpu();
    if (std::exchange(told_cpu_, cpu) == cpu) return;
    out_.state().writer_cpu.store(cpu, std::memory_order_relaxed);
  }
  /// It ran on the caller's CPU when it told last, so it most likely runs when the caller does not.
  [[nodiscard]] bool peer_is_here() const noexcept {
    const std::uint32_t cpu = in_.state().writer_cpu.load(std::memory_order_relaxed);
    return cpu != 0 && cpu == os::current_cpu();
  }

  // Sleeping.
  void arm_reader() noexcept;
  void disarm_reader() noexcept;
  /// Disarms at its end, also after an error: who has heard a bell is not covered any more.
  struct Armed {
    SharedChannel& channel;
    bool writer_too;
    ~Armed() {
      if (writer_too) channel.disarm_writer();
      channel.disarm_reader();
    }
  };
  /// After arm_reader. \returns false when the writer may have missed it
  [[nodiscard]] bool fence_reader() noexcept;
  void arm_writer(std::size_t bytes) noexcept;
  void disarm_writer() noexcept;
  /// Until the peer rings or ends. \returns how many bells were taken, for `heard` after disarming
  [[nodiscard]] unsigned sleep(detail::Deadline deadline, bool fenced);
  void sleep_in_poll(detail::Deadline deadline, bool fenced, short events) const;
  void hear();
  void heard(unsigned bells) noexcept;
  void settle();
  void settle_anyway() noexcept;
  /// Also after an error, or the next message would ring no bell.
  template <class F>
  auto settled(F call) {
    if (!epoll_) return call();
    const struct Settle {
      SharedChannel& channel;
      ~Settle() { channel.settle_anyway(); }
    } settle_at_end{*this};
    return call();
  }

  void require_open(const char* call) const;
  void close_descriptors() noexcept;
  [[noreturn]] void throw_end_of_file(const char* call) const;
  [[noreturn]] void throw_unwanted_size() const;
  [[noreturn]] void throw_corrupt(const char* what) const;
  [[nodiscard]] std::string name() const;
  [[nodiscard]] ChannelHeader& header() const noexcept {
    return *reinterpret_cast<ChannelHeader*>(segment_.data());
  }

  shm::Segment segment_;
  shm::Ring out_;
  shm::Ring in_;
  Doorbell bell_;
  std::deque<Message> stash_;
  std::optional<Partial> partial_;
  Flow flow_;
  os::SpinBudget recv_spin_;
  os::SpinBudget send_spin_;
  std::uint64_t last_probe_ = 0;
  std::uint64_t ends_seen_ = 0;
  std::uint64_t forks_;
  std::uint32_t told_cpu_ = 0;
  unsigned side_;
  bool closed_ = false;
  bool discarding_ = false;  // chunks of a message whose first record was thrown away may follow

  bool covered_ = false;        // the reader's word is armed and no bell has been heard since
  unsigned naps_ = 0;           // short sleeps of late, up to kManyNaps
  bool writer_fences_ = false;  // it has seen `fences_needed`
  unsigned bells_due_ = 0;      // the peer has taken a word of ours: its bell is on the way
  bool own_bell_rung_ = false;
  bool bell_waits_ = false;  // we have taken a word of the peer's, and not rung yet
  detail::Fd own_bell_;
  detail::Fd epoll_;
};

}  // namespace tandem::transport
