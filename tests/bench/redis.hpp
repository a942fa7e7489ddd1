// A Redis server of a benchmark's own, at a unix socket in a directory of its own, for the
// benchmarks of Manager.
#pragma once

#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include "harness.hpp"

#ifdef TANDEM_BENCH_REDIS
#include <hiredis/hiredis.h>
#endif

namespace bench {

#ifdef TANDEM_BENCH_REDIS

class RedisClient {
 public:
  explicit RedisClient(const std::string& socket)
      : context_(redisConnectUnix(socket.c_str()), redisFree) {
    if (!context_ || context_->err != 0) throw std::runtime_error("no Redis server there");
  }
  /// One command and its reply.
  void call(std::span<const std::string_view> words) {
    append(words);
    await_reply();
  }
  void get(std::string_view key) { call(std::array<std::string_view, 2>{"GET", key}); }
  void set(std::string_view key, std::string_view value) {
    call(std::array<std::string_view, 3>{"SET", key, value});
  }
  /// The same in two halves, as often as one likes in between.
  void append(std::span<const std::string_view> words) {
    std::array<const char*, 4> texts = {};
    std::array<std::size_t, 4> sizes = {};
    for (std::size_t i = 0; i < words.size(); ++i) {
      texts.at(i) = words[i].data();
      sizes.at(i) = words[i].size();
    }
    redisAppendCommandArgv(context_.get(), static_cast<int>(words.size()), texts.data(),
                           sizes.data());
  }
  void await_reply() {
    void* reply = nullptr;
    if (redisGetReply(context_.get(), &reply) != REDIS_OK) {
      throw std::runtime_error("Redis has gone");
    }
    const bool failed = static_cast<redisReply*>(reply)->type == REDIS_REPLY_ERROR;
    freeReplyObject(reply);
    if (failed) throw std::runtime_error("Redis refused a command");
  }

 private:
  std::unique_ptr<redisContext, void (*)(redisContext*)> context_;
};

#else

/// What keeps the benchmarks free of conditions: there is no server, so nobody gets this far.
class RedisClient {
 public:
  explicit RedisClient(const std::string&) {
    throw std::runtime_error("libhiredis-dev was not there when this was built");
  }
  void get(std::string_view) {}
  void set(std::string_view, std::string_view) {}
  void call(std::span<const std::string_view>) {}
  void append(std::span<const std::string_view>) {}
  void await_reply() {}
};

#endif

class RedisServer {
 public:
  /// \throws std::runtime_error when there is none to be had
  RedisServer() {
    process_.start();
    for (;;) {
      try {
        const RedisClient client(socket());
        return;
      } catch (const std::runtime_error&) {
#ifndef TANDEM_BENCH_REDIS
        throw;
#endif
      }
      if (process_.join_for(std::chrono::milliseconds(10))) {
        throw std::runtime_error("there is no redis-server");
      }
    }
  }
  [[nodiscard]] std::string socket() const { return directory_.path + "/socket"; }
  [[nodiscard]] int pid() const { return process_.pid(); }

  /// One for all benchmarks of a program; null, and that is said once, when there is none.
  [[nodiscard]] static const RedisServer* common() {
    static const std::unique_ptr<RedisServer> server = [] {
      try {
        return std::make_unique<RedisServer>();
      } catch (const std::runtime_error& error) {
        std::printf("(skipped: Redis, %s)\n", error.what());
        return std::unique_ptr<RedisServer>();
      }
    }();
    return server.get();
  }

 private:
  struct Directory {
    Directory() : path((std::filesystem::temp_directory_path() / "tandem-bench-XXXXXX").string()) {
      if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary directory");
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    std::string path;
  };
  static void become_redis(const std::string& directory) {
    const std::string socket = directory + "/socket";
    const std::string log = directory + "/log";
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket.c_str(), "--dir",
           directory.c_str(), "--logfile", log.c_str(), "--save", "", "--appendonly", "no",
           "--daemonize", "no", static_cast<char*>(nullptr));
    _exit(127);
  }

  Directory directory_;
  tandem::Process process_{{.name = {}, .daemon = true, .start_method = tandem::start::fork},
                           become_redis,
                           directory_.path};
};

}  // namespace bench
