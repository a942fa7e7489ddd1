// Round trip of a message between two processes: Pipe, beside a spinning cache line, the kernel's
// ways and Python's multiprocessing.Pipe.
#include "channels.hpp"
#include "harness.hpp"

namespace {

using Message = std::array<std::byte, 64>;

constexpr std::size_t kTrips = 5'000;

/// So many of a sample, and as many before to warm up: once round a ring, as a page's first touch
/// takes long. Fewer of large messages.
std::size_t trips_of(std::size_t bytes) {
  return std::clamp<std::size_t>((std::size_t{64} << 20) / bytes, 100, kTrips);
}

/// \param trip sends and receives once, called in one process
/// \param echo receives and sends back once, called in another
/// \param begin, end called in each process, with true in the first
/// \returns the round trip's p50 and p99 in microseconds, and the CPU seconds of a million
std::vector<double> round_trips(
    std::size_t trips, const std::function<void()>& trip, const std::function<void()>& echo,
    const std::function<void(bool)>& begin = [](bool) {},
    const std::function<void()>& end = [] {}) {
  const bench::Shared<std::array<double, kTrips>> microseconds;
  const std::span<double> all = std::span(*microseconds.operator->()).first(trips);
  const auto first = [&] {
    begin(true);
    for (std::size_t i = 0; i < trips; ++i) trip();
    for (double& taken : all) {
      const bench::Clock::time_point start = bench::Clock::now();
      trip();
      taken = bench::seconds_since(start) * 1e6;
    }
    end();
  };
  const auto second = [&] {
    begin(false);
    for (std::size_t i = 0; i < 2 * trips; ++i) echo();
    end();
  };
  const bench::Run run = bench::run_together({first, second});
  return {bench::percentile(all, 0.5), bench::percentile(all, 0.99),
          run.cpu_seconds / static_cast<double>(2 * trips) * 1e6};
}

template <class T>
std::vector<double> through_tandem(const T& message) {
  auto [here, there] = tandem::Pipe<T>();
  return round_trips(
      trips_of(std::span(message).size_bytes()),
      [&end = here, &message] {
        end.send(message);
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
      trips_of(sizeof(Message)),
      [&] {
        here.send(Message());
        static_cast<void>(here.recv());
      },
      [&] { there.send(there.recv()); });
}

std::vector<double> through_channels(const bench::Peer& peer, const bench::Shape& shape) {
  const std::unique_ptr<bench::Channel> there = peer.make(shape);
  const std::unique_ptr<bench::Channel> back = peer.make(shape);
  std::vector<std::byte> message(shape.bytes);
  return round_trips(
      trips_of(shape.bytes),
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
      trips_of(sizeof(Message)),
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

/// Everybody's round trip of messages of that size, and ours.
bench::Comparison comparison_of(std::size_t bytes) {
  bench::Comparison comparison{
      .work = "pipe " + bench::size_text(bytes) + " there and back",
      .metrics = {{"p50 us", false}, {"p99 us", false}, {"CPU s per M", false}},
      .candidates = {{"send/recv", false, [=] {
                        if (bytes == sizeof(Message)) return through_tandem(Message());
                        return through_tandem(tandem::Bytes(bytes));
                      }}}};
  if (bytes == sizeof(Message)) {
    comparison.candidates.push_back({"cache line", true, through_cache_line});
    comparison.reaches = {{"send/recv", "cache line", 0.25, 0.25},
                          {"send/recv", "pipe(2)", 25, 25}};
  }
  const bench::Shape shape{.bytes = bytes};
  for (const bench::Peer& peer : bench::peers_for(shape)) {
    comparison.candidates.push_back(
        {peer.name, true, [=] { return through_channels(peer, shape); }});
  }
  const std::size_t trips = trips_of(bytes);
  bench::add_python_peer(
      comparison, "Python", "python_pipe.py",
      std::to_string(trips / 10) + ' ' + std::to_string(trips) + ' ' + std::to_string(bytes));
  return comparison;
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  const bench::Comparison comparison = comparison_of(sizeof(Message));
  bench::compare(comparison);
  for (const unsigned kibibytes : {1U, 4U, 16U, 64U, 256U, 1024U}) {
    bench::compare(comparison_of(std::size_t{kibibytes} << 10));
  }

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
