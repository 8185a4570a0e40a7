#include "base/secret.h"

#include <pthread.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

namespace holdfast {
namespace {

constexpr std::size_t kRegion = 1 << 20;
constexpr std::size_t kSlab = 64 << 10;
constexpr std::size_t kSlabs = kRegion / kSlab;
constexpr std::size_t kSpare = 2;  // regions without a block in use that stay locked
constexpr std::size_t kSmallest = 32;
constexpr std::size_t kClasses = 8;  // 32 bytes to 4 KiB; larger ones get a mapping of their own
constexpr std::size_t kLargest = kSmallest << (kClasses - 1);
constexpr std::size_t kPage = 4096;

std::atomic<std::size_t> locked_bytes = 0;

struct Free {
  Free* next;
};

bool lock(std::uint8_t* at, std::size_t size) {
  if (mlock(at, size) != 0) return false;
  madvise(at, size, MADV_DONTDUMP);
  locked_bytes.fetch_add(size, std::memory_order_relaxed);
  return true;
}

std::uint8_t* map(std::size_t size) {
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at == MAP_FAILED ? nullptr : static_cast<std::uint8_t*>(at);
}

std::uint8_t* map_locked(std::size_t size) {
  auto* at = map(size);
  if (!at || lock(at, size)) return at;
  munmap(at, size);
  return nullptr;
}

void unmap_locked(std::uint8_t* at, std::size_t size) {
  munmap(at, size);
  locked_bytes.fetch_sub(size, std::memory_order_relaxed);
}

std::size_t class_of(std::size_t size) {
  return size <= kSmallest ? 0 : static_cast<std::size_t>(std::bit_width((size - 1) / kSmallest));
}

/// A part of a region: of one size class while a block of it is in use, then of none.
struct Slab {
  Free* free = nullptr;
  std::uint8_t* fresh = nullptr;  // from here to the end nothing was handed out yet
  std::uint8_t* end = nullptr;
  std::size_t used = 0;
  Slab* before = nullptr;  // in the one list that it is in
  Slab* after = nullptr;

  bool full() const { return !free && fresh == end; }

  Free* take(std::size_t size) {
    ++used;
    if (free) return std::exchange(free, free->next);
    return reinterpret_cast<Free*>(std::exchange(fresh, fresh + size));
  }
};

struct Slabs {
  Slab* first = nullptr;

  void add(Slab& slab) {
    slab.before = nullptr;
    slab.after = first;
    if (first) first->before = &slab;
    first = &slab;
  }
  void remove(Slab& slab) {
    (slab.before ? slab.before->after : first) = slab.after;
    if (slab.after) slab.after->before = slab.before;
  }
};

/// The head of a mebibyte that is aligned to its size, so that a block's address leads here. It
/// fills the first page, which holds no secret and is not locked.
struct Region {
  std::array<Slab, kSlabs> slabs{};
  std::size_t idle = kSlabs;

  static Region& of(const void* at) {
    const auto address = reinterpret_cast<std::uintptr_t>(at);
    auto* bytes = const_cast<std::uint8_t*>(static_cast<const std::uint8_t*>(at));
    return *reinterpret_cast<Region*>(bytes - address % kRegion);
  }

  std::uint8_t* start() { return reinterpret_cast<std::uint8_t*>(this); }
  Slab& slab_of(const void* block) {
    return slabs[static_cast<std::size_t>(static_cast<const std::uint8_t*>(block) - start()) /
                 kSlab];
  }
  void begin(Slab& slab) {
    const auto number = static_cast<std::size_t>(&slab - slabs.data());
    slab.free = nullptr;
    slab.fresh = start() + (number == 0 ? kPage : number * kSlab);
    slab.end = start() + (number + 1) * kSlab;
  }
};
static_assert(sizeof(Region) <= kPage && (kSlab - kPage) % kLargest == 0);

Region* map_region() {
  auto* at = map(2 * kRegion);
  if (!at) return nullptr;
  const auto skip = kRegion - reinterpret_cast<std::uintptr_t>(at) % kRegion;  // 1 to kRegion
  munmap(at, skip);
  at += skip;
  if (skip < kRegion) munmap(at + kRegion, kRegion - skip);
  if (lock(at + kPage, kRegion - kPage)) return new (at) Region;
  munmap(at, kRegion);
  return nullptr;
}

void unmap_region(Region& region) {
  auto* at = region.start();
  unmap_locked(at + kPage, kRegion - kPage);
  munmap(at, kPage);
}

/// What all threads draw from. A slab that is free again serves any class, and a region goes back
/// to the system, so that a burst of one size leaves room for the others.
struct Central {
  std::mutex mutex;
  std::array<Slabs, kClasses> open;  // those of the class that have a block to give
  Slabs idle;                        // those of no class, where others of their region are in use
  std::array<Region*, kSpare> spare{};
  std::size_t spares = 0;

  /// Takes up to `count` blocks as a list.
  Free* take(std::size_t c, std::size_t count) {
    std::scoped_lock hold(mutex);
    Free* list = nullptr;
    for (; count > 0; --count) {
      if (!open[c].first && !begin_slab(c)) break;
      auto& slab = *open[c].first;
      auto* block = slab.take(kSmallest << c);
      if (slab.full()) open[c].remove(slab);
      block->next = list;
      list = block;
    }
    return list;
  }

  void give(std::size_t c, Free* list) {
    std::scoped_lock hold(mutex);
    while (list) {
      auto* next = list->next;
      auto& slab = Region::of(list).slab_of(list);
      if (slab.full()) open[c].add(slab);
      list->next = slab.free;
      slab.free = list;
      if (--slab.used == 0) {
        open[c].remove(slab);
        end_slab(slab);
      }
      list = next;
    }
  }

  std::uint8_t* map_large(std::size_t size) {
    if (auto* at = map_locked(size)) return at;
    std::scoped_lock hold(mutex);
    while (spares > 0) unmap_region(*spare[--spares]);
    return map_locked(size);
  }

 private:
  bool begin_slab(std::size_t c) {
    if (!idle.first && !begin_region()) return false;
    auto& slab = *idle.first;
    auto& region = Region::of(&slab);
    --region.idle;
    idle.remove(slab);
    region.begin(slab);
    open[c].add(slab);
    return true;
  }

  void end_slab(Slab& slab) {
    auto& region = Region::of(&slab);
    idle.add(slab);
    if (++region.idle < kSlabs) return;
    for (auto& one : region.slabs) idle.remove(one);
    if (spares < kSpare)
      spare[spares++] = &region;
    else
      unmap_region(region);
  }

  bool begin_region() {
    auto* region = spares > 0 ? spare[--spares] : map_region();
    if (!region) return false;
    for (auto& slab : region->slabs) idle.add(slab);
    return true;
  }
};

void need_sodium();

Central& central() {
  // Never destroyed: it outlives every thread's cache.
  static auto* made = (need_sodium(), new Central);
  return *made;
}

/// A few blocks of each size per thread, at most 64 KiB of each, so that the common path takes no
/// lock. Needs no destructor: a Secret that dies with its thread may do so after any other
/// thread_local.
struct Cache {
  std::array<Free*, kClasses> free{};
  std::array<std::size_t, kClasses> count{};
  bool closed = false;  // the thread is ending; blocks go straight to the central list

  static constexpr std::size_t most(std::size_t c) {
    return std::min<std::size_t>(64, (kSlab / kSmallest) >> c);
  }

  void* take(std::size_t c);
  void give(std::size_t c, void* at);
};

constinit thread_local Cache cache;

/// Gives the thread's blocks back at its end. Touched once, by the first refill.
struct Closer {
  bool armed = false;
  ~Closer() {
    cache.closed = true;
    for (std::size_t c = 0; c < kClasses; ++c)
      central().give(c, std::exchange(cache.free[c], nullptr));
  }
};

thread_local Closer closer;

void* Cache::take(std::size_t c) {
  if (!free[c]) {
    if (!closed) closer.armed = true;
    free[c] = central().take(c, closed ? 1 : most(c) / 4);
    count[c] = 0;
    for (auto* block = free[c]; block; block = block->next) ++count[c];
    if (!free[c]) throw std::bad_alloc();
  }
  auto* block = free[c];
  free[c] = block->next;
  --count[c];
  return block;
}

void Cache::give(std::size_t c, void* at) {
  if (!closed) closer.armed = true;
  auto* block = static_cast<Free*>(at);
  block->next = free[c];
  free[c] = block;
  if (++count[c] < most(c) && !closed) return;
  central().give(c, std::exchange(free[c], nullptr));
  count[c] = 0;
}

/// Random bytes that need not be secret, for this thread.
struct Pool {
  std::array<std::uint8_t, 768> bytes{};
  std::size_t left = 0;
};

constinit thread_local Pool pool;

/// libsodium must be initialised before its first use, by whichever thread that is.
void need_sodium() {
  static const bool ready = [] {
    if (sodium_init() < 0) std::abort();  // no randomness: nothing here may go on
    // The child of a fork has one thread, this one; it must not repeat its parent's bytes.
    pthread_atfork(nullptr, nullptr, [] { pool.left = 0; });
    return true;
  }();
  static_cast<void>(ready);
}

void fill_randomly(std::span<std::uint8_t> out) {
  need_sodium();
  if (!out.empty()) randombytes_buf(out.data(), out.size());
}

std::size_t pages(std::size_t size) {
  return (size + kPage - 1) / kPage * kPage;
}

}  // namespace

Secret::Secret(std::size_t size) : size_(size) {
  if (size == 0) return;
  if (size > kLargest) {
    data_ = central().map_large(pages(size));
    if (!data_) throw std::bad_alloc();
    return;
  }
  data_ = static_cast<std::uint8_t*>(cache.take(class_of(size)));
  std::fill_n(data_, size, std::uint8_t{0});
}

Secret::~Secret() {
  if (!data_) return;
  wipe({data_, size_});
  if (size_ > kLargest)
    unmap_locked(data_, pages(size_));
  else
    cache.give(class_of(size_), data_);
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  Secret taken(std::move(other));  // dies here with what this one held, not later with `other`
  std::swap(data_, taken.data_);
  std::swap(size_, taken.size_);
  return *this;
}

Secret Secret::copy(BytesView bytes) {
  Secret out(bytes.size());
  std::copy(bytes.begin(), bytes.end(), out.data_);
  return out;
}

Secret Secret::random(std::size_t size) {
  Secret out(size);
  fill_randomly(out.expose_mut());
  return out;
}

void Secret::shrink(std::size_t size) {
  if (size >= size_) return;
  // In place where the block given back later is still the one that belongs to the size.
  bool stays = size > kLargest ? pages(size) == pages(size_)
                               : size > 0 && size_ <= kLargest && class_of(size) == class_of(size_);
  if (!stays) {
    *this = copy(expose().first(size));
    return;
  }
  wipe({data_ + size, size_ - size});
  size_ = size;
}

bool Secret::matches(BytesView other) const {
  return equal_constant_time(expose(), other);
}

std::size_t locked_secret_bytes() {
  return locked_bytes.load(std::memory_order_relaxed);
}

bool prepare_secret_memory() {
  need_sodium();
  rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  auto* block = central().take(0, 1);
  if (!block) return false;
  central().give(0, block);
  return true;
}

void wipe(std::span<std::uint8_t> bytes) {
  if (!bytes.empty()) sodium_memzero(bytes.data(), bytes.size());
}

void wipe(std::string& text) {
  text.resize(text.capacity());  // what it once held may lie beyond its end
  sodium_memzero(text.data(), text.size());
  text.clear();
}

bool equal_constant_time(BytesView a, BytesView b) {
  if (a.size() != b.size()) return false;
  return a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

Bytes random_bytes(std::size_t size) {
  Bytes out(size);
  fill_randomly(out);
  return out;
}

void random_public(std::span<std::uint8_t> out) {
  if (pool.left < out.size()) {
    if (out.size() > pool.bytes.size()) return fill_randomly(out);
    fill_randomly(pool.bytes);
    pool.left = pool.bytes.size();
  }
  pool.left -= out.size();
  std::copy_n(pool.bytes.data() + pool.left, out.size(), out.data());
}

}  // namespace holdfast
