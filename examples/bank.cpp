// A deadlock, for the program `tandem` to find: two processes hold one lock each and want the
// other's. It never ends; docs/tool.md says what is seen of it.
#include <mutex>

#include <tandem/tandem.hpp>

namespace {

void transfer(tandem::Lock from, tandem::Lock to, tandem::Barrier start,
              tandem::Queue<int> transfers) {
  const std::lock_guard hold(from);
  start.wait();
  const std::lock_guard also(to);  // the other one has it, and waits for ours
  transfers.put(1);
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  tandem::Lock savings, current;
  tandem::Barrier start(2);
  tandem::Queue<int> transfers;
  tandem::Process there(transfer, savings, current, start, transfers);
  tandem::Process back(transfer, current, savings, start, transfers);
  there.start();
  back.start();
  return transfers.get() + transfers.get();
}
