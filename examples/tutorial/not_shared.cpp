// Processes do not share their memory: a variable that a child changes stays as it was in its
// parent. What they are to share is said: a Value.
#include <cstdint>
#include <iostream>
#include <string>

#include <tandem/tandem.hpp>

namespace {

int number = 1;  // every process has its own

struct Seen {
  std::uintptr_t address;
  int found;
  int left;
};

void change(tandem::Queue<Seen> seen, tandem::Value<int> shared) {
  Seen mine{.address = reinterpret_cast<std::uintptr_t>(&number), .found = number, .left = 0};
  number += 100;
  shared.fetch_add(100);
  mine.left = number;
  seen.put(mine);
}

Seen child_by(tandem::StartMethod method, const tandem::Value<int>& shared) {
  tandem::Queue<Seen> seen;
  tandem::Process child(tandem::ProcessOptions{.start_method = method}, change, seen, shared);
  child.start();
  const Seen result = seen.get();
  child.join();
  return result;
}

void print(const std::string& who, std::uintptr_t address, const std::string& values) {
  std::cout << who << " &number = 0x" << std::hex << address << std::dec << "  " << values << '\n';
}
void print(const std::string& who, const Seen& seen) {
  print(who, seen.address,
        "found " + std::to_string(seen.found) + ", made it " + std::to_string(seen.left));
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  number = 2;
  tandem::Value<int> shared(0);

  const auto here = reinterpret_cast<std::uintptr_t>(&number);
  const Seen spawned = child_by(tandem::StartMethod::spawn, shared);
  const Seen forked = child_by(tandem::StartMethod::fork, shared);
  print("spawned child", spawned);
  print("forked child ", forked);
  print("parent       ", here, "still has " + std::to_string(number));
  std::cout << "the shared Value is " << shared.load() << '\n';

  // A spawned child is the program begun anew; a forked one is a copy, to the very addresses.
  const bool anew = spawned.found == 1 && spawned.left == 101;
  const bool copied = forked.found == 2 && forked.left == 102 && forked.address == here;
  if (!anew || !copied || number != 2 || shared.load() != 200) {
    std::cerr << "expected three variables of one name, and one Value\n";
    return 1;
  }
}
