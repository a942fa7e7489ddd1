// A Manager's dict of a million keys: the server's memory, and one call beside the same on a
// thousand keys and beside Redis.
#include <fstream>
#include <random>

#include "harness.hpp"
#include "redis.hpp"

namespace {

using bench::RedisClient;
using bench::RedisServer;
using Dict = tandem::DictProxy<std::string, std::string>;
using Items = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t kMillion = 1'000'000;
constexpr std::size_t kAtATime = 10'000;

struct Shape {
  std::size_t key_bytes = 0;
  std::size_t value_bytes = 0;
};

std::string key_of(const Shape& shape, std::size_t i) {
  const std::string number = std::to_string(i);
  return std::string(shape.key_bytes - number.size(), '0') + number;
}

double resident_bytes(int pid) {
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  double all = 0;
  double resident = 0;
  statm >> all >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/// \param put takes up to kAtATime items
void fill(const Shape& shape, std::size_t keys, const std::function<void(const Items&)>& put) {
  for (std::size_t first = 0; first < keys; first += kAtATime) {
    Items items;
    for (std::size_t i = first; i < std::min(first + kAtATime, keys); ++i) {
      items.emplace_back(key_of(shape, i), std::string(shape.value_bytes, 'v'));
    }
    put(items);
  }
}

void fill(const Dict& dict, const Shape& shape, std::size_t keys) {
  fill(shape, keys, [&](const Items& items) { dict.update(items); });
}
void fill(RedisClient& client, const Shape& shape, std::size_t keys) {
  fill(shape, keys, [&](const Items& items) {
    for (const auto& [key, value] : items) {
      client.append(std::array<std::string_view, 3>{"SET", key, value});
    }
    for (std::size_t i = 0; i < items.size(); ++i) client.await_reply();
  });
}

// --- memory ---

/// \returns bytes the process has grown by for each byte of a key and value
std::vector<double> growth(int pid, const Shape& shape, const std::function<void()>& fill_up) {
  const double before = resident_bytes(pid);
  fill_up();
  const double grown = resident_bytes(pid) - before;
  return {grown / static_cast<double>(kMillion * (shape.key_bytes + shape.value_bytes))};
}

std::vector<double> tandem_growth(const Shape& shape) {
  tandem::Manager manager;
  const Dict dict = manager.dict<std::string, std::string>();
  return growth(manager.pid(), shape, [&] { fill(dict, shape, kMillion); });
}

std::vector<double> redis_growth(const Shape& shape) {
  const RedisServer server;
  RedisClient client(server.socket());
  return growth(server.pid(), shape, [&] { fill(client, shape, kMillion); });
}

void compare_memory(const Shape& shape) {
  bench::Comparison comparison{
      .work = "manager, 10^6 keys of " + std::to_string(shape.key_bytes) + " B, values " +
              std::to_string(shape.value_bytes) + " B",
      .metrics = {{"memory", false}},
      .candidates = {{"tandem", false, [=] { return tandem_growth(shape); }},
                     {"the bar", true, [] { return std::vector<double>{2.5}; }}},
      .reaches = {{"tandem", "the bar", 1, 1}}};
  if (RedisServer::common() != nullptr) {
    comparison.candidates.push_back({"Redis", true, [=] { return redis_growth(shape); }});
  }
  bench::compare(comparison);
}

// --- time ---

/// \returns the p50 of a call on a random key in microseconds
double p50_us(const Shape& shape, std::size_t keys,
              const std::function<void(const std::string&)>& call) {
  std::mt19937_64 random(keys);  // NOLINT: the same keys every time are meant
  std::vector<double> taken(20'000);
  for (double& microseconds : taken) {
    const std::string key = key_of(shape, random() % keys);
    const bench::Clock::time_point start = bench::Clock::now();
    call(key);
    microseconds = bench::seconds_since(start) * 1e6;
  }
  return bench::median(taken);
}

void compare_calls() {
  constexpr Shape kShape{.key_bytes = 100, .value_bytes = 100};
  const std::string value(kShape.value_bytes, 'w');
  tandem::Manager manager;
  const Dict million = manager.dict<std::string, std::string>();
  const Dict thousand = manager.dict<std::string, std::string>();
  fill(million, kShape, kMillion);
  fill(thousand, kShape, 1000);
  const auto calls = [&](const Dict& dict, std::size_t keys) {
    return std::vector<double>{
        p50_us(kShape, keys, [&](const std::string& key) { static_cast<void>(dict.at(key)); }),
        p50_us(kShape, keys, [&](const std::string& key) { dict.set(key, value); })};
  };
  bench::Comparison comparison{
      .work = "manager, dict of 10^6 keys, p50",
      .metrics = {{"get, us", false}, {"set, us", false}},
      .candidates = {{"tandem", false, [&] { return calls(million, kMillion); }},
                     {"10^3 keys", true, [&] { return calls(thousand, 1000); }}}};
  std::optional<RedisClient> client;
  if (const auto* const server = RedisServer::common()) {
    client.emplace(server->socket());
    fill(*client, kShape, kMillion);
    comparison.candidates.push_back(
        {"Redis", true, [&] {
           return std::vector<double>{
               p50_us(kShape, kMillion, [&](const std::string& key) { client->get(key); }),
               p50_us(kShape, kMillion, [&](const std::string& key) { client->set(key, value); })};
         }});
  }
  bench::compare(comparison);
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  compare_memory({.key_bytes = 100, .value_bytes = 100});
  compare_memory({.key_bytes = 16, .value_bytes = 100});
  compare_calls();
}
