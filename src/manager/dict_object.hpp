// A dict of encoded keys and values, found by key and kept in the order in which the keys came.
//
// Among many keys all memory is cold, so what a look-up costs is how many places it touches. It
// touches two: one bucket and one entry.
//
// 1. A key and its value are one block of memory, a DictEntry. It stays where it is until its value
//    is set to one of another size, or its key goes.
// 2. A bucket is a cache line of hashes and pointers. Nothing but the entry wanted is looked into,
//    nearly always, and growing looks into none.
// 3. An entry is in the first bucket, from that of its hash on, that had a place when it came.
//    `passed` counts those that found their place beyond a bucket, so a look-up knows where to stop
//    and what is taken out leaves no mark.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "manager/caller.hpp"
#include "manager/slabs.hpp"
#include "os/huge_pages.hpp"

namespace tandem::detail {

/// In front of the bytes of a key and a value.
class DictEntry {
 public:
  DictEntry(const DictEntry&) = delete;
  DictEntry& operator=(const DictEntry&) = delete;

  [[nodiscard]] std::string_view key() const noexcept { return {bytes(), key_size_}; }
  [[nodiscard]] std::string_view value() const noexcept { return {bytes() + key_size_, size_}; }
  [[nodiscard]] const References& references() const noexcept { return references_; }
  /// The one whose key came next; null: none did.
  [[nodiscard]] const DictEntry* newer() const noexcept { return newer_; }

  /// Whether a value of that size goes where the present one is.
  [[nodiscard]] bool has_room_for(std::size_t size) const noexcept {
    return block_bytes(key_size_, size) == block_bytes(key_size_, size_);
  }
  /// Takes a value for which there is room. \returns what the one before referred to
  References exchange(ArrivingValue value) noexcept;

 private:
  friend class DictObject;

  DictEntry(std::string_view key, ArrivingValue value) noexcept;
  ~DictEntry() = default;

  [[nodiscard]] static std::size_t block_bytes(std::size_t key, std::size_t value) noexcept {
    constexpr std::size_t kUnit = 16;
    return (sizeof(DictEntry) + key + value + kUnit - 1) / kUnit * kUnit;
  }
  [[nodiscard]] const char* bytes() const noexcept {
    return reinterpret_cast<const char*>(this + 1);
  }
  [[nodiscard]] char* bytes() noexcept { return reinterpret_cast<char*>(this + 1); }

  DictEntry* older_ = nullptr;
  DictEntry* newer_ = nullptr;
  References references_;
  std::size_t key_size_;
  std::size_t size_;
};

class DictObject {
 public:
  struct Free {
    void operator()(DictEntry* entry) const noexcept;
  };
  using Block = std::unique_ptr<DictEntry, Free>;

  DictObject() = default;
  DictObject(const DictObject&) = delete;
  DictObject& operator=(const DictObject&) = delete;
  ~DictObject();

  [[nodiscard]] DictEntry* find(std::string_view key) const noexcept;
  /// An entry of no dict yet.
  [[nodiscard]] static Block make(Slabs& memory, std::string_view key, ArrivingValue value);
  /// Before up to so many keys are put that are not there.
  void reserve(std::size_t more);
  /// Puts it in, or its value where its key is. \returns what the value before referred to
  References put(Block fresh) noexcept;
  /// Takes it out.
  Block take(DictEntry& entry) noexcept;

  [[nodiscard]] DictEntry* oldest() const noexcept { return oldest_; }
  [[nodiscard]] DictEntry* newest() const noexcept { return newest_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  using Hash = std::uint32_t;
  static constexpr std::size_t kPlaces = 5;
  static constexpr std::size_t kFilled = 4;  // of them, on average, when it is time to grow

  struct alignas(64) Bucket {
    Hash hashes[kPlaces] = {};
    std::uint32_t passed = 0;
    DictEntry* entries[kPlaces] = {};  // null: a place that is empty
  };
  static_assert(sizeof(Bucket) == 64 || sizeof(void*) != 8);

  [[nodiscard]] static Hash hash_of(std::string_view key) noexcept;
  /// \returns where the pointer to it is; null when it is not there
  [[nodiscard]] DictEntry** locate(std::string_view key, Hash hash) const noexcept;
  [[nodiscard]] std::size_t home(Hash hash) const noexcept { return hash & (buckets_.size() - 1); }
  [[nodiscard]] std::size_t after(std::size_t bucket) const noexcept {
    return (bucket + 1) & (buckets_.size() - 1);
  }
  void place(DictEntry* entry, Hash hash) noexcept;
  void chain(DictEntry& entry) noexcept;

  mutable std::vector<Bucket, os::HugePageAllocator<Bucket>>
      buckets_;  // a power of two of them, or none
  std::size_t size_ = 0;
  DictEntry* oldest_ = nullptr;
  DictEntry* newest_ = nullptr;
};

}  // namespace tandem::detail
