// The lines of every file below a directory, counted by a pool, with a progress bar.
//
//   directory_walk [DIRECTORY]    the current one if none is named
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <tuple>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

namespace fs = std::filesystem;
using File = std::tuple<fs::path, std::uintmax_t>;

std::uint64_t count_lines(const fs::path& path, std::uintmax_t size) {
  if (size == 0) return 0;
  std::ifstream file(path, std::ios::binary);
  return static_cast<std::uint64_t>(
      std::count(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>(), '\n'));
}

std::vector<File> files_below(const fs::path& directory) {
  std::vector<File> files;
  for (const fs::directory_entry& entry :
       fs::recursive_directory_iterator(directory, fs::directory_options::skip_permission_denied)) {
    if (entry.is_regular_file() && !entry.is_symlink()) {
      files.emplace_back(entry.path(), entry.file_size());
    }
  }
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  const fs::path directory = argc > 1 ? argv[1] : ".";
  const std::vector<File> files = files_below(directory);

  tandem::Pool pool;
  auto counting = pool.with({.progress = {.enabled = true, .label = "count"}});
  std::uint64_t lines = 0;
  for (const std::uint64_t n : counting.istarmap(count_lines, files)) lines += n;
  std::cout << lines << " lines in " << files.size() << " files\n";

  std::uint64_t expected = 0;
  for (const auto& [path, size] : files) expected += count_lines(path, size);
  if (files.empty() || lines != expected) {
    std::cerr << "expected " << expected << " lines, as one process counts\n";
    return 1;
  }
}
