// Kills a process after every single instruction of an operation, so that whatever must survive a
// death is seen to survive it at each point there is.
//
//     for_each_step([] { return World(); },                // made afresh for each death
//                   [](World& world) { world.put(); },     // in a child, stepped by ptrace, killed
//                   [](World& world) { ... EXPECT ... });  // what the survivor finds
//
// An instruction that repeats itself (the string moves that memcpy is made of) counts as one.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "support/random.hpp"

namespace tandem::test {

/// The addresses of the instructions that an operation executed, one after another.
using Path = std::vector<std::uintptr_t>;

/// A child that runs `operation` under single-step.
class SteppedChild {
 public:
  explicit SteppedChild(const std::function<void()>& operation);
  SteppedChild(const SteppedChild&) = delete;
  SteppedChild& operator=(const SteppedChild&) = delete;
  ~SteppedChild();

  /// Lets it run that many instructions. \returns false when the operation ended first
  bool step(std::size_t instructions);
  /// One instruction, whose address is added to the path. \returns as `step`
  bool step(Path& path);
  /// As `step`, along a path that another child took from the same point: at full speed, with a
  /// breakpoint at the instruction where it ends. \returns false also when this child went another
  /// way, and the operation ended
  bool follow(const Path& path, std::size_t instructions);
  /// SIGKILL, and wait until it is gone.
  void kill();

 private:
  void step_once();
  [[nodiscard]] bool stopped();

  pid_t pid_;
  int status_ = 0;  // of the last stop
};

/// Instructions between two deaths: TANDEM_STEP, else such that about `deaths` are tried; 1 tries
/// all.
[[nodiscard]] std::size_t stride(std::size_t instructions, std::size_t deaths);

/// Whether a test should go on: not after the first failure, whose step is then in the trace.
[[nodiscard]] bool failed();
void report_steps(std::size_t instructions, std::size_t deaths);

/// A process counts the CPUs when it first waits, which takes 50 000 instructions: not in each child.
void wait_once();

/// Where to kill: at about so many points, evenly spread from a random one on.
struct Deaths {
  // Implicit, because most tests say no more than the number.
  Deaths(std::size_t number, std::size_t within_steps = SIZE_MAX)  // NOLINT
      : about(number), within(within_steps) {}
  std::size_t about;
  std::size_t within;  // what comes after so many instructions concerns nobody else
};

/// TANDEM_STEP=1 kills after every instruction.
/// \param begin what the survivor does once the child exists, before it takes its first step: lets
///   go of what is now the child's alone, starts threads that work against it
template <class Make, class Operation, class Check, class Begin>
void for_each_step(Deaths deaths, Make make, Operation operation, Check check, Begin begin) {
  wait_once();
  Path path;
  {
    auto world = make();
    SteppedChild child([&] { operation(*world); });
    begin(*world);
    while (path.size() < deaths.within && child.step(path)) {
    }
  }
  const std::size_t by = stride(path.size(), deaths.about);
  std::size_t tried = 0;
  // A wait may take longer than the first one did: go on until the operation ends by itself.
  for (std::size_t step = seed() % by;; step += by) {
    auto world = make();
    SteppedChild child([&] { operation(*world); });
    begin(*world);
    const bool on_path = step < path.size();
    const bool died_within = on_path ? child.follow(path, step) : child.step(step);
    child.kill();
    SCOPED_TRACE("killed after " + std::to_string(step) + " instructions");
    check(*world);
    if (failed()) return;
    ++tried;
    if (!on_path && (!died_within || step > deaths.within)) break;
  }
  report_steps(path.size(), tried);
}
template <class Make, class Operation, class Check>
void for_each_step(Deaths deaths, Make make, Operation operation, Check check) {
  for_each_step(deaths, make, operation, check, [](auto&) {});
}

}  // namespace tandem::test
