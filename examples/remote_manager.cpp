// A manager that other machines reach by tcp, here this one's own address. The worker is started
// without any proxy: it finds everything by the address, the key and names.
#include <cstdint>
#include <iostream>
#include <string>

#include <tandem/tandem.hpp>

namespace {

constexpr int kTasks = 20;

// Both ends say what the objects are; who comes first makes them.
struct Shared {
  explicit Shared(tandem::Manager& manager)
      : tasks(manager.queue<int>(0, "tasks")),
        squares(manager.dict<int, std::int64_t>({}, "squares")),
        done(manager.barrier(2, "done")) {}

  tandem::QueueProxy<int> tasks;
  tandem::DictProxy<int, std::int64_t> squares;
  tandem::BarrierProxy done;
};

void work(const tandem::Address& address, const tandem::AuthKey& key) {
  auto manager = tandem::Manager::connect(address, key);
  const Shared shared(manager);
  for (const int n : shared.tasks) shared.squares.set(n, std::int64_t{n} * n);
  shared.done.wait();
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  const tandem::AuthKey key("both ends know it");
  tandem::Manager manager({.address = tandem::Address("tcp:127.0.0.1:0"), .authkey = key});
  const Shared shared(manager);
  tandem::Process worker(work, manager.address(), key);
  worker.start();

  for (int n = 1; n <= kTasks; ++n) shared.tasks.put(n);
  shared.tasks.shutdown();
  shared.done.wait();  // all is done when both are here
  worker.join();

  std::int64_t sum = 0;
  for (const auto& [n, square] : shared.squares) sum += square;
  std::cout << "the first " << kTasks << " squares sum up to " << sum << '\n';
  if (sum != kTasks * (kTasks + 1) * (2 * kTasks + 1) / 6) {
    std::cerr << "expected n (n + 1) (2 n + 1) / 6\n";
    return 1;
  }
}
