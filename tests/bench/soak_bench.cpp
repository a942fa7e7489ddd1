// soak_bench [MILLIONS]: so many million messages (100) of 64 bytes through one Queue, from one
// process to another. Each must arrive once and in order, and no memory may grow meanwhile.
#include <charconv>
#include <cstring>
#include <fstream>
#include <thread>

#include "harness.hpp"

namespace {

using Number = std::uint64_t;

struct Message {
  Number number = 0;
  std::array<std::byte, 56> rest = {};
};

/// Of one process, in KiB.
struct Memory {
  long own = 0;     // RssAnon
  long shared = 0;  // RssShmem: what it has touched of the queue's segment
};

Memory memory_of(int pid) {
  Memory memory;
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) memory.own = std::stol(line.substr(8));
    if (line.starts_with("RssShmem:")) memory.shared = std::stol(line.substr(9));
  }
  if (memory.own == 0) throw std::runtime_error("a process of the soak test has ended");
  return memory;
}

constexpr long kGrowthKiB = 256;  // what a process may grow by: noise, not a leak

/// Prints what the processes have in memory until everything was received.
/// \returns the growth in KiB since a tenth was received
long watch(tandem::Queue<Number>& progress, Number messages, const std::array<int, 2>& pids) {
  const bench::Clock::time_point start = bench::Clock::now();
  std::array<Memory, 2> at_first;
  long growth = 0;
  bool settled = false;
  std::printf("%9s %12s %10s   %-23s   %-23s\n", "seconds", "M messages", "M/s",
              "producer KiB own+shared", "consumer KiB own+shared");
  for (Number received = 0; received < messages;) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    const double seconds = bench::seconds_since(start);
    while (const auto latest = progress.try_get()) received = *latest;
    const std::array<Memory, 2> now = {memory_of(pids[0]), memory_of(pids[1])};
    const double millions = static_cast<double>(received) / 1e6;
    std::printf("%9.1f %12.2f %10.2f   %10ld + %-10ld   %10ld + %-10ld\n", seconds, millions,
                millions / seconds, now[0].own, now[0].shared, now[1].own, now[1].shared);
    std::fflush(stdout);
    if (!settled) {
      at_first = now;
      settled = received >= messages / 10;
    }
    for (std::size_t i = 0; i < pids.size(); ++i) {
      growth = std::max({growth, now[i].own - at_first[i].own, now[i].shared - at_first[i].shared});
    }
  }
  return growth;
}

// Both wait at the end until their memory was read.
void produce(Number messages, tandem::Queue<Message> queue, tandem::Queue<bool> ended) {
  for (Number i = 0; i < messages; ++i) queue.put({.number = i});
  static_cast<void>(ended.get());
}

void consume(Number messages, tandem::Queue<Message> queue, tandem::Queue<Number> progress,
             tandem::Queue<bool> ended) {
  for (Number due = 0; due < messages; ++due) {
    const Number got = queue.get().number;
    if (got != due) {
      throw std::runtime_error("message " + std::to_string(got) + " came where " +
                               std::to_string(due) + " was due");
    }
    if (due % 65'536 == 0) progress.put(due);
  }
  progress.put(messages);
  static_cast<void>(ended.get());
}

int soak(Number messages) {
  tandem::Queue<Message> queue({.maxsize = 8192});
  tandem::Queue<Number> progress;
  tandem::Queue<bool> ended;
  // Daemons: where one fails, the other is not waited for.
  tandem::Process producer({.daemon = true}, produce, messages, queue, ended);
  tandem::Process consumer({.daemon = true}, consume, messages, queue, progress, ended);
  producer.start();
  consumer.start();
  const long growth = watch(progress, messages, {producer.pid(), consumer.pid()});
  for (int i = 0; i < 2; ++i) ended.put(true);
  producer.join();
  consumer.join();
  const bool empty = !queue.try_get().has_value();
  const bool flat = growth <= kGrowthKiB;
  std::printf("nothing lost or doubled, in order: %s; memory grew by %ld KiB: %s\n",
              empty ? "ok" : "NO, there is more", growth, flat ? "ok" : "NOT FLAT");
  return empty && flat && producer.exitcode() == 0 && consumer.exitcode() == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  Number millions = 100;
  if (argc > 1) {
    const char* const end = argv[1] + std::strlen(argv[1]);
    if (std::from_chars(argv[1], end, millions).ptr != end || millions == 0) {
      std::fprintf(stderr, "soak_bench [MILLIONS]\n");
      return 2;
    }
  }
  try {
    return soak(millions * 1'000'000);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "soak_bench: %s\n", error.what());
    return 1;
  }
}
