#include "base/secret.h"

#include <sodium.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <bit>
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

Central& central() {
  static auto* made = new Central;  // outlives every thread's cache
  return *made;
}

/// A few blocks of each size per thread, so that the common path takes no lock.
struct Cache {
  std::array<Free*, kClasses> free{};
  std::array<std::size_t, kClasses> count{};

  ~Cache() {
    for (std::size_t c = 0; c < kClasses; ++c) central().give(c, free[c]);
  }

  void* take(std::size_t c) {
    if (!free[c]) {
      free[c] = central().take(c, 16);
      count[c] = 0;
      for (auto* block = free[c]; block; block = block->next) ++count[c];
      if (!free[c]) throw std::bad_alloc();
    }
    auto* block = free[c];
    free[c] = block->next;
    --count[c];
    return block;
  }

  void give(std::size_t c, void* at) {
    auto* block = static_cast<Free*>(at);
    block->next = free[c];
    free[c] = block;
    if (++count[c] < 64) return;
    central().give(c, std::exchange(free[c], nullptr));
    count[c] = 0;
  }
};

thread_local Cache cache;

std::size_t pages(std::size_t size) { return (size + kPage - 1) / kPage * kPage; }

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
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Secret Secret::copy(BytesView bytes) {
  Secret out(bytes.size());
  std::copy(bytes.begin(), bytes.end(), out.data_);
  return out;
}

Secret Secret::random(std::size_t size) {
  Secret out(size);
  randombytes_buf(out.data_, size);
  return out;
}

void Secret::shrink(std::size_t size) {
  if (size >= size_) return;
  *this = copy(expose().first(size));
}

bool Secret::matches(BytesView other) const { return equal_constant_time(expose(), other); }

bool prepare_secret_memory() {
  if (sodium_init() < 0) return false;
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
  sodium_memzero(text.data(), text.size());
  text.clear();
}

bool equal_constant_time(BytesView a, BytesView b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

Bytes random_bytes(std::size_t size) {
  Bytes out(size);
  randombytes_buf(out.data(), size);
  return out;
}

}  // namespace holdfast
