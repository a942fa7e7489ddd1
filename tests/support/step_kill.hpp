// Kills a process after every single instruction of an operation, so that whatever must survive a
// death is seen to survive it at each point there is.
//
//     for_each_step([] { return World(); },                // made afresh for each death
//                   [](World& world) { world.put(); },     // in a child, stepped by ptrace, killed
//                   [](World& world) { ... EXPECT ... });  // what the survivor finds
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <string>

#include "support/random.hpp"

namespace tandem::test {

/// A child that runs `operation` under single-step.
class SteppedChild {
 public:
  explicit SteppedChild(const std::function<void()>& operation);
  SteppedChild(const SteppedChild&) = delete;
  SteppedChild& operator=(const SteppedChild&) = delete;
  ~SteppedChild();

  /// Lets it run that many instructions. \returns false when the operation ended first
  bool step(std::size_t instructions);
  /// SIGKILL, and wait until it is gone.
  void kill();

 private:
  pid_t pid_;
};

/// Instructions between two deaths: TANDEM_STEP, else such that about `deaths` are tried; 1 tries
/// all.
[[nodiscard]] std::size_t stride(std::size_t instructions, std::size_t deaths);

/// How many instructions the operation takes in a child.
[[nodiscard]] std::size_t count_steps(const std::function<void()>& operation);

/// Whether a test should go on: not after the first failure, whose step is then in the trace.
[[nodiscard]] bool failed();
void report_steps(std::size_t instructions, std::size_t deaths);

/// \param deaths about how many kill points to try, evenly spread from a random one on;
///   TANDEM_STEP=1 tries every one
template <class Make, class Operation, class Check>
void for_each_step(std::size_t deaths, Make make, Operation operation, Check check) {
  std::size_t instructions = 0;
  {
    auto world = make();
    instructions = count_steps([&] { operation(*world); });
  }
  const std::size_t by = stride(instructions, deaths);
  std::size_t tried = 0;
  // A wait may take another path than the counted one: go on until the operation ends by itself.
  for (std::size_t step = seed() % by;; step += by) {
    auto world = make();
    SteppedChild child([&] { operation(*world); });
    const bool died_within = child.step(step);
    child.kill();
    SCOPED_TRACE("killed after " + std::to_string(step) + " instructions");
    check(*world);
    if (failed()) return;
    ++tried;
    if (!died_within) break;
  }
  report_steps(instructions, tried);
}

}  // namespace tandem::test
