// A library that call_test loads: calls and functions of a module other than the program.
#include "tandem/call.hpp"

namespace {

int triple(int n) { return 3 * n; }

}  // namespace

extern "C" {

[[gnu::visibility("default")]] void plugin_encode_call(tandem::detail::Encoder& to, int n) {
  tandem::detail::encode_call(
      to, [](int m) { return 2 * m; }, n);
}
[[gnu::visibility("default")]] tandem::detail::AnyFunction plugin_function() {
  return reinterpret_cast<tandem::detail::AnyFunction>(&triple);
}

}  // extern "C"
