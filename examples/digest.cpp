// SHA-256 of every regular file below a directory, as sha256sum prints it, computed by a pool of
// processes.
//
//   digest [--processes N] DIRECTORY     one for each CPU by default; 0 = no others than this one
//
// Digests go to stdout, sorted by path; progress, complaints and the largest kinds of files to
// stderr. Exit code: 0; 1 if anything could not be read or written; 2 for a wrong command line.
#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

using Sha256 = std::array<unsigned char, 32>;
using Line = std::pair<std::string, std::optional<Sha256>>;  // nothing: a complaint was put instead

struct Sum {
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
};
void add(Sum& sum, const Sum& more) {
  sum.bytes += more.bytes;
  sum.files += more.files;
}

using Complaints = tandem::Queue<std::string>;
using Totals = tandem::DictProxy<std::string, Sum>;  // by file name extension

// ---- What runs in the workers

std::string extension_of(const std::string& path) {
  const std::size_t name = path.rfind('/') + 1;
  const std::size_t dot = path.rfind('.');
  return dot == std::string::npos || dot <= name ? std::string() : path.substr(dot);
}

class Reader {
 public:
  Reader(Complaints complaints, Totals totals)
      : complaints_(std::move(complaints)), totals_(std::move(totals)) {}

  Line digest(std::string path) {
    try {
      Sha256 hash;
      add(sums_[extension_of(path)], {.bytes = read(path, hash), .files = 1});
      if (++unmerged_ == 4096) merge();
      return {std::move(path), hash};
    } catch (const std::system_error& error) {
      complaints_.put(path + ": " + error.code().message());
      return {std::move(path), std::nullopt};
    }
  }

  // A trip to the manager for each file would cost more than the small ones do.
  void merge() {
    auto trip = totals_.batch();
    for (const auto& [extension, sum] : sums_) {
      trip.insert(extension, {});
      trip.apply(extension, add, sum);
    }
    trip.run();
    sums_.clear();
    unmerged_ = 0;
  }

 private:
  struct File {
    int descriptor;
    ~File() { close(descriptor); }
  };
  [[noreturn]] static void fail(int error) {
    throw std::system_error(error, std::generic_category());
  }

  std::uint64_t read(const std::string& path, Sha256& hash) {
    // What was a regular file when it was found may be a link or a pipe by now.
    const File file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
    struct stat status = {};
    if (file.descriptor < 0 || fstat(file.descriptor, &status) != 0) fail(errno);
    if (!S_ISREG(status.st_mode)) fail(EINVAL);

    std::uint64_t bytes = 0;
    EVP_DigestInit_ex(context_.get(), algorithm_.get(), nullptr);
    for (;;) {
      const ssize_t n = ::read(file.descriptor, buffer_.data(), buffer_.size());
      if (n < 0) fail(errno);
      if (n == 0) break;
      EVP_DigestUpdate(context_.get(), buffer_.data(), static_cast<std::size_t>(n));
      bytes += static_cast<std::uint64_t>(n);
    }
    EVP_DigestFinal_ex(context_.get(), hash.data(), nullptr);
    return bytes;
  }

  Complaints complaints_;
  Totals totals_;
  std::map<std::string, Sum> sums_;  // since the last merge
  int unmerged_ = 0;
  std::vector<char> buffer_ = std::vector<char>(128 * 1024);
  std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> algorithm_{
      EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_free};
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free};
};

std::optional<Reader> reader;
void begin(Complaints complaints, Totals totals) { reader.emplace(complaints, totals); }
Line digest(std::string path) { return reader->digest(std::move(path)); }
void end() { reader->merge(); }

// ---- What runs in the parent

int failures = 0;
void complain(const std::string& text) {
  std::cerr << "digest: " << text << '\n';
  ++failures;
}

// Links are not followed.
unsigned char kind_of(const dirent& entry, const std::string& path) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type;
  struct stat status = {};
  if (lstat(path.c_str(), &status) != 0) return DT_UNKNOWN;  // gone
  return static_cast<unsigned char>(IFTODT(status.st_mode));
}

/// Finds the regular files below a directory, in a thread of its own, while the pool starts and is at
/// work on those found first. An input range, to be read once.
class Walk {
 public:
  explicit Walk(std::string root)
      : thread_([this, root = std::move(root)](const std::stop_token& stop) { walk(root, stop); }) {
  }

  class iterator {
   public:
    using value_type = std::string;
    using difference_type = std::ptrdiff_t;
    explicit iterator(Walk& walk) : walk_(&walk) { ++*this; }
    const std::string& operator*() const { return walk_->taken_[walk_->position_]; }
    iterator& operator++() {
      walk_->advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const {
      return walk_->position_ == walk_->taken_.size();
    }

   private:
    Walk* walk_;
  };
  iterator begin() { return iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

  /// How many files there are; nothing until all are found.
  std::optional<std::size_t> total() const {
    const std::lock_guard lock(mutex_);
    return ended_ ? std::optional(count_) : std::nullopt;
  }
  /// About directories that could not be read. To be called when all is read.
  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  void advance() {
    if (++position_ < taken_.size()) return;
    std::unique_lock lock(mutex_);
    more_.wait(lock, [this] { return ended_ || !found_.empty(); });
    taken_ = std::exchange(found_, {});
    position_ = 0;
    if (taken_.empty() && error_ != nullptr) std::rethrow_exception(error_);
  }

  void walk(const std::string& root, const std::stop_token& stop) {
    std::exception_ptr error;
    try {
      std::vector<std::string> directories{root};
      while (!directories.empty() && !stop.stop_requested()) {
        const std::string directory = std::move(directories.back());
        directories.pop_back();
        hand_over(files_in(directory, directories));
      }
    } catch (...) {  // no memory: thrown where the names are read
      error = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    error_ = error;
    ended_ = true;
    more_.notify_one();
  }

  void hand_over(std::vector<std::string> files) {
    if (files.empty()) return;
    const std::lock_guard lock(mutex_);
    count_ += files.size();
    if (found_.empty()) {
      found_ = std::move(files);
      more_.notify_one();
    } else {
      std::move(files.begin(), files.end(), std::back_inserter(found_));
    }
  }

  std::vector<std::string> files_in(const std::string& directory,
                                    std::vector<std::string>& directories) {
    std::vector<std::string> files;
    const auto known = static_cast<std::ptrdiff_t>(directories.size());
    const auto refused = [&] {
      complaints_.push_back(directory + ": " + std::generic_category().message(errno));
    };
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(directory.c_str()), closedir);
    if (entries == nullptr) {
      refused();
      return files;
    }
    const dirent* entry = nullptr;
    while (errno = 0, (entry = readdir(entries.get())) != nullptr) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      std::string path = directory;
      if (path.back() != '/') path += '/';
      path += name;
      switch (kind_of(*entry, path)) {
        case DT_DIR:
          directories.push_back(std::move(path));
          break;
        case DT_REG:
          files.push_back(std::move(path));
          break;
      }
    }
    if (errno != 0) refused();
    // Nearly the order of the output, which is sorted the sooner.
    std::sort(files.begin(), files.end());
    std::sort(directories.begin() + known, directories.end(), std::greater<>());
    return files;
  }

  // The reader's own.
  std::vector<std::string> taken_;
  std::size_t position_ = static_cast<std::size_t>(-1);  // in front of the first

  std::vector<std::string> complaints_;  // the thread's until it has ended
  mutable std::mutex mutex_;             // guards the rest
  std::condition_variable more_;
  std::vector<std::string> found_;
  std::size_t count_ = 0;
  bool ended_ = false;
  std::exception_ptr error_;
  std::jthread thread_;  // the last: ends before the others do
};

std::vector<Line> digest_all(Walk& files, std::size_t processes, const Totals& totals) {
  Complaints complaints;
  std::vector<std::string> said;  // kept until the progress bar is gone
  std::vector<Line> lines;
  const auto take = [&](Line line) {
    if (line.second) {
      lines.push_back(std::move(line));
    } else {
      said.push_back(complaints.get());
    }
  };

  std::optional<tandem::Pool> pool;
  if (processes == 0) {
    begin(complaints, totals);
    for (const std::string& file : files) take(digest(file));
    end();
  } else {
    pool.emplace(tandem::PoolOptions{.processes = processes,
                                     .initializer = tandem::call(begin, complaints, totals),
                                     .finalizer = tandem::call(end)});
    const tandem::ProgressOptions progress{
        .enabled = true, .label = "digest", .total = [&files] { return files.total(); }};
    auto stream = pool->with({.window = 1024, .progress = progress}).imap_unordered(digest, files);
    while (!stream.ended()) {
      try {
        if (std::optional<Line> line = stream.next()) take(*std::move(line));
      } catch (const tandem::WorkerDied& death) {  // and its file with it; the others go on
        said.push_back(death.what());
      }
    }
    pool->close();  // the workers end, and run their finalizers, while the lines are sorted
  }

  for (const std::string& text : files.complaints()) complain(text);
  for (const std::string& text : said) complain(text);
  std::sort(lines.begin(), lines.end());
  return lines;
}

// Names may have line ends in them. As in sha256sum's output.
std::string escaped(std::string_view name) {
  std::string text;
  for (char c : name) {
    switch (c) {
      case '\\':
        text += "\\\\";
        break;
      case '\n':
        text += "\\n";
        break;
      case '\r':
        text += "\\r";
        break;
      default:
        text += c;
    }
  }
  return text;
}

bool needs_escapes(std::string_view name) {
  const auto has = [name](char c) { return name.find(c) != std::string_view::npos; };
  return has('\\') || has('\n') || has('\r');
}

void print(const std::vector<Line>& lines) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  text.reserve(lines.size() * 160);
  for (const auto& [path, hash] : lines) {
    std::array<char, 2 * std::tuple_size_v<Sha256>> digits;
    char* digit = digits.data();
    for (unsigned char byte : *hash) {
      *digit++ = kHex[byte >> 4];
      *digit++ = kHex[byte & 15];
    }
    const bool escapes = needs_escapes(path);
    if (escapes) text += '\\';  // says that this line's name has some
    text.append(digits.data(), digits.size()).append("  ");
    text.append(escapes ? escaped(path) : path).append("\n");
  }
  errno = 0;
  std::cout << text << std::flush;
  if (!std::cout) complain("standard output: " + std::generic_category().message(errno));
}

void print_largest(const Totals& totals, std::size_t files) {
  std::vector<std::pair<std::string, Sum>> sums = totals.items();
  std::sort(sums.begin(), sums.end(),
            [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
  for (const auto& [extension, sum] : sums) files -= sum.files;
  if (files != 0) std::cerr << files << " files are not counted: their worker was killed\n";
  if (sums.size() > 5) sums.resize(5);
  std::cerr << "         bytes     files  extension\n";
  for (const auto& [extension, sum] : sums) {
    std::cerr << std::setw(14) << sum.bytes << std::setw(10) << sum.files << "  "
              << (extension.empty() ? "(none)" : escaped(extension)) << '\n';
  }
}

[[noreturn]] void usage() {
  std::cerr << "usage: digest [--processes N] DIRECTORY\n";
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);

  std::size_t processes = tandem::cpu_count();
  std::vector<std::string_view> arguments(argv + 1, argv + argc);
  auto argument = arguments.begin();
  if (argument != arguments.end() && *argument == "--processes") {
    if (++argument == arguments.end()) usage();
    const char* last = argument->data() + argument->size();
    const auto [parsed, error] = std::from_chars(argument->data(), last, processes);
    if (error != std::errc() || parsed != last) usage();
    ++argument;
  }
  if (arguments.end() - argument != 1) usage();

  try {
    Walk files{std::string(*argument)};
    tandem::Manager manager;
    const Totals totals = manager.dict<std::string, Sum>();
    const std::vector<Line> lines = digest_all(files, processes, totals);
    print(lines);
    print_largest(totals, lines.size());
  } catch (const std::exception& error) {
    complain(error.what());
  }
  return failures == 0 ? 0 : 1;
}
