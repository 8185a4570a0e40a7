// A value that must not be seen: a key, a password, an opened customer field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace holdfast {

/// Move-only bytes in locked memory that is left out of core dumps and wiped when given back.
/// Not printable and not comparable with `==`; `expose()` is the one way in, so that every
/// exposure can be found by searching for it.
///
/// Memory comes from regions that are locked a mebibyte at a time (one lock per secret would cost
/// 28 µs and stop working after some 16,000), and of which 64 KiB at a time hold blocks of one
/// size: a power of two, up to 4 KiB. What is free again serves any size, or goes back to the
/// system; the few blocks that each thread keeps at hand are not free. Cost: about 0.1 µs up to 4
/// KiB. Threads: a Secret may be moved between threads and freed on another than made it, and may
/// be thread_local or static. When no further memory can be locked the constructor throws
/// std::bad_alloc.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::size_t size);  // zeroed
  static Secret copy(BytesView bytes);
  static Secret copy(std::string_view text) { return copy(as_bytes(text)); }
  static Secret random(std::size_t size);
  ~Secret();

  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  bool operator==(const Secret&) const = delete;

  BytesView expose() const { return {data_, size_}; }
  std::string_view expose_text() const { return as_text(expose()); }
  /// For functions that fill it in place.
  std::span<std::uint8_t> expose_mut() { return {data_, size_}; }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// Keeps the first `size` bytes and wipes the rest.
  void shrink(std::size_t size);
  Secret clone() const { return copy(expose()); }
  /// Constant time for equal lengths; lengths are not secret.
  bool matches(BytesView other) const;

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Locks the first mebibyte now, so that a limit that is too low is met at the start and not later.
/// Also switches core dumps off. False when memory cannot be locked (raise LimitMEMLOCK).
[[nodiscard]] bool prepare_secret_memory();
/// What is locked now for all secrets, and for those to come; for metrics.
std::size_t locked_secret_bytes();

/// Overwrites in a way that the compiler does not remove. A string is left empty, and everything
/// that its present buffer ever held is gone; buffers that it outgrew before are not reached.
void wipe(std::span<std::uint8_t> bytes);
void wipe(std::string& text);

/// Constant time for equal lengths.
bool equal_constant_time(BytesView a, BytesView b);

/// Cryptographically secure (libsodium).
Bytes random_bytes(std::size_t size);
/// The same for values that everyone may see, such as ids and nonces: drawn from a pool of the
/// thread, which a fork empties. Cost: about 0.03 µs for 16 bytes; a system call is 0.3.
void random_public(std::span<std::uint8_t> out);

}  // namespace holdfast
