#include <elf.h>
#include <link.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <string_view>
#include <vector>

#include "tandem/detail/call.hpp"

namespace tandem::detail {
namespace {

struct Segment {
  std::uintptr_t start;
  std::uintptr_t end;
};

struct Module {
  std::uint64_t id;
  std::uintptr_t bias;  // what the loader added to every address in the file
  std::vector<Segment> code;

  [[nodiscard]] bool has_code_at(std::uintptr_t address) const {
    for (const Segment& segment : code) {
      if (address >= segment.start && address < segment.end) return true;
    }
    return false;
  }
};

/// All modules at one moment. Never changed and never freed, since other threads may be reading it;
/// a new one is made only when a module was loaded or unloaded.
struct Modules {
  unsigned long long loaded;
  unsigned long long unloaded;
  std::vector<Module> list;
  const Modules* older;
};

std::atomic<const Modules*> newest_modules{nullptr};

[[nodiscard]] std::string_view bytes_at(std::uintptr_t address, std::size_t n) {
  return {reinterpret_cast<const char*>(address), n};
}

/// \returns 0 when the module was linked without a build id
[[nodiscard]] std::uint64_t hash_build_id(const dl_phdr_info& info, const ElfW(Phdr) & header) {
  const std::uintptr_t start = info.dlpi_addr + header.p_vaddr;
  const std::size_t align = header.p_align == 8 ? 8 : 4;
  const auto aligned = [align](std::size_t n) { return (n + align - 1) & ~(align - 1); };
  std::size_t at = 0;
  while (header.p_memsz - at >= sizeof(ElfW(Nhdr)) && at < header.p_memsz) {
    ElfW(Nhdr) note;
    std::memcpy(&note, reinterpret_cast<const void*>(start + at), sizeof note);
    at += sizeof note;
    const std::size_t name = at;
    const std::size_t value = aligned(name + note.n_namesz);
    const std::size_t end = value + note.n_descsz;
    if (end > header.p_memsz) break;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz != 0 &&
        bytes_at(start + name, 4) == std::string_view("GNU\0", 4)) {
      return hash_text(bytes_at(start + value, note.n_descsz));
    }
    at = aligned(end);
  }
  return 0;
}

/// A build id of our own: everything in the file that is mapped and cannot have been written to.
/// The address sanitizer fences constants off from each other; here they are read as one.
__attribute__((no_sanitize("address"))) std::uint64_t hash_contents(const dl_phdr_info& info) {
  using Word [[gnu::may_alias]] = std::uint64_t;
  std::uint64_t hash = hash_text("no build id");
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info.dlpi_phdr[i];
    if (header.p_type != PT_LOAD || (header.p_flags & PF_W) != 0) continue;
    hash = hash_add(hash, header.p_vaddr);
    hash = hash_add(hash, header.p_filesz);
    if ((header.p_flags & PF_R) == 0) continue;
    // What the loader maps begins and ends with whole pages, so the last word is there in full.
    const std::uintptr_t start = (info.dlpi_addr + header.p_vaddr) & ~(sizeof(Word) - 1);
    const std::uintptr_t end = info.dlpi_addr + header.p_vaddr + header.p_filesz;
    for (std::uintptr_t at = start; at < end; at += sizeof(Word)) {
      hash = hash_add(hash, *reinterpret_cast<const Word*>(at));
    }
  }
  return hash;
}

int add_module(dl_phdr_info* info, std::size_t, void* to) {
  Module module{0, info->dlpi_addr, {}};
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type == PT_LOAD && (header.p_flags & PF_X) != 0) {
      const std::uintptr_t start = info->dlpi_addr + header.p_vaddr;
      module.code.push_back({start, start + header.p_memsz});
    } else if (header.p_type == PT_NOTE && module.id == 0) {
      module.id = hash_build_id(*info, header);
    }
  }
  if (module.code.empty()) return 0;
  if (module.id == 0) module.id = hash_contents(*info);
  static_cast<std::vector<Module>*>(to)->push_back(std::move(module));
  return 0;
}

int read_counts(dl_phdr_info* info, std::size_t, void* to) {
  auto& modules = *static_cast<Modules*>(to);
  modules.loaded = info->dlpi_adds;
  modules.unloaded = info->dlpi_subs;
  return 1;  // they are the same in every entry
}

// The loader's own lock is held within dl_iterate_phdr, and what another thread held stays locked in
// a forked child. So a fork waits until none is in there on our behalf. Registered before the others
// of the library: what they do before a fork may need this.
constinit std::mutex loader_mutex;

[[gnu::constructor(101)]] void keep_forks_out_of_the_loader() noexcept {
  const auto unlock = [] { loader_mutex.unlock(); };
  ::pthread_atfork([] { loader_mutex.lock(); }, unlock, unlock);
}

void ask_loader(int (*callback)(dl_phdr_info*, std::size_t, void*), void* to) {
  const std::lock_guard lock(loader_mutex);
  dl_iterate_phdr(callback, to);
}

[[nodiscard]] const std::vector<Module>& modules() {
  Modules now{};
  ask_loader(read_counts, &now);
  const Modules* known = newest_modules.load(std::memory_order_acquire);
  if (known != nullptr && known->loaded == now.loaded && known->unloaded == now.unloaded) {
    return known->list;
  }
  ask_loader(add_module, &now.list);
  auto* made = new Modules(std::move(now));
  made->older = known;
  // Another thread may have been faster; then both are right, and each keeps the other alive.
  while (!newest_modules.compare_exchange_weak(made->older, made, std::memory_order_acq_rel)) {
  }
  return made->list;
}

}  // namespace

FunctionPlace place_of(AnyFunction function) {
  const auto address = reinterpret_cast<std::uintptr_t>(function);
  for (const Module& module : modules()) {
    if (module.has_code_at(address)) return {module.id, address - module.bias};
  }
  throw_not_sendable("a function that is in no loaded module, which no other process can find");
}

AnyFunction function_at(FunctionPlace place) {
  for (const Module& module : modules()) {
    const std::uintptr_t address = module.bias + place.offset;
    if (module.id == place.module && module.has_code_at(address)) {
      return reinterpret_cast<AnyFunction>(address);
    }
  }
  throw_decode_error(
      "a function is in no module that is loaded here; both processes must run the same build, and "
      "have loaded the same libraries");
}

/// Never freed: readers walk the list without a lock, which a fork could leave locked for ever. An
/// entry whose module is gone stays in the list without a function.
struct ListedThunk {
  std::atomic<AnyFunction> function{nullptr};
  std::uint64_t signature = 0;
  std::atomic<const FunctionPlace*> place{nullptr};  // once somebody has asked
  ListedThunk* next = nullptr;
};

namespace {

constinit std::atomic<ListedThunk*> first_thunk{nullptr};
/// Counts the thunks that went, so that no thread finds one of them in its cache.
constinit std::atomic<std::uint64_t> unlisted{0};

struct CachedThunk {
  FunctionPlace place{};
  std::uint64_t signature = 0;
  std::uint64_t unlisted = 0;
  AnyFunction function = nullptr;
};

}  // namespace

ThunkEntry::ThunkEntry(AnyFunction function, std::uint64_t signature)
    : listed_(new ListedThunk), function_(function) {
  listed_->function.store(function, std::memory_order_relaxed);
  listed_->signature = signature;
  listed_->next = first_thunk.load(std::memory_order_relaxed);
  // Pairs with the acquire in find_thunk.
  while (!first_thunk.compare_exchange_weak(listed_->next, listed_, std::memory_order_release,
                                            std::memory_order_relaxed)) {
  }
}

ThunkEntry::~ThunkEntry() {
  listed_->function.store(nullptr, std::memory_order_release);
  unlisted.fetch_add(1, std::memory_order_acq_rel);
}

FunctionPlace ThunkEntry::place() const {
  if (listed_ == nullptr) return place_of(function_);  // not initialised yet
  const FunctionPlace* known = listed_->place.load(std::memory_order_acquire);
  if (known != nullptr) return *known;
  const auto* const made = new FunctionPlace(place_of(function_));
  if (listed_->place.compare_exchange_strong(known, made, std::memory_order_acq_rel)) return *made;
  delete made;
  return *known;
}

AnyFunction find_thunk(FunctionPlace place, std::uint64_t signature) {
  thread_local std::array<CachedThunk, 16> cache;
  CachedThunk& cached = cache[(place.offset >> 4) % cache.size()];
  const std::uint64_t epoch = unlisted.load(std::memory_order_acquire);
  if (cached.function != nullptr && cached.place == place && cached.signature == signature &&
      cached.unlisted == epoch) {
    return cached.function;
  }
  const AnyFunction wanted = function_at(place);
  for (const ListedThunk* at = first_thunk.load(std::memory_order_acquire); at != nullptr;
       at = at->next) {
    if (at->signature == signature && at->function.load(std::memory_order_acquire) == wanted) {
      cached = {place, signature, epoch, wanted};
      return wanted;
    }
  }
  throw_decode_error("a place in the program is not a function that may be called from outside");
}

}  // namespace tandem::detail
