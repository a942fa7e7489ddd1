// Must not compile, with a message that helps.

#include "tandem/process.hpp"

int main() {
  int local = 1;
  tandem::Process process([&local] { local = 2; });
}
