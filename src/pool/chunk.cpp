#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "pool/progress.hpp"
#include "tandem/detail/pool_chunk.hpp"
#include "tandem/detail/pool_core.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

std::uint64_t TaskCall::identity() const noexcept {
  // FNV-1a
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&hash](std::uint64_t value) { hash = (hash ^ value) * 0x100000001b3u; };
  add(thunk.place.module);
  add(thunk.place.offset);
  for (const std::byte b : callable.bytes().first(std::min<std::size_t>(callable.size(), 64))) {
    add(static_cast<std::uint64_t>(b));
  }
  return hash;
}

Chunk::Chunk(const TaskCall& call, std::size_t first_index) : first_index_(first_index) {
  ChunkHeader header{};
  header.thunk = call.thunk;
  header.callable_size = call.callable.size();
  message_.bytes.append(&header, sizeof(header));
  message_.bytes.append(call.callable.data(), call.callable.size());
  message_.descriptors.reserve(call.descriptors.size());
  for (const Fd& fd : call.descriptors) message_.descriptors.push_back(fd.duplicate());
  size_bytes_ = message_.bytes.size();
}

void Chunk::add_encoded(std::span<const std::byte> element, std::vector<Fd> descriptors,
                        bool gives_away) {
  const std::uint64_t size = element.size();
  size_bytes_ += sizeof(size) + size;
  message_.bytes.append(&size, sizeof(size));
  message_.bytes.append(element.data(), element.size());
  for (Fd& fd : descriptors) message_.descriptors.push_back(std::move(fd));
  gives_away_ = gives_away_ || gives_away;
  ++count_;
}

void Chunk::roll_back(Mark to) noexcept {
  const auto drop = [](auto& all, std::size_t kept) {
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(kept), all.end());
  };
  message_.bytes.truncate(to.bytes);
  drop(message_.descriptors, to.descriptors);
  drop(message_.blocks, to.blocks);
}

void Chunk::finish_element(Mark start) noexcept {
  Buffer& bytes = message_.bytes;
  std::uint64_t size = bytes.size() - start.bytes - sizeof(std::uint64_t);
  for (std::size_t i = start.blocks; i < message_.blocks.size(); ++i) {
    size += message_.blocks[i].bytes.size();
  }
  std::memcpy(bytes.data() + start.bytes, &size, sizeof(size));
  size_bytes_ += sizeof(size) + size;
  ++count_;
}

bool Chunk::divisible() const noexcept { return batch_->options_.chunksize == 0; }

std::unique_ptr<Chunk> Chunk::split(std::uint32_t first) {
  // The elements' descriptors are numbered from the first of the chunk on.
  const std::vector<Fd>& descriptors = spare_.empty() ? message_.descriptors : spare_;
  const std::span<const std::byte> bytes = message_.bytes.bytes();
  std::size_t end = sizeof(ChunkHeader) + batch_->call().callable.size();
  for (std::uint32_t i = 0; i < first; ++i) {
    std::uint64_t size = 0;
    std::memcpy(&size, bytes.data() + end, sizeof(size));
    end += sizeof(size) + size;
  }
  std::unique_ptr<Chunk> rest;
  try {
    rest = std::make_unique<Chunk>(batch_->call(), first_index_ + first);
    for (std::size_t i = rest->message_.descriptors.size(); i < descriptors.size(); ++i) {
      rest->message_.descriptors.push_back(descriptors[i].duplicate());
    }
    const std::size_t front = rest->message_.bytes.size();
    rest->message_.bytes.append(bytes.data() + end, bytes.size() - end);
    rest->message_.blocks = message_.blocks;  // they are its last element's
    for (Block& block : rest->message_.blocks) block.at += front - end;
    rest->size_bytes_ += size_bytes_ - end;
  } catch (const SystemError&) {
    return nullptr;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  rest->first_task_ = first_task_ + first;
  rest->count_ = count_ - first;
  rest->gives_away_ = gives_away_;
  rest->batch_ = batch_;
  rest->cancelled_ = cancelled_;
  message_.bytes.truncate(end);
  message_.blocks.clear();
  size_bytes_ = end;
  count_ = first;
  return rest;
}

void PoolMessage::await_all() {
  if (rest == nullptr) return;
  Decoder from = decoder(Route::process);
  std::byte* to = bytes.assign(from.left());
  from.visit(from.left(), [&to](std::span<const std::byte> piece) {
    std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  });
}

void PoolMessage::save(Encoder& to) const { to.write(bytes.data(), bytes.size()); }

void PoolMessage::load(Decoder& from) {
  const std::span<const std::byte> all = from.take(from.left());
  bytes.clear();
  bytes.append(all.data(), all.size());
}

PoolBatch::PoolBatch(std::string_view name, TaskCall call, TaskOptions options,
                     std::optional<std::size_t> total)
    : name_(name), call_(std::move(call)), options_(std::move(options)), total_(total) {}

PoolBatch::~PoolBatch() = default;

std::unique_ptr<Chunk> PoolBatch::carve(std::size_t) { return nullptr; }

}  // namespace tandem::detail
