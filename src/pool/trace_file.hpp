// A file that grows and is whole all the while: what comes before, the records, what comes after.
//
// 1. The file is head + records + tail whenever it is not being written: each write puts new records
//    over the old tail, and the tail behind them.
// 2. A write that fails is the last: the file is left as it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "tandem/detail/fd.hpp"

namespace tandem::detail {

class TraceFile {
 public:
  /// \throws SystemError when it cannot be written
  TraceFile(const std::filesystem::path& path, std::string_view head, std::string tail);

  /// Where the next record is to be appended.
  [[nodiscard]] std::string& records() noexcept { return records_; }
  /// After a record: writes when there are many, or the last writing is a while ago.
  /// \param now_ns about the time, from where records come
  void appended(std::uint64_t now_ns);
  /// Writes what is there. Failure is logged, once.
  void flush() noexcept;

 private:
  std::string path_;
  Fd file_;
  std::size_t end_ = 0;  // of the records in the file
  std::string records_;  // not written yet
  std::string tail_;
  std::uint64_t written_ns_ = 0;
};

/// Appends the text as the inside of a JSON string that may stand in an HTML script: valid UTF-8,
/// nothing that HTML could take for a tag. Longer ones are cut.
void append_json_text(std::string& to, std::string_view text);
void append_number(std::string& to, std::uint64_t number);
/// In microseconds, with three decimals.
void append_micros(std::string& to, std::uint64_t ns);

}  // namespace tandem::detail
