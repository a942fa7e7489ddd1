// How much faster the example `digest` is with two processes, beside two bare forks over the same
// files.
//
//   digest_bench DIRECTORY
#include <fcntl.h>
#include <openssl/evp.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "harness.hpp"

namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_below(const std::string& directory) {
  std::vector<std::string> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    if (!entry.is_symlink() && entry.is_regular_file()) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Every `step`th file from `first` on.
void hash(const std::vector<std::string>& files, std::size_t first, std::size_t step) {
  const std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> sha256(
      EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  std::vector<char> buffer(128 * 1024);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  for (std::size_t i = first; i < files.size(); i += step) {
    const int file = open(files[i].c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    EVP_DigestInit_ex(context.get(), sha256.get(), nullptr);
    for (ssize_t n = 0; (n = read(file, buffer.data(), buffer.size())) > 0;) {
      EVP_DigestUpdate(context.get(), buffer.data(), static_cast<std::size_t>(n));
    }
    EVP_DigestFinal_ex(context.get(), digest.data(), nullptr);
    close(file);
  }
}

void bare_forks(const std::vector<std::string>& files, std::size_t processes) {
  std::vector<pid_t> children;
  for (std::size_t i = 0; i < processes; ++i) {
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("fork failed");
    if (child == 0) {
      hash(files, i, processes);
      _exit(0);
    }
    children.push_back(child);
  }
  for (pid_t child : children) waitpid(child, nullptr, 0);
}

void digest(const char* processes, std::string directory) {
  std::string program = TANDEM_BENCH_DIGEST;
  std::string option = "--processes";
  std::string number = processes;
  char* const arguments[] = {program.data(), option.data(), number.data(), directory.data(),
                             nullptr};
  posix_spawn_file_actions_t silent;
  posix_spawn_file_actions_init(&silent);
  posix_spawn_file_actions_addopen(&silent, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&silent, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  int status = 0;
  if (posix_spawn(&child, program.c_str(), &silent, nullptr, arguments, environ) != 0 ||
      waitpid(child, &status, 0) != child || status != 0) {
    throw std::runtime_error("digest failed");
  }
  posix_spawn_file_actions_destroy(&silent);
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  const std::string directory = argc > 1 ? argv[1] : "/usr/include";
  const std::vector<std::string> files = files_below(directory);

  const std::vector<std::pair<const char*, std::function<void()>>> candidates = {
      {"this process", [&] { hash(files, 0, 1); }},
      {"one bare fork", [&] { bare_forks(files, 1); }},
      {"two bare forks", [&] { bare_forks(files, 2); }},
      {"digest --processes 0", [&] { digest("0", directory); }},
      {"digest --processes 1", [&] { digest("1", directory); }},
      {"digest --processes 2", [&] { digest("2", directory); }},
  };
  std::vector<std::vector<double>> seconds(candidates.size());
  for (int round = -1; round < 9; ++round) {  // the first warms up
    for (std::size_t c = 0; c < candidates.size(); ++c) {
      const bench::Clock::time_point start = bench::Clock::now();
      candidates[c].second();
      if (round >= 0) seconds[c].push_back(bench::seconds_since(start));
    }
  }
  std::printf("\nSHA-256 of %zu files below %s, seconds, median of %zu\n", files.size(),
              directory.c_str(), seconds[0].size());
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    std::printf("  %-24s %8.3f\n", candidates[c].first, bench::median(seconds[c]));
  }
  const double bare = bench::median(seconds[1]) / bench::median(seconds[2]);
  const double in_process = bench::median(seconds[3]) / bench::median(seconds[5]);
  const double one_worker = bench::median(seconds[4]) / bench::median(seconds[5]);
  std::printf("  speed-up of two bare forks over one       %6.2f\n", bare);
  std::printf("  speed-up of digest, 2 over 0 processes    %6.2f   %.2f of the forks'\n",
              in_process, in_process / bare);
  std::printf("  speed-up of digest, 2 over 1 processes    %6.2f   %.2f of the forks'\n",
              one_worker, one_worker / bare);
}
