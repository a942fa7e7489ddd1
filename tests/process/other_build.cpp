// A client of a manager whose program is not this one: it shares what is stored, and no code.
//
//     other_build ADDRESS
#include "other_build.hpp"

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string_view>

#include "tandem/error.hpp"
#include "tandem/init.hpp"
#include "tandem/manager.hpp"

namespace {

using tandem::test::Counter;
using tandem::test::Reading;

void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

/// The server says that it is of another build, whatever the step is.
template <class Call>
void require_refusal(Call call, const char* what) {
  try {
    call();
  } catch (const tandem::DecodeError& error) {
    if (std::string_view(error.what()).find("the same build") != std::string_view::npos) return;
    std::fprintf(stderr, "%s: %s\n", what, error.what());
    throw;
  }
  throw std::logic_error(what);
}

void share_what_is_stored(tandem::Manager& manager) {
  const auto words = manager.dict<std::string, std::string>({}, "words");
  require(words.at("asked") == "who is there?", "dict: another value");
  words.set("answered", "another build");
  require(words.set_default("answered", "nobody") == "another build", "dict: lost a value");

  const auto readings = manager.list<Reading>({}, "readings");
  require(readings.at(0) == Reading{1, 20.5, {"first", ""}}, "list: another value");
  readings.push_back({2, -3.25, {"second"}});

  const auto total = manager.value<long>(0, "total");
  require(total.fetch_add(5) == 10, "value: another number");
  const auto squares = manager.array<int>(std::vector<int>{0, 1, 0}, "squares");
  squares.set(2, squares.at(1) * 4);
  auto settings = manager.namespace_("settings");
  require(settings.get<bool>("ready") == false, "namespace: another value");
  settings.set("ready", true);

  const auto letters = manager.queue<std::string>(0, "letters");
  require(letters.get() == "question", "queue: another item");
  letters.put("answer");
  const auto lock = manager.lock("lock");
  lock.lock();
  lock.unlock();
}

void share_no_code(tandem::Manager& manager) {
  const auto words = manager.dict<std::string, std::string>({}, "words");
  require_refusal([&] { words.apply("asked", [](std::string& word) { word.clear(); }); },
                  "dict: apply was not refused");
  const auto readings = manager.list<Reading>({}, "readings");
  require_refusal([&] { readings.apply(0, [](Reading& reading) { reading.sensor = 9; }); },
                  "list: apply was not refused");
  require_refusal(
      [&] {
        readings.sort([](const Reading& a, const Reading& b) { return a.celsius < b.celsius; });
      },
      "list: sort was not refused");
  const auto total = manager.value<long>(0, "total");
  require_refusal([&] { total.apply([](long& n) { n = 0; }); }, "value: apply was not refused");
  require_refusal([&] { static_cast<void>(manager.create<Counter>(0)); },
                  "an object was made of a class of another build");
  const auto counter = manager.create_named<Counter>("counter", 0);  // that of the other
  require_refusal([&] { counter.call<&Counter::next>(); }, "an object was called");
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  try {
    require(argc == 2, "usage: other_build ADDRESS");
    auto manager = tandem::Manager::connect(tandem::Address(argv[1]), tandem::test::kOtherBuildKey);
    share_no_code(manager);
    share_what_is_stored(manager);  // the connection goes on after what was refused
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "other_build: %s\n", error.what());
    return 1;
  }
}
