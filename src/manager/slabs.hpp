// Memory for a great many small blocks, which are read here and there.
//
// 1. A chunk is as large and as aligned as a huge page. It is cut into slabs; the first begins with
//    the chunk's header. So a block's address says which chunk and which slab it is in.
// 2. A slab has blocks of one size. When the last of them is freed it may get those of another
//    size, and when all slabs of a chunk are in that state the chunk is given back: whatever sizes
//    there once were, what is kept is in proportion to what is used.
// 3. A slab with room is in the list of its size; a slab without blocks in the list of empty ones.
#pragma once

#include <array>
#include <cstddef>

namespace tandem::detail {

/// For one thread at a time.
class Slabs {
 public:
  Slabs() = default;
  Slabs(const Slabs&) = delete;
  Slabs& operator=(const Slabs&) = delete;
  /// All blocks were freed.
  ~Slabs();

  /// Aligned for every type. Larger ones than kMost come from `operator new`.
  [[nodiscard]] void* allocate(std::size_t bytes);
  /// \param bytes as it was allocated with
  static void free(void* block, std::size_t bytes) noexcept;

  static constexpr std::size_t kMost = 1024;

 private:
  static constexpr std::size_t kUnit = 16;
  static constexpr std::size_t kSlabBytes = std::size_t{64} << 10;

  struct Chunk;
  struct Slab {
    Slab* previous = nullptr;
    Slab* next = nullptr;
    void* freed = nullptr;        // a list through the blocks themselves
    std::size_t block_bytes = 0;  // 0: without blocks
    std::size_t used = 0;
    std::size_t begun = 0;  // so many were in use at one time; those beyond were never touched
    std::size_t blocks = 0;
  };
  struct List {
    void push(Slab& slab) noexcept;
    void remove(Slab& slab) noexcept;
    Slab* first = nullptr;
  };

  [[nodiscard]] Slab& empty_slab();
  void emptied(Chunk& chunk, Slab& slab) noexcept;

  std::array<List, kMost / kUnit> with_room_;
  List empty_;
  std::size_t chunks_ = 0;
};

}  // namespace tandem::detail
