// Messages that are larger than what a connection holds, of every kind of type: they arrive whole and
// as they were sent, or not at all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cereal/cereal.hpp>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "os/poll.hpp"
#include "support/child.hpp"
#include "support/cross.hpp"
#include "support/epoll.hpp"
#include "support/large.hpp"
#include "support/leak_check.hpp"
#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/async.hpp"
#include "tandem/listener.hpp"
#include "tandem/pipe.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"
#include "tandem/wait.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;
using detail::Deadline;
using testing::ElementsAre;
using testing::IsEmpty;

using LargeMessageTest = StartMethodTest;
TANDEM_OVER_START_METHODS(LargeMessageTest);

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// A child at the other end of a pipe. It is to end well when this end is closed.
template <class Send, class Recv = Send>
class Partner {
 public:
  template <class F, class... A>
  explicit Partner(F target, A&&... args) {
    auto [mine, theirs] = Pipe<Send, Recv>();
    connection = std::move(mine);
    child_.emplace(target, std::move(theirs), std::forward<A>(args)...);
    child_->start();
  }
  Partner(const Partner&) = delete;
  Partner& operator=(const Partner&) = delete;
  ~Partner() {
    connection.close();
    child_->join();
    EXPECT_EQ(child_->exitcode(), 0);
  }
  void send(const Send& value) { connection.send(value); }
  [[nodiscard]] Recv recv() { return connection.recv(); }

  Connection<Send, Recv> connection;

 private:
  std::optional<Process> child_;
};

/// Sends back what it is sent.
template <class T>
class Echo : public Partner<T> {
 public:
  Echo() : Partner<T>(echo<T>) {}
  template <class Value>
  T operator()(Value&& value) {
    this->connection.send(std::forward<Value>(value));
    return this->recv();
  }
};

template <class Send, class Recv>
void await_close(Connection<Send, Recv>& connection) {
  try {
    static_cast<void>(connection.recv());
  } catch (const EndOfFile&) {
  }
}

/// Each value comes back as it went, and leaves nothing behind that the next could meet.
template <class T>
void expect_back(const std::vector<T>& values) {
  Echo<T> there_and_back;
  for (const T& value : values) ASSERT_TRUE(there_and_back(value) == value);
}

// Types and sizes.

TEST_P(LargeMessageTest, OfOneRunOfBytes) {
  expect_back<std::string>({text(3 * kMiB, 1), text(0, 2), text(kMiB + 1, 3), text(5, 4)});
  expect_back<std::vector<double>>({doubles(500'000, 1), {}, doubles(131'073, 2)});
  expect_back<std::vector<bool>>({std::vector<bool>(3 * kMiB, true), {false, true}});
}

/// A byte in front makes of the text a part of a message.
struct Labelled {
  std::uint8_t label = 0;
  std::string body;
  friend bool operator==(const Labelled&, const Labelled&) = default;
};

TEST_P(LargeMessageTest, OfEverySizeAroundTheLimits) {
  Echo<std::string> plain;
  Echo<Labelled> encoded;
  for (const std::size_t limit :
       {std::size_t{32} << 10, std::size_t{64} << 10, std::size_t{256} << 10}) {
    // Lengths and other members come before the body, and frames around the message.
    for (std::size_t size = limit - 72; size <= limit + 8; ++size) {
      const std::string body = text(size, size);
      ASSERT_TRUE(plain(body) == body) << size;
      const Labelled labelled{static_cast<std::uint8_t>(size), body};
      ASSERT_TRUE(encoded(labelled) == labelled) << size;
    }
  }
}

struct Mixed {
  int number = 0;
  std::vector<double> measured;
  bool flag = false;
  std::string name;
  std::vector<std::uint16_t> codes;
  char letter = 0;
  std::vector<std::string> lines;
  std::optional<int> last;
  friend bool operator==(const Mixed&, const Mixed&) = default;
};

Mixed mixed(std::uint64_t seed, std::size_t bytes) {
  return {.number = static_cast<int>(seed),
          .measured = doubles(bytes / 8 + 1, seed),
          .flag = seed % 2 == 1,
          .name = text(bytes, seed + 1),
          .codes = std::vector<std::uint16_t>(bytes / 2, static_cast<std::uint16_t>(seed)),
          .letter = 'm',
          .lines = {text(bytes + 3, seed + 2), "", text(7, seed + 3)},
          .last = 5};
}

TEST_P(LargeMessageTest, OfLargeAndSmallMembers) {
  expect_back<Mixed>({mixed(1, kMiB), mixed(2, 10), mixed(3, 65'536), mixed(4, 2 * kMiB)});
}

using Table = std::map<std::string, std::vector<int>>;

TEST_P(LargeMessageTest, OfAMap) {
  Table table;
  for (int i = 0; i < 500; ++i) {
    const auto at = static_cast<std::size_t>(i);
    table["key " + std::to_string(i)] = std::vector<int>(at * 21 % 5'300, i);
  }
  table["large"] = std::vector<int>(100'000, -1);
  expect_back<Table>({table, {}, {{"one", {1}}}, table});
}

TEST_P(LargeMessageTest, OfManyStrings) {
  std::vector<std::string> strings;
  for (std::size_t i = 0; i < 100'000; ++i) {
    strings.push_back(text(i % 1'000 == 999 ? 70'000 : i % 43, i));
  }
  expect_back<std::vector<std::string>>({strings, {"", text(kMiB, 1), ""}});
}

TEST_P(LargeMessageTest, OfOtherContainers) {
  using Containers = std::tuple<std::deque<double>, std::list<std::string>, std::set<std::string>,
                                std::unordered_map<int, std::vector<char>>>;
  const std::vector<double> numbers = doubles(200'000, 1);
  Containers containers;
  std::get<0>(containers).assign(numbers.begin(), numbers.end());
  for (std::size_t i = 0; i < 20; ++i) {
    std::get<1>(containers).push_back(text(i * 5'000, i));
    std::get<2>(containers).insert(text(100'000 + i, i));
    std::get<3>(containers)[static_cast<int>(i)] = std::vector<char>(i * 7'777, 'c');
  }
  expect_back<Containers>({containers, {}});
}

TEST_P(LargeMessageTest, OfATuple) {
  using Tuple = std::tuple<char, std::vector<int>, double, std::string, std::pair<int, Bytes>>;
  expect_back<Tuple>({{'a', std::vector<int>(300'000, 3), 0.5, text(kMiB, 1), {4, Bytes(kMiB)}},
                      {'b', {}, 1.5, text(300'000, 2), {5, {}}},
                      {}});
}

TEST_P(LargeMessageTest, OfAnOptional) {
  using Optional = std::optional<std::vector<std::string>>;
  expect_back<Optional>({Optional({text(2 * kMiB, 1), text(3, 2)}), std::nullopt,
                         Optional({text(65'536, 3)}), std::nullopt});
}

TEST_P(LargeMessageTest, OfAVariant) {
  using Variant = std::variant<int, std::vector<double>, std::string, Mixed>;
  expect_back<Variant>({doubles(200'000, 1), 7, text(2 * kMiB, 2), mixed(3, 400'000), 8});
}

struct WithArray {
  int before = 0;
  std::array<double, 100'000> values = {};
  std::string after;
  friend bool operator==(const WithArray&, const WithArray&) = default;
};

TEST_P(LargeMessageTest, OfAnArray) {
  std::vector<WithArray> values(2);
  values[0].before = 1;
  values[0].values.front() = 2;
  values[0].values.back() = 3;
  values[0].after = text(300'000, 1);
  values[1].values[50'000] = 4;
  expect_back(values);
  expect_back<std::array<double, 100'000>>({values[0].values, values[1].values});
}

TEST_P(LargeMessageTest, OfPointers) {
  using Owned = std::unique_ptr<Mixed>;
  Echo<Owned> owned;
  EXPECT_TRUE(*owned(std::make_unique<Mixed>(mixed(1, kMiB))) == mixed(1, kMiB));
  EXPECT_EQ(owned(nullptr), nullptr);

  using Shared = std::vector<std::shared_ptr<std::string>>;
  const auto one = std::make_shared<std::string>(text(kMiB, 1));
  const auto other = std::make_shared<std::string>(text(700'000, 2));
  const Shared back = Echo<Shared>()(Shared{one, other, nullptr, one, one, other});
  ASSERT_EQ(back.size(), 6u);
  EXPECT_TRUE(*back[0] == *one);
  EXPECT_TRUE(*back[1] == *other);
  EXPECT_EQ(back[2], nullptr);
  EXPECT_EQ(back[3], back[0]);
  EXPECT_EQ(back[4], back[0]);
  EXPECT_EQ(back[5], back[1]);
  EXPECT_EQ(back[0].use_count(), 3);
}

// Types whose functions were written for cereal.

TEST_P(LargeMessageTest, OfWhatIsMadeWhileItIsEncoded) {
  expect_back<Spread>({{1, 200'000}, {2, 0}, {3, 65'536}, {4, 8'192}, {5, 300'000}});
  using Nested = std::pair<std::string, std::vector<Spread>>;
  expect_back<Nested>({{text(300'000, 1), {{1, 50'000}, {2, 3}, {3, 60'000}}}});
}

/// Encodes one buffer again and again, with other contents each time.
struct Reusing {
  int pieces = 0;

  template <class Archive>
  void save(Archive& archive) const {
    archive(pieces);
    std::vector<int> buffer;
    for (int i = 0; i < pieces; ++i) {
      buffer.assign(100'000, i);
      archive(buffer);
    }
    buffer.assign(100'000, -1);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(pieces);
    for (int i = 0; i < pieces; ++i) {
      std::vector<int> piece;
      archive(piece);
      if (piece != std::vector<int>(100'000, i)) throw std::logic_error("a piece is another's");
    }
  }
  friend bool operator==(const Reusing&, const Reusing&) = default;
};

TEST_P(LargeMessageTest, OfABufferThatIsUsedAgainWhileItIsEncoded) {
  expect_back<Reusing>({{5}, {1}, {0}, {8}});
}

/// By address and length, as matrices are.
struct Matrix {
  std::uint32_t rows = 0;
  std::vector<float> cells;

  template <class Archive>
  void save(Archive& archive) const {
    archive(rows, static_cast<std::uint64_t>(cells.size()));
    archive(cereal::binary_data(cells.data(), cells.size() * sizeof(float)));
    archive(rows);
  }
  template <class Archive>
  void load(Archive& archive) {
    std::uint64_t size = 0;
    archive(rows, size);
    cells.resize(size);
    archive(cereal::binary_data(cells.data(), cells.size() * sizeof(float)));
    archive(rows);
  }
  friend bool operator==(const Matrix&, const Matrix&) = default;
};

struct Around {
  std::vector<double> before;
  Matrix inner;
  std::string between;
  Spread made;
  std::vector<int> after;
  friend bool operator==(const Around&, const Around&) = default;
};

Around around(std::size_t size) {
  return {.before = doubles(size, 1),
          .inner = {3, std::vector<float>(size, 1.5F)},
          .between = text(size, 2),
          .made = {7, size},
          .after = std::vector<int>(size, 9)};
}
TEST_P(LargeMessageTest, OfFunctionsBetweenPlainMembers) {
  expect_back<Matrix>({{2, std::vector<float>(500'000, 0.25F)}, {1, {0.5F}}});
  expect_back<Around>({around(100'000), {}, around(70'000)});
}

// What the sender may do.

TEST_P(LargeMessageTest, MayBeChangedAsSoonAsItIsSent) {
  Echo<Mixed> there_and_back;
  for (const std::size_t bytes : {std::size_t{20'000}, std::size_t{60'000}, kMiB}) {
    Mixed value = mixed(1, bytes);
    there_and_back.send(value);
    value.measured.assign(value.measured.size(), -1);
    value.name.assign(value.name.size(), '-');
    for (std::string& line : value.lines) line.assign(line.size(), '-');
    ASSERT_TRUE(there_and_back.recv() == mixed(1, bytes)) << bytes;
  }
}

void check_arguments(const Mixed& one, const Table& other, const Spread& made,
                     std::vector<double> numbers) {
  require(one == mixed(3, kMiB), "the struct is damaged");
  require(other.at("large") == std::vector<int>(500'000, 4), "the map is damaged");
  require(made == Spread{8, 100'000}, "what was made is damaged");
  require(numbers == doubles(400'000, 5), "the numbers are damaged");
}

TEST_P(LargeMessageTest, AsArgumentsOfAProcess) {
  Process child(check_arguments, mixed(3, kMiB),
                Table{{"large", std::vector<int>(500'000, 4)}, {"small", {1}}}, Spread{8, 100'000},
                doubles(400'000, 5));
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

constexpr std::size_t kBoth = 5 * kMiB / 3;  // three members of a Mixed have so many bytes

void send_first(Connection<Mixed> connection) {
  for (std::uint64_t i = 0; i < 3; ++i) connection.send(mixed(i, kBoth));
  for (std::uint64_t i = 0; i < 3; ++i) {
    require(connection.recv() == mixed(100 + i, kBoth), "the message is damaged");
  }
}

TEST_P(LargeMessageTest, FromBothSidesAtOnce) {
  Partner<Mixed> other(send_first);
  for (std::uint64_t i = 0; i < 3; ++i) other.send(mixed(100 + i, kBoth));
  for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(other.recv() == mixed(i, kBoth));
}

// What goes wrong.

enum class Fault {
  none,
  reads_less,        // than was written, by a large piece
  reads_a_bit_less,  // by a byte
  reads_more,        // by a large piece
  reads_a_bit_more,
  lies_about_a_length,
  load_throws_first,
  load_throws_midway,
  load_throws_last,
  save_throws_midway
};
constexpr std::array kFaultsOfLoad{Fault::reads_less,          Fault::reads_a_bit_less,
                                   Fault::reads_more,          Fault::reads_a_bit_more,
                                   Fault::lies_about_a_length, Fault::load_throws_first,
                                   Fault::load_throws_midway,  Fault::load_throws_last};

bool is_thrown_by_load(Fault fault) {
  return fault == Fault::load_throws_first || fault == Fault::load_throws_midway ||
         fault == Fault::load_throws_last;
}

struct Broken {
  Fault fault = Fault::none;
  std::string first;
  std::vector<int> second;

  template <class Archive>
  void save(Archive& archive) const {
    archive(fault, first);
    if (fault == Fault::save_throws_midway) throw std::range_error("save");
    archive(second);
    if (fault == Fault::reads_less) archive(first);
    if (fault == Fault::reads_a_bit_less) archive('x');
    if (fault == Fault::lies_about_a_length) {
      archive(cereal::make_size_tag(static_cast<cereal::size_type>(std::uint64_t{1} << 40)));
      archive(cereal::binary_data(first.data(), first.size()));
    }
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(fault);
    if (fault == Fault::load_throws_first) throw std::domain_error("load");
    archive(first);
    if (fault == Fault::load_throws_midway) throw std::domain_error("load");
    archive(second);
    if (fault == Fault::load_throws_last) throw std::domain_error("load");
    if (fault == Fault::reads_a_bit_more) {
      char more = 0;
      archive(more);
    }
    if (fault == Fault::reads_more || fault == Fault::lies_about_a_length) {
      std::vector<double> more;
      archive(more);
    }
  }
  friend bool operator==(const Broken&, const Broken&) = default;
};

Broken broken(Fault fault, std::size_t bytes) {
  return {fault, text(bytes, 1), std::vector<int>(bytes / 4, 2)};
}

constexpr std::array<std::size_t, 4> kBrokenSizes{100, 20'000, 100'000, 2 * kMiB};

void send_broken(Connection<Broken> connection) {
  for (const std::size_t bytes : kBrokenSizes) {
    for (const Fault fault : kFaultsOfLoad) {
      connection.send(broken(fault, bytes));
      connection.send(broken(Fault::none, bytes));  // right behind it
      connection.send(broken(Fault::none, 10));
    }
  }
}

/// What send_broken sends.
void expect_broken_ones_alone_fail(Connection<Broken>& from) {
  for (const std::size_t bytes : kBrokenSizes) {
    for (const Fault fault : kFaultsOfLoad) {
      SCOPED_TRACE(testing::Message() << "fault " << static_cast<int>(fault) << ", " << bytes);
      if (is_thrown_by_load(fault)) {
        EXPECT_THROW(static_cast<void>(from.recv()), std::domain_error);
      } else {
        EXPECT_THROW(static_cast<void>(from.recv()), DecodeError);
      }
      ASSERT_TRUE(from.recv() == broken(Fault::none, bytes));
      ASSERT_TRUE(from.recv() == broken(Fault::none, 10));
    }
  }
}

TEST_P(LargeMessageTest, ThatCannotBeDecodedIsThatMessagesErrorAlone) {
  Partner<Broken> other(send_broken);
  expect_broken_ones_alone_fail(other.connection);
}

TEST_P(LargeMessageTest, WhoseEncodingThrowsIsNotSentAtAll) {
  Echo<Broken> there_and_back;
  for (const std::size_t bytes : kBrokenSizes) {
    EXPECT_THROW(static_cast<void>(there_and_back(broken(Fault::save_throws_midway, bytes))),
                 std::range_error);
    ASSERT_TRUE(there_and_back(broken(Fault::none, bytes)) == broken(Fault::none, bytes));
  }
}

/// As if the other program named another type: the same end under another one's name.
template <class Wrong, class Right>
Connection<Wrong> renamed(const Connection<Right>& end) {
  return cross<Connection<Right>, Connection<Wrong>>(end, detail::Route::connection);
}

void send_others(Connection<Mixed> right) {
  auto text_sender = renamed<std::string>(right);
  auto numbers_sender = renamed<std::vector<double>>(right);
  auto table_sender = renamed<Table>(right);
  for (const std::size_t bytes : kBrokenSizes) {
    text_sender.send(text(bytes, 1));
    right.send(mixed(1, bytes));
    numbers_sender.send(doubles(bytes, 1));
    right.send(mixed(2, bytes));
    table_sender.send({{text(bytes, 1), std::vector<int>(bytes)}});
    right.send(mixed(3, bytes));
  }
}

TEST_P(LargeMessageTest, OfAnotherTypeIsADecodeErrorAndTheNextArrives) {
  Partner<Mixed> other(send_others);
  for (const std::size_t bytes : kBrokenSizes) {
    for (const std::uint64_t i : {1, 2, 3}) {
      EXPECT_THROW(static_cast<void>(other.recv()), DecodeError);
      ASSERT_TRUE(other.recv() == mixed(i, bytes)) << bytes;
    }
  }
}

constexpr std::size_t kHuge = (kAsan || kTsan ? 4 : 64) * kMiB;

struct Numbered {
  std::uint32_t number = 0;
  std::vector<std::uint32_t> words;
  std::string tail;
};

void flood(Writer<Numbered> writer) {
  Numbered message{.words = std::vector<std::uint32_t>(kHuge / 8),
                   .tail = std::string(kHuge / 2, 't')};
  writer.send({});
  for (;;) {
    ++message.number;
    message.words.front() = message.words.back() = message.number;
    message.tail.back() = static_cast<char>(message.number);
    writer.send(message);
  }
}

void expect_whole(const Numbered& message, std::uint32_t number) {
  ASSERT_EQ(message.number, number);
  ASSERT_EQ(message.words.size(), kHuge / 8);
  EXPECT_EQ(message.words.front(), number);
  EXPECT_EQ(message.words.back(), number);
  ASSERT_EQ(message.tail.size(), kHuge / 2);
  EXPECT_EQ(message.tail.back(), static_cast<char>(number));
}

TEST_P(LargeMessageTest, OfAKilledSenderIsWholeOrIsTheEndOfFile) {
  std::mt19937_64 random(seed());
  const int trials = full_form() ? 50 : 8;
  for (int trial = 0; trial < trials; ++trial) {
    auto [reader, writer] = OneWayPipe<Numbered>();
    Process child(flood, std::move(writer));
    child.start();
    static_cast<void>(reader.recv());
    std::jthread killer([&] { kill_within(child.pid(), 60ms, random); });
    std::uint32_t number = 0;
    const auto receive_all = [&number, &from = reader] {
      for (;;) expect_whole(from.recv(), ++number);
    };
    EXPECT_THROW(receive_all(), EndOfFile);
    EXPECT_THROW(static_cast<void>(reader.recv()), EndOfFile);
    killer.join();
    child.join();
    ASSERT_EQ(child.exitcode(), -SIGKILL);
  }
}

// Handles in them.

struct Errand {
  std::vector<double> before;
  Connection<int> connection;
  std::string between;
  Queue<int> queue;
  Mixed after;
};

void run_errands(Reader<Errand> errands) {
  for (std::uint64_t i = 0; i < 3; ++i) {
    Errand errand = errands.recv();
    require(errand.before == doubles(100'000, i), "what comes before the handles is damaged");
    require(errand.between == text(kMiB, i), "what comes between the handles is damaged");
    require(errand.after == mixed(i, 100'000), "what comes after the handles is damaged");
    errand.connection.send(errand.queue.get());
  }
}

TEST_P(LargeMessageTest, OfHandlesAmongLargeMembers) {
  auto [errands, to_child] = OneWayPipe<Errand>();
  Process child(run_errands, std::move(errands));
  child.start();
  Queue<int> queue;
  for (std::uint64_t i = 0; i < 3; ++i) {
    auto [near, far] = Pipe<int>();
    queue.put(static_cast<int>(i));
    Errand errand{doubles(100'000, i), std::move(far), text(kMiB, i), queue, mixed(i, 100'000)};
    to_child.send(std::move(errand));
    EXPECT_TRUE(errand.connection.closed());  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(near.recv(), static_cast<int>(i));
    EXPECT_THROW(static_cast<void>(near.recv()), EndOfFile);
  }
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

/// Throws when it is loaded: before the connection in it, or behind it.
struct BrokenErrand {
  bool early = false;
  std::string body;
  Connection<int> connection;

  template <class Archive>
  void save(Archive& archive) const {
    archive(early, body, connection, body);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(early, body);
    if (early) throw std::domain_error("load");
    archive(connection, body);
    throw std::domain_error("load");
  }
};

void drop_errands(Connection<int, BrokenErrand> connection) {
  try {
    for (;;) {
      try {
        static_cast<void>(connection.recv());
        connection.send(1);
      } catch (const std::domain_error&) {
        connection.send(0);
      }
    }
  } catch (const EndOfFile&) {
  }
}

TEST_P(LargeMessageTest, ThatCannotBeDecodedClosesTheConnectionInIt) {
  Partner<BrokenErrand, int> other(drop_errands);
  for (const std::size_t bytes : {std::size_t{100}, kMiB}) {
    for (const bool early : {true, false}) {
      auto [near, far] = Pipe<int>();
      other.connection.send({early, text(bytes, 1), std::move(far)});
      EXPECT_EQ(other.recv(), 0);
      EXPECT_THROW(static_cast<void>(near.recv()), EndOfFile);
    }
  }
}

void wait_to_be_killed(Connection<int, Errand> connection) {
  connection.send(0);
  for (;;) ::pause();
}

TEST_P(LargeMessageTest, ToAKilledReceiverKeepsTheConnectionInIt) {
  std::mt19937_64 random(seed());
  for (int trial = 0; trial < (full_form() ? 50 : 10); ++trial) {
    auto [mine, theirs] = Pipe<Errand, int>();
    Process child(wait_to_be_killed, std::move(theirs));
    child.start();
    static_cast<void>(mine.recv());
    auto [near, far] = Pipe<int>();
    Errand errand{doubles(100'000, 1), std::move(far), text(kMiB, 1), Queue<int>(),
                  mixed(1, 100'000)};
    std::jthread killer([&] { kill_within(child.pid(), 5ms, random); });
    EXPECT_THROW(mine.send(std::move(errand)), EndOfFile);
    ASSERT_FALSE(errand.connection.closed());  // NOLINT(bugprone-use-after-move)
    errand.connection.send(5);
    EXPECT_EQ(near.recv(), 5);
    EXPECT_TRUE(errand.before == doubles(100'000, 1) && errand.after == mixed(1, 100'000));
  }
}

// Waiting for them.

bool readable(int fd) { return os::wait_readable(fd, Deadline::now()); }

/// As many as it is asked for, and says when they are sent.
void send_on_demand(Connection<Mixed, int> connection, Writer<int> sent) {
  try {
    for (;;) {
      const int count = connection.recv();
      for (int i = 0; i < count; ++i) {
        connection.send(mixed(static_cast<std::uint64_t>(i), kMiB / 3));
      }
      sent.send(count);
    }
  } catch (const EndOfFile&) {
  }
}

class OnDemand : public Partner<int, Mixed> {
 public:
  OnDemand() : OnDemand(OneWayPipe<int>()) {}
  void await_sent() { static_cast<void>(sent_.recv()); }

 private:
  explicit OnDemand(OneWayPipe<int> sent)
      : Partner(send_on_demand, std::move(sent.second)), sent_(std::move(sent.first)) {}

  Reader<int> sent_;
};

TEST_P(LargeMessageTest, TheDescriptorIsReadableUntilAllAreReceived) {
  OnDemand other;
  const int fd = other.connection.fd();
  EXPECT_FALSE(readable(fd));
  for (const int count : {1, 3, 1}) {
    other.send(count);
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(os::wait_readable(fd, Deadline::never()));
      ASSERT_TRUE(other.recv() == mixed(static_cast<std::uint64_t>(i), kMiB / 3));
    }
    other.await_sent();
    EXPECT_FALSE(readable(fd));
    EXPECT_EQ(other.connection.try_recv(), std::nullopt);
    EXPECT_FALSE(readable(fd));
  }
}

void receive_by_epoll(std::uint32_t events) {
  OnDemand other;
  Epoll epoll(other.connection.fd(), events);
  for (const int count : {1, 4, 2, 1, 1, 5}) {
    other.send(count);
    for (int received = 0; received < count;) {
      epoll.wait();
      while (const auto message = other.connection.try_recv()) {
        ASSERT_TRUE(*message == mixed(static_cast<std::uint64_t>(received), kMiB / 3));
        ++received;
      }
    }
    other.await_sent();
    EXPECT_FALSE(readable(other.connection.fd()));
  }
}

TEST_P(LargeMessageTest, LevelTriggeredEpollMissesNone) { receive_by_epoll(EPOLLIN); }

TEST_P(LargeMessageTest, EdgeTriggeredEpollMissesNone) { receive_by_epoll(EPOLLIN | EPOLLET); }

TEST_P(LargeMessageTest, WaitAnyIsReadyUntilAllAreReceived) {
  OnDemand one;
  OnDemand other;
  const std::vector<Waitable> things{one.connection, other.connection};
  EXPECT_THAT(wait_any(things, 0s), IsEmpty());
  for (const int count : {1, 3}) {
    other.send(count);
    for (int i = 0; i < count; ++i) {
      EXPECT_THAT(wait_any(things), ElementsAre(1));
      ASSERT_TRUE(other.recv() == mixed(static_cast<std::uint64_t>(i), kMiB / 3));
    }
    other.await_sent();
    EXPECT_THAT(wait_any(things, 0s), IsEmpty());
    one.send(1);
    EXPECT_THAT(wait_any(things), ElementsAre(0));
    ASSERT_TRUE(one.recv() == mixed(0, kMiB / 3));
    EXPECT_THAT(wait_any(things, 0s), IsEmpty());
  }
}

void send_only_broken(Connection<Broken> connection) {
  for (const std::size_t bytes : kBrokenSizes) {
    connection.send(broken(Fault::load_throws_midway, bytes));
  }
  await_close(connection);
}

TEST_P(LargeMessageTest, TheDescriptorIsNotReadableBehindOneThatCouldNotBeDecoded) {
  Partner<Broken> other(send_only_broken);
  const int fd = other.connection.fd();
  for (std::size_t i = 0; i < kBrokenSizes.size(); ++i) {
    ASSERT_TRUE(os::wait_readable(fd, Deadline::never()));
    EXPECT_THROW(static_cast<void>(other.recv()), std::domain_error);
  }
  EXPECT_FALSE(readable(fd));
  EXPECT_THAT(wait_any({other.connection}, 0s), IsEmpty());
  EXPECT_FALSE(other.connection.poll());
}

// Other ways.

/// Sends back what it is sent, and of what it cannot decode a word.
template <class T>
void echo_of_queue(Queue<T> in, Queue<std::optional<T>> out) {
  try {
    for (;;) {
      try {
        out.put(in.get());
      } catch (const std::domain_error&) {
        out.put(std::nullopt);
      } catch (const DecodeError&) {
        out.put(std::nullopt);
      }
    }
  } catch (const ShutDown&) {
  }
}

TEST_P(LargeMessageTest, ThroughAQueue) {
  Queue<Around> there;
  Queue<std::optional<Around>> back;
  Process child(echo_of_queue<Around>, there, back);
  child.start();
  for (const std::size_t size : {std::size_t{10}, std::size_t{50'000}, std::size_t{300'000}}) {
    Around value = around(size);
    there.put(value);
    value.before.assign(size, -1);  // put has taken what it needs
    value.between.assign(size, '-');
    EXPECT_TRUE(back.get() == around(size)) << size;
  }
  there.shutdown();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

TEST_P(LargeMessageTest, ThroughAQueueThatCannotBeDecodedIsThatItemsErrorAlone) {
  Queue<Broken> there;
  Queue<std::optional<Broken>> back;
  Process child(echo_of_queue<Broken>, there, back);
  child.start();
  for (const std::size_t bytes : kBrokenSizes) {
    for (const Fault fault : kFaultsOfLoad) {
      there.put(broken(fault, bytes));
      there.put(broken(Fault::none, bytes));
      EXPECT_EQ(back.get(), std::nullopt) << static_cast<int>(fault) << ", " << bytes;
      EXPECT_TRUE(back.get() == broken(Fault::none, bytes)) << static_cast<int>(fault);
    }
  }
  there.shutdown();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

void send_broken_to(Address address) { send_broken(connect<Broken>(std::move(address), "a key")); }

/// From a process that is not ours to give an end of a pipe to.
void expect_broken_ones_alone_fail_at(const Address& address) {
  Listener<Broken> listener(address, "a key");
  Process child(send_broken_to, listener.address());
  child.start();
  auto connection = listener.accept();
  expect_broken_ones_alone_fail(connection);
  connection.close();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

TEST_P(LargeMessageTest, ThroughAUnixAddress) {
  expect_broken_ones_alone_fail_at("unix:@" + unique_name("large"));
}

TEST_P(LargeMessageTest, ThroughANetwork) { expect_broken_ones_alone_fail_at("tcp:127.0.0.1:0"); }

Broken broken_result(Fault fault) { return broken(fault, kMiB); }

TEST_P(LargeMessageTest, AsResultsOfAnAsyncCall) {
  EXPECT_TRUE(async(around, std::size_t{200'000}).get() == around(200'000));
  EXPECT_TRUE(async(broken_result, Fault::none).get() == broken(Fault::none, kMiB));
  EXPECT_THROW(async(broken_result, Fault::load_throws_midway).get(), std::domain_error);
  EXPECT_THROW(async(broken_result, Fault::reads_more).get(), DecodeError);
  EXPECT_THROW(async(broken_result, Fault::save_throws_midway).get(), std::range_error);
}

}  // namespace
}  // namespace tandem::test
