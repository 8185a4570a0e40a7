// The root key under a passphrase: Argon2id (RFC 9106, through libsodium) makes a key of it, and
// AES-256-GCM under that key wraps the root key. Nothing here keeps the passphrase.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace holdfast::crypto {

inline constexpr std::size_t kSaltBytes = 16;

/// What one guess costs. The default takes about a second and 256 MiB; both numbers are in the
/// unlock file, so that a later default does not change what exists.
struct PassphraseCost {
  std::uint32_t memory_kib = 262'144;
  std::uint32_t passes = 3;
  friend bool operator==(const PassphraseCost&, const PassphraseCost&) = default;
};
/// 64 MiB (RFC 9106, section 4, second choice) to 4 GiB and 3 to 64 passes: a changed file can
/// neither make guesses cheap for the next wrap nor take all memory.
bool allowed(const PassphraseCost& cost);

/// The same passphrase however it was typed: Unicode form NFKC, without line ends at the end.
/// Errors: invalid (under 15 characters, over 1024 bytes, fewer than 6 different ones, not UTF-8,
/// control characters), each with what is wrong (NIST SP 800-63B-4: length, no composition rules).
Result<Secret> passphrase_from(std::string_view typed);

/// 32 bytes. Cost: as stated in `cost`; blocking: use the pool.
/// Errors: unavailable (that much memory cannot be had).
Result<Secret> stretch(const Secret& passphrase, BytesView salt, PassphraseCost cost);

}  // namespace holdfast::crypto
