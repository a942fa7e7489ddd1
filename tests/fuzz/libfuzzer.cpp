// libFuzzer's entry. TANDEM_FUZZ_TARGET says which target runs; TANDEM_FUZZ_SEEDS, a directory, into
// which its seeds are written first.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "fuzz/target.hpp"

namespace {

const tandem::fuzz::Target* chosen = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* wanted = std::getenv("TANDEM_FUZZ_TARGET");
  for (const tandem::fuzz::Target* target : tandem::fuzz::kTargets) {
    if (wanted != nullptr && target->name == wanted) chosen = target;
  }
  if (chosen == nullptr) {
    std::fprintf(stderr, "TANDEM_FUZZ_TARGET is none of:");
    for (const tandem::fuzz::Target* target : tandem::fuzz::kTargets) {
      std::fprintf(stderr, " %s", std::string(target->name).c_str());
    }
    std::fprintf(stderr, "\n");
    std::exit(2);
  }
  if (const char* directory = std::getenv("TANDEM_FUZZ_SEEDS")) {
    int number = 0;
    for (const std::string& seed : chosen->seeds()) {
      std::ofstream(std::string(directory) + "/seed-" + std::to_string(number++), std::ios::binary)
          << seed;
    }
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  chosen->run(std::as_bytes(std::span(data, size)));
  return 0;
}
