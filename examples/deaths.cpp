// What the others see when a process is killed: with a lock held, in the middle of a task, at the
// other end of a pipe.
#include <csignal>
#include <iostream>
#include <mutex>
#include <utility>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

struct Account {
  int cents = 0;
  int bookings = 0;
};

void book(tandem::Array<Account> account, bool die) {
  const auto guard = account.lock();
  account[0].cents += 100;
  if (die) std::raise(SIGKILL);  // the booking is half done, and the lock held
  ++account[0].bookings;
}

int reciprocal(int n) {
  if (n == 0) std::raise(SIGKILL);
  return 1000 / n;
}

void talk(tandem::Writer<int> writer) {
  writer.send(1);
  std::raise(SIGKILL);
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  int seen = 0;

  tandem::Array<Account> account(1);
  tandem::Process clerk(book, account, true);
  clerk.start();
  clerk.join();
  try {
    book(account, false);
  } catch (const tandem::OwnerDied& e) {
    std::cout << e.what() << '\n';
    if (account.mutex().recover()) {  // the lock is ours, and what it protects ours to mend
      const std::unique_lock guard(account.mutex(), std::adopt_lock);
      account[0].cents = 100 * account[0].bookings;
      ++seen;
    }
  }
  book(account, false);

  tandem::Pool pool(2);
  auto stream = pool.imap(reciprocal, std::vector{1, 0, 4});
  for (int task = 0; task < 3; ++task) {
    try {
      std::cout << *stream.next() << '\n';
    } catch (const tandem::WorkerDied& e) {  // this task alone; the others go on
      std::cout << e.what() << '\n';
      if (e.exit_code() == -SIGKILL) ++seen;
    }
  }

  auto [reader, writer] = tandem::OneWayPipe<int>();
  tandem::Process talker(talk, std::move(writer));
  talker.start();
  try {
    for (;;) std::cout << reader.recv() << '\n';
  } catch (const tandem::EndOfFile& e) {  // behind everything that had been sent
    std::cout << e.what() << '\n';
    ++seen;
  }
  return seen == 3 && account[0].cents == 100 && account[0].bookings == 1 ? 0 : 1;
}
