// The ways to wait, which are the same for everything that is waited for.
#include <chrono>
#include <iostream>
#include <mutex>
#include <optional>
#include <utility>

#include <tandem/tandem.hpp>

namespace {

void wait_for_end(tandem::Event end) { end.wait(); }

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  using namespace std::chrono_literals;
  const auto deadline = std::chrono::steady_clock::now() + 30ms;

  tandem::Queue<int> queue(1);
  const bool nothing = !queue.try_get() && !queue.get_for(10ms) && !queue.get_until(deadline);
  const bool room = queue.try_put(7);
  const bool full = !queue.put_for(8, 10ms) && !queue.try_put(8);
  const std::optional<int> seven = queue.get_for(0ms);  // zero, or less: tries once

  auto [here, there] = tandem::Pipe<int>();
  const bool silence = !here.try_recv() && !here.recv_for(10ms) && !here.poll_for(10ms);

  tandem::Lock lock;
  const bool taken = lock.try_lock_for(10ms);
  lock.unlock();

  tandem::Event end;
  tandem::Process process(wait_for_end, end);
  process.start();
  const bool running = !process.join_for(10ms);
  const bool none = tandem::wait_any({process, here, queue}, 10ms).empty();
  end.set();
  process.join();
  const auto ready = tandem::wait_any({process, here, queue});

  const bool all = nothing && room && full && seven == 7 && silence && taken && running && none &&
                   ready == std::vector<std::size_t>{0};
  std::cout << (all ? "nothing was waited for in vain\n" : "something is amiss\n");
  return all && there.closed() == false ? 0 : 1;
}
