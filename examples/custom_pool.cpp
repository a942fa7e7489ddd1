// A small pool of one's own: a queue hands out the tasks, each worker answers over a pipe of its
// own, so that its death is an end of file. tandem::Pool is the same idea, and says which task was
// lost.
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <utility>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

template <auto f, class Argument, class Result>
class SmallPool {
  struct Task {
    std::size_t index;
    Argument argument;
  };
  struct Outcome {
    std::size_t index;
    Result result;
  };

 public:
  explicit SmallPool(std::size_t processes) {
    for (std::size_t i = 0; i < processes; ++i) {
      auto [reader, writer] = tandem::OneWayPipe<Outcome>();
      outcomes_.push_back(std::move(reader));
      workers_.emplace_back(work, tasks_, std::move(writer)).start();
    }
  }
  ~SmallPool() { tasks_.shutdown(); }  // the workers' loops end, then ~Process joins them

  std::vector<Result> map(const std::vector<Argument>& arguments) {
    for (std::size_t i = 0; i < arguments.size(); ++i) tasks_.put({i, arguments[i]});

    std::vector<Result> results(arguments.size());
    const std::vector<tandem::Waitable> sources(outcomes_.begin(), outcomes_.end());
    for (std::size_t missing = results.size(); missing > 0;) {
      for (std::size_t ready : tandem::wait_any(sources)) {
        const Outcome outcome = outcomes_[ready].recv();  // EndOfFile if the worker has died
        results[outcome.index] = outcome.result;
        --missing;
      }
    }
    return results;
  }

 private:
  static void work(tandem::Queue<Task> tasks, tandem::Writer<Outcome> outcomes) {
    for (const Task& task : tasks) outcomes.send({task.index, f(task.argument)});
  }

  tandem::Queue<Task> tasks_;
  std::vector<tandem::Reader<Outcome>> outcomes_;
  std::vector<tandem::Process> workers_;
};

std::uint64_t collatz_steps(std::uint64_t n) {
  std::uint64_t steps = 0;
  for (; n != 1; ++steps) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
  return steps;
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);

  SmallPool<collatz_steps, std::uint64_t, std::uint64_t> pool(2);
  const std::vector<std::uint64_t> steps = pool.map({1, 7, 27, 97, 871, 6171});
  for (std::uint64_t n : steps) std::cout << n << '\n';
  if (steps != std::vector<std::uint64_t>{0, 16, 111, 118, 178, 261}) {
    std::cerr << "expected 0 16 111 118 178 261\n";
    return 1;
  }
}
