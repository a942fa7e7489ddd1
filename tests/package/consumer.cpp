// A program of somebody else's: it knows tandem by its headers and its target only.

#include <cstdio>
#include <tandem/tandem.hpp>

void answer(tandem::Queue<int> questions, tandem::Queue<std::string> answers) {
  answers.put(std::to_string(2 * questions.get()));
}

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  tandem::Queue<int> questions;
  tandem::Queue<std::string> answers;
  tandem::Process child(answer, questions, answers);
  child.start();
  questions.put(21);
  const std::string result = answers.get();
  child.join();
  std::printf("tandem %s says %s\n", tandem::version().data(), result.c_str());
  return result == "42" && child.exitcode() == 0 ? 0 : 1;
}
