// A Manager's dict, beside Python's Manager and Redis over a unix socket: one call, many calls in
// one trip, many clients, making an object.
#include "harness.hpp"
#include "redis.hpp"

namespace {

using bench::RedisClient;
using bench::RedisServer;
using Dict = tandem::DictProxy<std::string, std::int64_t>;

/// \returns the p50 of one call in microseconds
double p50_us(std::size_t operations, const std::function<void()>& call) {
  std::vector<double> taken(operations);
  for (double& microseconds : taken) {
    const bench::Clock::time_point start = bench::Clock::now();
    call();
    microseconds = bench::seconds_since(start) * 1e6;
  }
  return bench::median(taken);
}

// --- one call ---

constexpr std::size_t kOperations = 20'000;

std::vector<double> tandem_calls() {
  tandem::Manager manager;
  const Dict dict = manager.dict<std::string, std::int64_t>({{"key", 0}});
  for (int i = 0; i < 1000; ++i) dict.set("key", i);
  return {p50_us(kOperations, [&] { static_cast<void>(dict.at("key")); }),
          p50_us(kOperations, [&] { dict.set("key", 1); }),
          p50_us(kOperations, [&] { dict.fetch_add("key", 1); })};
}

std::vector<double> redis_calls(const RedisServer& server) {
  RedisClient client(server.socket());
  for (int i = 0; i < 1000; ++i) client.set("key", "0");
  return {p50_us(kOperations, [&] { client.get("key"); }),
          p50_us(kOperations, [&] { client.set("key", "1"); }), p50_us(kOperations, [&] {
            client.call(std::array<std::string_view, 2>{"INCR", "key"});
          })};
}

void compare_calls() {
  bench::Comparison comparison{
      .work = "manager, one client, p50 of one call",
      .metrics = {{"dict get, us", false}, {"dict set, us", false}, {"dict add, us", false}},
      .candidates = {{"tandem", false, tandem_calls}},
      .reaches = {{"tandem", "Python", 10, 10, 0},
                  {"tandem", "Python", 10, 10, 1},
                  {"tandem", "Redis", 10, 10, 0},
                  {"tandem", "Redis", 10, 10, 1}}};
  bench::add_python_peer(comparison, "Python", "python_manager.py", "calls 3000");
  if (const auto* const server = RedisServer::common()) {
    comparison.candidates.push_back({"Redis", true, [=] { return redis_calls(*server); }});
  }
  bench::compare(comparison);
}

// --- many in one trip ---

constexpr std::size_t kBatch = 64;
constexpr std::size_t kBatches = 1000;

std::vector<std::string> make_keys() {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < kBatch; ++i) keys.push_back("key" + std::to_string(i));
  return keys;
}

/// \param trip kBatch operations. \returns millions of operations a second
double rate(const std::function<void()>& trip) {
  for (std::size_t i = 0; i < kBatches / 10; ++i) trip();
  const bench::Clock::time_point start = bench::Clock::now();
  for (std::size_t i = 0; i < kBatches; ++i) trip();
  return static_cast<double>(kBatches * kBatch) / bench::seconds_since(start) / 1e6;
}

std::vector<double> tandem_batches() {
  tandem::Manager manager;
  const Dict dict = manager.dict<std::string, std::int64_t>();
  const std::vector<std::string> keys = make_keys();
  auto batch = dict.batch();
  const double sets = rate([&] {
    for (const std::string& key : keys) batch.set(key, 1);
    batch.run();
  });
  const double gets = rate([&] {
    std::vector<tandem::Later<std::optional<std::int64_t>>> values;
    for (const std::string& key : keys) values.push_back(batch.get(key));
    batch.run();
    for (const auto& value : values) {
      if (value.get() != 1) throw std::logic_error("a wrong value");
    }
  });
  return {gets, sets};
}

std::vector<double> redis_pipelines(const RedisServer& server) {
  RedisClient client(server.socket());
  const std::vector<std::string> keys = make_keys();
  const double sets = rate([&] {
    for (const std::string& key : keys) {
      client.append(std::array<std::string_view, 3>{"SET", key, "1"});
    }
    for (std::size_t i = 0; i < kBatch; ++i) client.await_reply();
  });
  const double gets = rate([&] {
    for (const std::string& key : keys) client.append(std::array<std::string_view, 2>{"GET", key});
    for (std::size_t i = 0; i < kBatch; ++i) client.await_reply();
  });
  return {gets, sets};
}

void compare_batches() {
  bench::Comparison comparison{
      .work = "manager, 64 operations in one trip",
      .metrics = {{"dict get, M/s"}, {"dict set, M/s"}},
      .candidates = {{"tandem", false, tandem_batches}},
      .reaches = {{"tandem", "Redis", 2, 2, 0}, {"tandem", "Redis", 2, 2, 1}}};
  if (const auto* const server = RedisServer::common()) {
    comparison.candidates.push_back(
        {"Redis pipelined", true, [=] { return redis_pipelines(*server); }});
    for (bench::Reach& reach : comparison.reaches) reach.peer = "Redis pipelined";
  }
  bench::compare(comparison);
}

// --- many clients ---

constexpr std::size_t kClients = 8;
constexpr double kSeconds = 0.5;

/// Every client calls all the time. \returns millions of calls a second of all together, and the
/// share of the slowest in multiples of an equal one
std::vector<double> at_once(std::size_t clients,
                            const std::function<std::function<void()>()>& connect) {
  struct Counts {
    std::array<double, kClients> calls;
  };
  const bench::Shared<Counts> counts;
  std::vector<std::function<void()>> bodies;
  for (std::size_t i = 0; i < clients; ++i) {
    bodies.emplace_back([&, i] {
      const std::function<void()> call = connect();
      std::size_t calls = 0;
      const bench::Clock::time_point start = bench::Clock::now();
      for (; bench::seconds_since(start) < kSeconds; ++calls) call();
      counts->calls.at(i) = static_cast<double>(calls);
    });
  }
  bench::run_together(bodies);
  double all = 0;
  double least = counts->calls[0];
  for (std::size_t i = 0; i < clients; ++i) {
    all += counts->calls.at(i);
    least = std::min(least, counts->calls.at(i));
  }
  return {all / kSeconds / 1e6, least * static_cast<double>(clients) / all};
}

std::vector<double> tandem_at_once(std::size_t clients) {
  tandem::Manager manager;
  const Dict dict = manager.dict<std::string, std::int64_t>({{"key", 0}});
  return at_once(clients, [&]() -> std::function<void()> {
    return [&] { static_cast<void>(dict.at("key")); };
  });
}

std::vector<double> redis_at_once(const RedisServer& server) {
  return at_once(kClients, [&]() -> std::function<void()> {
    const auto client = std::make_shared<RedisClient>(server.socket());
    client->set("key", "0");
    return [client] { client->get("key"); };
  });
}

void compare_clients() {
  bench::Comparison comparison{
      .work = "manager, 8 clients that get all the time",
      .metrics = {{"M/s together"}, {"share of the slowest"}},
      .candidates = {{"8 clients", false, [] { return tandem_at_once(kClients); }},
                     {"one client", true, [] { return tandem_at_once(1); }}},
      .reaches = {{"8 clients", "one client", 0.4, 0.4, 0},
                  {"8 clients", "one client", 0.5, 0.5, 1}}};
  if (const auto* const server = RedisServer::common()) {
    comparison.candidates.push_back(
        {"Redis, 8 clients", true, [=] { return redis_at_once(*server); }});
  }
  bench::compare(comparison);
}

// --- making objects ---

std::vector<double> tandem_creations() {
  constexpr std::size_t kObjects = 5000;
  tandem::Manager manager;
  std::vector<Dict> kept;
  kept.reserve(kObjects);
  const double kept_us =
      p50_us(kObjects, [&] { kept.push_back(manager.dict<std::string, std::int64_t>()); });
  const double let_go_us =
      p50_us(kObjects, [&] { static_cast<void>(manager.dict<std::string, std::int64_t>()); });
  return {kept_us, let_go_us};
}

void compare_creations() {
  bench::Comparison comparison{
      .work = "manager, make a dict",
      .metrics = {{"p50, us", false}, {"with its end, p50, us", false}},
      .candidates = {{"tandem", false, tandem_creations},
                     {"the bar", true,
                      [] {
                        return std::vector<double>{20, 20};
                      }}},
      .reaches = {{"tandem", "the bar", 1, 1, 0}, {"tandem", "the bar", 1, 1, 1}}};
  bench::add_python_peer(comparison, "Python", "python_manager.py", "create 200");
  bench::compare(comparison);
}

}  // namespace

/// Those of the comparisons that are named, else all.
int main(int argc, char** argv) {
  tandem::init(argc, argv);
  compare_calls();
  compare_batches();
  compare_clients();
  compare_creations();
}
