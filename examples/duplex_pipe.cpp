// A server process that answers typed requests over a pipe. It ends when the other end is closed,
// or when the process that holds it dies: both are an EndOfFile.
#include <algorithm>
#include <cstddef>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>

#include <tandem/tandem.hpp>

namespace {

// A struct with anything dynamic in it says what it consists of, in the manner of cereal.
struct Request {
  std::string text;
  std::size_t least_letters = 0;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(text, least_letters);
  }
};

// Plain values need nothing.
struct Reply {
  std::size_t words = 0;
  std::size_t longest = 0;
  bool operator==(const Reply&) const = default;
};

Reply answer(const Request& request) {
  Reply reply;
  std::istringstream text(request.text);
  for (std::string word; text >> word;) {
    if (word.size() < request.least_letters) continue;
    ++reply.words;
    reply.longest = std::max(reply.longest, word.size());
  }
  return reply;
}

void serve(tandem::Connection<Reply, Request> client) {  // sends replies, receives requests
  try {
    for (;;) client.send(answer(client.recv()));
  } catch (const tandem::EndOfFile&) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);

  auto [here, there] = tandem::Pipe<Request, Reply>();
  tandem::Process server(serve, std::move(there));
  server.start();

  here.send({.text = "a tandem is a bicycle for two", .least_letters = 2});
  const Reply reply = here.recv();
  std::cout << reply.words << " words, the longest has " << reply.longest << " letters\n";

  here.close();
  server.join();
  if (reply != Reply{.words = 5, .longest = 7} || server.exitcode() != 0) {
    std::cerr << "expected 5 words, the longest of 7 letters, and a server that ends with 0\n";
    return 1;
  }
}
