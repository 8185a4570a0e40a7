// AES-256-GCM (NIST SP 800-38D) with everything handed in: the nonce, the output, the tag.
// For aead.cpp and for known-answer tests; nobody else chooses a nonce.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace holdfast::crypto::raw {

inline constexpr std::size_t kKeyBytes = 32, kNonceBytes = 12, kTagBytes = 16;
/// The associated data, which may lie in two places.
using Associated = std::array<BytesView, 2>;

/// `out` takes ciphertext and tag: plain.size() + 16 bytes. May not overlap `plain`.
void gcm_seal(BytesView key, BytesView nonce, const Associated& associated, BytesView plain,
              std::span<std::uint8_t> out);

/// `out` takes sealed.size() - 16 bytes. False when the tag does not fit; then `out` is wiped.
[[nodiscard]] bool gcm_open(BytesView key, BytesView nonce, const Associated& associated,
                            BytesView sealed, std::span<std::uint8_t> out);

}  // namespace holdfast::crypto::raw
