#include "base/secret.h"

#include <pthread.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

namespace holdfast {
namespace {

constexpr std::size_t kRegion = 1 << 20;
constexpr std::size_t kSmallest = 32;
constexpr std::size_t kClasses = 8;  // 32 bytes to 4 KiB; larger ones get a mapping of their own
constexpr std::size_t kLargest = kSmallest << (kClasses - 1);
constexpr std::size_t kPage = 4096;

struct Free {
  Free* next;
};

std::uint8_t* map_locked(std::size_t size) {
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  if (mlock(at, size) != 0) {
    munmap(at, size);
    return nullptr;
  }
  madvise(at, size, MADV_DONTDUMP);
  return static_cast<std::uint8_t*>(at);
}

std::size_t class_of(std::size_t size) {
  return size <= kSmallest ? 0 : static_cast<std::size_t>(std::bit_width((size - 1) / kSmallest));
}

/// What all threads draw from: regions are never given back to the system.
struct Central {
  std::mutex mutex;
  std::array<Free*, kClasses> free{};
  std::uint8_t* region = nullptr;
  std::size_t left = 0;

  /// Takes up to `count` blocks as a list.
  Free* take(std::size_t c, std::size_t count) {
    std::scoped_lock lock(mutex);
    Free* list = nullptr;
    for (; count > 0; --count) {
      Free* block = free[c];
      if (block) {
        free[c] = block->next;
      } else {
        std::size_t size = kSmallest << c;
        if (left < size) {
          auto* fresh = map_locked(kRegion);
          if (!fresh) break;
          region = fresh;
          left = kRegion;
        }
        block = reinterpret_cast<Free*>(region);
        region += size;
        left -= size;
      }
      block->next = list;
      list = block;
    }
    return list;
  }

  void give(std::size_t c, Free* list) {
    std::scoped_lock lock(mutex);
    while (list) {
      auto* next = list->next;
      list->next = free[c];
      free[c] = list;
      list = next;
    }
  }
};

void need_sodium();

Central& central() {
  // Never destroyed: it outlives every thread's cache.
  static auto* made = (need_sodium(), new Central);
  return *made;
}

/// A few blocks of each size per thread, so that the common path takes no lock. Needs no
/// destructor: a Secret that dies with its thread may do so after any other thread_local.
struct Cache {
  std::array<Free*, kClasses> free{};
  std::array<std::size_t, kClasses> count{};
  bool closed = false;  // the thread is ending; blocks go straight to the central list

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
    free[c] = central().take(c, closed ? 1 : 16);
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
  if (++count[c] < 64 && !closed) return;
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
    data_ = map_locked(pages(size));
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
    munmap(data_, pages(size_));
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
