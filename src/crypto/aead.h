// AES-256-GCM (NIST SP 800-38D) in the one layout that sealed values have:
//   version (1) | key id (4) | nonce (12) | ciphertext | tag (16)
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace holdfast::crypto {

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kSealOverhead = 1 + 4 + 12 + 16;

/// Seals under a 32-byte key with a fresh random nonce. A key may seal at most 2^32 values
/// (SP 800-38D section 8.3); callers derive one key per subject, keep group and field.
/// Version and key id are bound beside the associated data.
/// Cost: about 0.5 µs for short values, key schedule included. Threads: safe; nothing of the key
/// stays behind. A key of another size is a bug (std::invalid_argument).
Bytes seal(BytesView key, std::uint32_t key_id, BytesView plain, BytesView associated);

/// Never yields wrong plaintext: corrupt if key, associated data or a single bit differs,
/// or the layout is not as above. The plaintext is only ever in locked memory. Cost: as seal.
Result<Secret> open(BytesView key, BytesView sealed, BytesView associated);

/// The key id in the header, unauthenticated until opened; nullopt for a foreign layout.
std::optional<std::uint32_t> sealed_key_id(BytesView sealed);

}  // namespace holdfast::crypto
