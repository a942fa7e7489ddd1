// Round trip of 64 bytes between two processes: Pipe, beside a spinning cache line, the kernel's
// ways and Python's multiprocessing.Pipe.
#include "channels.hpp"
#include "harness.hpp"

namespace {

using Message = std::array<std::byte, 64>;

constexpr std::size_t kWarmUp = 5'000;  // once round a ring: a page's first touch takes long
constexpr std::size_t kTrips = 5'000;

/// \param trip sends and receives once, called in one process
/// \param echo receives and sends back once, called in another
/// \param begin, end called in each process, with true in the first
/// \returns the round trip's p50 and p99 in microseconds, and the CPU seconds of a million
std::vector<double> round_trips(
    const std::function<void()>& trip, const std::function<void()>& echo,
    const std::function<void(bool)>& begin = [](bool) {},
    const std::function<void()>& end = [] {}) {
  const bench::Shared<std::array<double, kTrips>> microseconds;
  const auto first = [&] {
    begin(true);
    for (std::size_t i = 0; i < kWarmUp; ++i) trip();
    for (double& taken : *microseconds.operator->()) {
      const bench::Clock::time_point start = bench::Clock::now();
      trip();
      taken = bench::seconds_since(start) * 1e6;
    }
    end();
  };
  const auto second = [&] {
    begin(false);
    for (std::size_t i = 0; i < kWarmUp + kTrips; ++i) echo();
    end();
  };
  const bench::Run run = bench::run_together({first, second});
  return {bench::percentile(*microseconds.operator->(), 0.5),
          bench::percentile(*microseconds.operator->(), 0.99),
          run.cpu_seconds / static_cast<double>(kWarmUp + kTrips) * 1e6};
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

std::vector<double> through_listener(const char* address) {
  tandem::Listener<Message> listener(address, "key");
  auto here = tandem::connect<Message>(listener.address(), "key");
  auto there = listener.accept();
  listener.close();
  return round_trips(
      [&] {
        here.send(Message());
        static_cast<void>(here.recv());
      },
      [&] { there.send(there.recv()); });
}

std::vector<double> through_channels(const bench::Peer& peer, const bench::Shape& shape) {
  const std::unique_ptr<bench::Channel> there = peer.make(shape);
  const std::unique_ptr<bench::Channel> back = peer.make(shape);
  Message message = {};
  return round_trips(
      [&] {
        there->send(message);
        back->receive(message);
      },
      [&] {
        there->receive(message);
        back->send(message);
      },
      [&](bool first) {
        (first ? there : back)->begin_sending();
        (first ? back : there)->begin_receiving(0);
      },
      [&] {
        there->end();
        back->end();
      });
}

std::vector<double> through_cache_line() {
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
        bench::spin_until([&] { return lines->back.load(); },
                          [&](std::uint32_t now) { return now == sent; });
      },
      [&] {
        ++seen;
        bench::spin_until([&] { return lines->there.load(); },
                          [&](std::uint32_t now) { return now == seen; });
        lines->back.store(seen);
      });
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  bench::Comparison comparison{
      .work = "pipe 64 B there and back",
      .metrics = {{"p50 us", false}, {"p99 us", false}, {"CPU s per M", false}},
      .candidates = {{"send/recv", false, through_tandem},
                     {"cache line", true, through_cache_line}},
      .reaches = {{"send/recv", "cache line", 0.25, 0.25}, {"send/recv", "pipe(2)", 25, 25}}};
  const bench::Shape shape{.bytes = sizeof(Message)};
  for (const bench::Peer& peer : bench::peers_for(shape)) {
    comparison.candidates.push_back(
        {peer.name, true, [=] { return through_channels(peer, shape); }});
  }
  bench::add_python_peer(comparison, "Python", "python_pipe.py", "500 5000");
  bench::compare(comparison);

  bench::Comparison strangers{
      .work = "listener 64 B there and back",
      .metrics = comparison.metrics,
      .candidates = {
          {"at unix:", false, [] { return through_listener("unix:@tandem-pipe-bench"); }},
          {"at tcp:", false, [] { return through_listener("tcp:127.0.0.1:0"); }}}};
  for (const bench::Candidate& peer : comparison.candidates) {
    if (peer.name == "unix socket") strangers.candidates.push_back(peer);
  }
  bench::compare(strangers);
}
