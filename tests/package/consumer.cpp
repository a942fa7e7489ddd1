// A program of somebody else's: it knows tandem by its headers and its target only.

#include <tandem/error.hpp>
#include <tandem/version.hpp>

int main() {
  try {
    throw tandem::WorkerDied("consumer", 1, -9);
  } catch (const tandem::Error&) {
    return tandem::version() == tandem::kVersion ? 0 : 1;
  }
}
