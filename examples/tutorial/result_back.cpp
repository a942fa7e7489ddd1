// Parent and child work at the same time, each on one half; the child's result comes back through a
// pipe, and the second time through a queue.
#include <chrono>
#include <iostream>
#include <utility>

#include <tandem/tandem.hpp>

namespace {

using Clock = std::chrono::steady_clock;  // the same in all processes of a machine

struct Half {
  int primes = 0;
  Clock::time_point begin;
  Clock::time_point end;
};

Half count_primes(int from, int to) {
  Half half;
  half.begin = Clock::now();
  for (int n = from; n < to; ++n) {
    bool prime = n > 1;
    for (int d = 2; prime && d * d <= n; ++d) prime = n % d != 0;
    half.primes += prime ? 1 : 0;
  }
  half.end = Clock::now();
  return half;
}

void by_pipe(int from, int to, tandem::Writer<Half> result) { result.send(count_primes(from, to)); }
void by_queue(int from, int to, tandem::Queue<Half> result) { result.put(count_primes(from, to)); }

int report(const char* way, const Half& here, const Half& there) {
  const auto ms = [&](Clock::time_point when) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(when - here.begin).count();
  };
  std::cout << way << ": parent " << here.primes << " primes from 0 to " << ms(here.end)
            << " ms, child " << there.primes << " primes from " << ms(there.begin) << " to "
            << ms(there.end) << " ms\n";
  return here.primes + there.primes;
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  constexpr int kMiddle = 600'000;
  constexpr int kEnd = 1'000'000;

  auto [reader, writer] = tandem::OneWayPipe<Half>();
  tandem::Process first(by_pipe, kMiddle, kEnd, std::move(writer));
  first.start();
  const Half here = count_primes(0, kMiddle);  // while the child does the rest
  const int through_pipe = report("pipe ", here, reader.recv());
  first.join();

  tandem::Queue<Half> queue;
  tandem::Process second(by_queue, kMiddle, kEnd, queue);
  second.start();
  const Half again = count_primes(0, kMiddle);
  const int through_queue = report("queue", again, queue.get());
  second.join();

  if (through_pipe != 78'498 || through_queue != 78'498) {
    std::cerr << "expected 78498 primes below a million\n";
    return 1;
  }
}
