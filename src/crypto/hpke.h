// HPKE (RFC 9180), base mode and one message: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
// Whoever has the public key can seal; only who has the private one can open.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace holdfast::crypto {

using HpkePublicKey = std::array<std::uint8_t, 32>;

/// What sealing adds: the encapsulated key before the ciphertext, and the tag after it.
inline constexpr std::size_t kHpkeOverhead = 32 + 16;

/// `info` says what the key is used for, `associated` what the message belongs to; both are bound.
/// Says nothing of who sealed. Cost: about 100 µs. Threads: safe.
/// Errors: invalid (no public key: of small order).
Result<Bytes> hpke_seal(const HpkePublicKey& key, BytesView info, BytesView associated,
                        BytesView plain);

/// Threads: const methods are safe.
class HpkeKey {
 public:
  /// Derived from random bytes, 32 at least (RFC 9180 section 7.1.3): the same give the same key.
  explicit HpkeKey(BytesView random);

  const HpkePublicKey& public_key() const { return public_; }
  /// Cost: about 60 µs. Errors: corrupt (another key, info or associated data, or a changed bit).
  Result<Secret> open(BytesView info, BytesView associated, BytesView sealed) const;

 private:
  Secret private_;
  HpkePublicKey public_{};
};

}  // namespace holdfast::crypto
