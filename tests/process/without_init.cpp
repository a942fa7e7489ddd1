// A program that never calls tandem::init. Its processes cannot be found again after an exec, so that start() has
// to refuse instead of running main once more, and so on.

#include <cstdio>
#include <cstring>

#include "tandem/error.hpp"
#include "tandem/process.hpp"

int main() {
  for (const tandem::StartMethod method :
       {tandem::StartMethod::spawn, tandem::StartMethod::forkserver}) {
    tandem::Process process({.start_method = method}, [] {});
    try {
      process.start();
      std::puts("start() did not refuse");
      return 1;
    } catch (const tandem::StartError& error) {
      std::puts(error.what());
      if (std::strstr(error.what(), "tandem::init") == nullptr) return 1;
    }
  }
  // A forked child is a copy of this program and needs nothing.
  tandem::Process forked(tandem::start::fork, [] { std::exit(7); });
  forked.start();
  forked.join();
  return forked.exitcode() == 7 ? 0 : 1;
}
