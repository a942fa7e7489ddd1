// A producer, a consumer, a queue between them, and a marker that says "that was all".
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

using Lines = tandem::Queue<std::optional<std::string>>;  // nothing: the end

const std::vector<std::string> kPoem{"a bicycle", "built", "for two"};

void produce(Lines lines) {
  for (const std::string& line : kPoem) lines.put(line);
  lines.put(std::nullopt);
}

void consume(Lines lines, tandem::Queue<std::string> joined) {
  std::string all;
  while (const std::optional<std::string> line = lines.get()) {
    std::cout << "received: " << *line << '\n';
    all += *line + '/';
  }
  joined.put(all);
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);

  Lines lines;
  tandem::Queue<std::string> joined;
  tandem::Process consumer(consume, lines, joined);
  tandem::Process producer(produce, lines);
  consumer.start();
  producer.start();
  const std::string all = joined.get();
  producer.join();
  consumer.join();

  if (all != "a bicycle/built/for two/" || !lines.empty() || consumer.exitcode() != 0) {
    std::cerr << "expected every line once, in order, and an empty queue\n";
    return 1;
  }
  std::cout << "all lines arrived, in order\n";
}
