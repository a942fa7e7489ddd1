// Round trip of 64 bytes between two processes: Pipe, beside a spinning cache line and the kernel's
// ways.
#include <sys/socket.h>
#include <unistd.h>

#include "harness.hpp"

namespace {

using Message = std::array<std::byte, 64>;

constexpr std::size_t kWarmUp = 2'000;
constexpr std::size_t kTrips = 20'000;

/// \param trip sends and receives once, called in one process
/// \param echo receives and sends back once, called in another
/// \returns the round trip's p50 and p99 in microseconds
std::vector<double> round_trips(const std::function<void()>& trip,
                                const std::function<void()>& echo) {
  const bench::Shared<std::array<double, kTrips>> microseconds;
  bench::run_together({[&] {
                         for (std::size_t i = 0; i < kWarmUp; ++i) trip();
                         for (double& taken : *microseconds.operator->()) {
                           const bench::Clock::time_point start = bench::Clock::now();
                           trip();
                           taken = bench::seconds_since(start) * 1e6;
                         }
                       },
                       [&] {
                         for (std::size_t i = 0; i < kWarmUp + kTrips; ++i) echo();
                       }});
  return {bench::percentile(*microseconds.operator->(), 0.5),
          bench::percentile(*microseconds.operator->(), 0.99)};
}

std::vector<double> through_tandem() {
  auto [here, there] = tandem::Pipe<Message>();
  return round_trips(
      [&end = here] {
        end.send(Message());
        static_cast<void>(end.recv());
      },
      [&end = there] { end.send(end.recv()); });
}

void write_all(int to, const Message& message) {
  if (write(to, message.data(), message.size()) != static_cast<ssize_t>(message.size())) {
    throw std::runtime_error("write failed");
  }
}
void read_all(int from, Message& message) {
  for (std::size_t there = 0; there < message.size();) {
    const ssize_t n = read(from, message.data() + there, message.size() - there);
    if (n <= 0) throw std::runtime_error("read failed");
    there += static_cast<std::size_t>(n);
  }
}

std::vector<double> through_descriptors(int here_in, int here_out, int there_in, int there_out) {
  Message message = {};
  std::vector<double> result = round_trips(
      [&] {
        write_all(here_out, message);
        read_all(here_in, message);
      },
      [&] {
        read_all(there_in, message);
        write_all(there_out, message);
      });
  return result;
}

std::vector<double> through_pipes() {
  int there[2];
  int back[2];
  if (pipe(there) != 0 || pipe(back) != 0) throw std::runtime_error("pipe failed");
  std::vector<double> result = through_descriptors(back[0], there[1], there[0], back[1]);
  for (int descriptor : {there[0], there[1], back[0], back[1]}) close(descriptor);
  return result;
}

std::vector<double> through_sockets() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) throw std::runtime_error("socketpair failed");
  std::vector<double> result = through_descriptors(ends[0], ends[0], ends[1], ends[1]);
  for (int descriptor : ends) close(descriptor);
  return result;
}

std::vector<double> spinning() {
  struct Lines {
    alignas(128) std::atomic<std::uint32_t> there;
    alignas(128) std::atomic<std::uint32_t> back;
  };
  const bench::Shared<Lines> lines;
  std::uint32_t sent = 0;
  std::uint32_t seen = 0;
  return round_trips(
      [&] {
        lines->there.store(++sent);
        while (lines->back.load() != sent) bench::relax();
      },
      [&] {
        ++seen;
        while (lines->there.load() != seen) bench::relax();
        lines->back.store(seen);
      });
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  bench::Comparison comparison{.work = "pipe, 64 B there and back",
                               .metrics = {{"p50, us", false}, {"p99, us", false}},
                               .candidates = {{"tandem", false, through_tandem},
                                              {"pipe(2)", true, through_pipes},
                                              {"unix socket", true, through_sockets},
                                              {"cache line", true, spinning}},
                               .rounds = 7};
  bench::add_python_peer(comparison, "Python", "python_pipe.py", "2000 10000");
  bench::compare(comparison);
}
