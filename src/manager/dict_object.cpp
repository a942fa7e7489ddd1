#include "manager/dict_object.hpp"

#include <algorithm>
#include <bit>
#include <functional>
#include <new>
#include <utility>

namespace tandem::detail {

namespace {

/// All lines of a small entry at once. Else those of the value would be asked for only when that of
/// the sizes is there.
void fetch(const DictEntry* entry) noexcept {
  const auto* const bytes = reinterpret_cast<const char*>(entry);
  for (std::size_t line = 0; line < 256; line += 64) __builtin_prefetch(bytes + line);
}

}  // namespace

// --- entries ---

DictEntry::DictEntry(std::string_view key, ArrivingValue value) noexcept
    : references_(std::move(value.references)), key_size_(key.size()), size_(value.bytes.size()) {
  std::copy_n(key.data(), key.size(), bytes());
  std::copy_n(reinterpret_cast<const char*>(value.bytes.data()), size_, bytes() + key_size_);
}

References DictEntry::exchange(ArrivingValue value) noexcept {
  size_ = value.bytes.size();
  std::copy_n(reinterpret_cast<const char*>(value.bytes.data()), size_, bytes() + key_size_);
  return std::exchange(references_, std::move(value.references));
}

DictObject::Block DictObject::make(Slabs& memory, std::string_view key, ArrivingValue value) {
  void* const block = memory.allocate(DictEntry::block_bytes(key.size(), value.bytes.size()));
  return Block(new (block) DictEntry(key, std::move(value)));
}

void DictObject::Free::operator()(DictEntry* entry) const noexcept {
  const std::size_t bytes = DictEntry::block_bytes(entry->key_size_, entry->size_);
  entry->~DictEntry();
  Slabs::free(entry, bytes);
}

// --- the dict ---

DictObject::~DictObject() {
  while (oldest_ != nullptr) Block(std::exchange(oldest_, oldest_->newer_));
}

DictObject::Hash DictObject::hash_of(std::string_view key) noexcept {
  return static_cast<Hash>(std::hash<std::string_view>()(key));
}

DictEntry* DictObject::find(std::string_view key) const noexcept {
  DictEntry** const there = locate(key, hash_of(key));
  return there == nullptr ? nullptr : *there;
}

DictEntry** DictObject::locate(std::string_view key, Hash hash) const noexcept {
  std::size_t at = home(hash);
  for (std::size_t n = buckets_.size(); n > 0; --n, at = after(at)) {
    Bucket& bucket = buckets_[at];
    for (std::size_t i = 0; i < kPlaces; ++i) {
      if (bucket.hashes[i] != hash || bucket.entries[i] == nullptr) continue;
      fetch(bucket.entries[i]);
      if (bucket.entries[i]->key() == key) return &bucket.entries[i];
    }
    if (bucket.passed == 0) return nullptr;
  }
  return nullptr;
}

void DictObject::reserve(std::size_t more) {
  const std::size_t least = (size_ + more + kFilled - 1) / kFilled;
  if (least <= buckets_.size()) return;
  decltype(buckets_) fewer(std::bit_ceil(least));
  fewer.swap(buckets_);
  for (const Bucket& bucket : fewer) {
    for (std::size_t i = 0; i < kPlaces; ++i) {
      if (bucket.entries[i] != nullptr) place(bucket.entries[i], bucket.hashes[i]);
    }
  }
}

void DictObject::place(DictEntry* entry, Hash hash) noexcept {
  for (std::size_t at = home(hash);; at = after(at)) {
    Bucket& bucket = buckets_[at];
    const auto empty = std::find(std::begin(bucket.entries), std::end(bucket.entries), nullptr);
    if (empty != std::end(bucket.entries)) {
      *empty = entry;
      bucket.hashes[empty - std::begin(bucket.entries)] = hash;
      return;
    }
    ++bucket.passed;
  }
}

References DictObject::put(Block fresh) noexcept {
  const Hash hash = hash_of(fresh->key());
  DictEntry** const there = locate(fresh->key(), hash);
  if (there == nullptr) {
    place(fresh.get(), hash);
    fresh->older_ = newest_;
    chain(*fresh.release());
    ++size_;
    return nullptr;
  }
  if ((*there)->has_room_for(fresh->value().size())) {
    return (*there)->exchange(
        {std::as_bytes(std::span(fresh->value())), std::move(fresh->references_)});
  }
  const Block old(std::exchange(*there, fresh.get()));
  fresh->older_ = old->older_;
  fresh->newer_ = old->newer_;
  chain(*fresh.release());
  return std::move(old->references_);
}

/// Makes its neighbours' pointers agree with its own.
void DictObject::chain(DictEntry& entry) noexcept {
  (entry.older_ != nullptr ? entry.older_->newer_ : oldest_) = &entry;
  (entry.newer_ != nullptr ? entry.newer_->older_ : newest_) = &entry;
}

DictObject::Block DictObject::take(DictEntry& entry) noexcept {
  const Hash hash = hash_of(entry.key());
  std::size_t at = home(hash);
  for (;; at = after(at)) {
    DictEntry** const end = std::end(buckets_[at].entries);
    DictEntry** const there = std::find(std::begin(buckets_[at].entries), end, &entry);
    if (there != end) {
      *there = nullptr;
      break;
    }
    --buckets_[at].passed;
  }
  (entry.older_ != nullptr ? entry.older_->newer_ : oldest_) = entry.newer_;
  (entry.newer_ != nullptr ? entry.newer_->older_ : newest_) = entry.older_;
  entry.older_ = entry.newer_ = nullptr;
  if (--size_ == 0) buckets_ = {};
  return Block(&entry);
}

}  // namespace tandem::detail
