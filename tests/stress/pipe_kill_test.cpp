// Either end of a pipe is killed at random instants: what is received is always whole and in order,
// and then comes the end of file, never a hang.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "os/pidfd.hpp"
#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/detail/fd.hpp"
#include "tandem/pipe.hpp"
#include "tandem/process.hpp"
#include "tandem/wait.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;

using PipeKillTest = StartMethodTest;
TANDEM_OVER_START_METHODS(PipeKillTest);

constexpr int kRounds = kTsan || kAsan ? 30 : 120;

using Message = std::vector<std::uint32_t>;

/// Small ones mostly, some of which stream through the ring.
Message message(std::uint32_t number) {
  const std::size_t size = number % 40 == 39 ? 100'000 : number % 30;
  Message words(size + 1, number * 2654435761U);
  words.front() = number;
  return words;
}

void flood(Connection<Message> to) {
  for (std::uint32_t number = 0;; ++number) to.send(message(number));
}

TEST_P(PipeKillTest, AKilledSender) {
  std::mt19937_64 random(seed());
  for (int round = 0; round < kRounds; ++round) {
    auto [mine, theirs] = Pipe<Message>();
    Process child(flood, std::move(theirs));
    child.start();
    for (std::uint32_t number = 0; number < 1 + random() % 200; ++number) {
      ASSERT_EQ(mine.recv(), message(number));
    }
    mine.send({});
    std::uint32_t next = mine.recv().front();
    kill_within(child.pid(), 300us, random);
    try {
      for (;;) ASSERT_EQ(mine.recv(), message(++next));
    } catch (const EndOfFile&) {
    }
    child.join();
    ASSERT_EQ(child.exitcode(), -SIGKILL);
  }
}

void swallow(Connection<Message> from) {
  from.send({});
  for (;;) (void)from.recv();
}

TEST_P(PipeKillTest, AKilledReceiver) {
  std::mt19937_64 random(seed());
  for (int round = 0; round < kRounds; ++round) {
    auto [mine, theirs] = Pipe<Message>();
    Process child(swallow, std::move(theirs));
    child.start();
    (void)mine.recv();
    for (std::uint32_t number = 0; number < random() % 200; ++number) mine.send(message(number));
    kill_within(child.pid(), 300us, random);
    EXPECT_THROW(for (std::uint32_t number = 0;; ++number) mine.send(message(number)), EndOfFile);
    child.join();
  }
}

void both(Connection<Message> peer) {
  for (std::uint32_t number = 0;; ++number) {
    peer.send(message(number));
    if (number % 3 == 0) (void)peer.try_recv();
  }
}

TEST_P(PipeKillTest, KilledWhileBothSend) {
  std::mt19937_64 random(seed());
  for (int round = 0; round < kRounds; ++round) {
    auto [mine, theirs] = Pipe<Message>();
    Process child(both, std::move(theirs));
    child.start();
    ASSERT_EQ(mine.recv(), message(0));
    std::uint32_t next = 0;
    for (std::uint32_t number = 0; number < 100; ++number) {
      mine.send(message(number));
      if (number % 2 == 0) {
        ASSERT_EQ(mine.recv(), message(++next));
      }
    }
    kill_within(child.pid(), 300us, random);
    EXPECT_THROW(for (std::uint32_t number = 0;; ++number) mine.send(message(number)), EndOfFile);
    try {
      for (;;) ASSERT_EQ(mine.recv(), message(++next));
    } catch (const EndOfFile&) {
    }
    child.join();
  }
}

void expect(const Message& received, std::uint32_t number) {
  if (received != message(number)) throw std::logic_error("damaged, or out of order");
}

void converse(Connection<Message> peer) {
  std::uint32_t received = 0;
  try {
    for (std::uint32_t number = 0;; ++number) {
      peer.send(message(number));
      if (number % 3 == 0) expect(peer.recv(), received++);
    }
  } catch (const EndOfFile&) {
  }
}

/// A child at the other end of a pipe.
struct Partner {
  Process process;
  Connection<Message> connection;
  detail::Fd pidfd = {};
  std::uint32_t received = 0;
  std::uint32_t sent = 0;
};

/// Eight of them, which a thread stops and kills at random while their parent talks to all.
class Crowd {
 public:
  Crowd() {
    for (auto& partner : partners_) add(partner);
    tormentor_ = std::jthread([this](const std::stop_token& stop) { torment(stop); });
  }

  void serve(const int deaths) {
    while (deaths_ < deaths) {
      std::vector<Waitable> all;
      for (auto& partner : partners_) all.push_back(partner->connection);
      for (const std::size_t i : wait_any(all)) {
        try {
          answer_one(*partners_[i]);
        } catch (const EndOfFile&) {
          bury(partners_[i]);
        }
      }
    }
    tormentor_ = {};
  }

 private:
  void add(std::unique_ptr<Partner>& place) {
    auto [mine, theirs] = Pipe<Message>();
    auto partner =
        std::make_unique<Partner>(Partner{Process(converse, std::move(theirs)), std::move(mine)});
    partner->process.start();
    partner->pidfd = detail::Fd(::fcntl(partner->process.sentinel(), F_DUPFD_CLOEXEC, 0));
    const std::lock_guard lock(mutex_);
    place = std::move(partner);
  }

  void answer_one(Partner& partner) {
    const std::uint32_t number = partner.received;
    expect(partner.connection.recv(), number);
    ++partner.received;
    if (number % 3 == 0) partner.connection.send(message(partner.sent++));
  }

  void bury(std::unique_ptr<Partner>& place) {
    // What it had sent whole comes before the end of file, even if a send of ours found it first.
    try {
      for (;; ++place->received) expect(place->connection.recv(), place->received);
    } catch (const EndOfFile&) {
    }
    {
      const std::lock_guard lock(mutex_);
      place->process.join();
      EXPECT_EQ(place->process.exitcode(), -SIGKILL);
      place.reset();
    }
    ++deaths_;
    add(place);
  }

  // By descriptor: who ended may have been reaped, and its number be another's.
  void torment(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const std::size_t victim = random_() % partners_.size();
      if (random_() % 2 == 0) {
        const pid_t stopped = signal(victim, SIGSTOP, 0);
        pause();
        (void)signal(victim, random_() % 4 == 0 ? SIGKILL : SIGCONT, stopped);
      } else {
        pause();
        (void)signal(victim, SIGKILL, 0);
      }
    }
  }
  /// \param only 0: whoever it is. \returns whom it went to
  pid_t signal(std::size_t victim, int number, pid_t only) {
    const std::lock_guard lock(mutex_);
    const auto& partner = partners_[victim];
    if (!partner || (only != 0 && partner->process.pid() != only)) return 0;
    (void)os::send_signal(partner->pidfd, number);
    return partner->process.pid();
  }
  void pause() { std::this_thread::sleep_for(std::chrono::microseconds(random_() % 3'000)); }

  std::mt19937_64 random_{seed()};  // the tormentor's
  std::mutex mutex_;
  std::array<std::unique_ptr<Partner>, 8> partners_;  // replaced under mutex_
  int deaths_ = 0;
  std::jthread tormentor_;
};

using PipeCrowdTest = ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(PipeCrowdTest);

TEST_P(PipeCrowdTest, EightAreStoppedAndKilledWhileTheirParentServesAll) {
  Crowd crowd;
  crowd.serve(kTsan || kAsan ? 10 : 60);
}

}  // namespace
}  // namespace tandem::test
