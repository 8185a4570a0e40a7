// Ed25519 (RFC 8032) on libsodium.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "base/secret.h"

namespace holdfast::crypto {

using PublicKey = std::array<std::uint8_t, 32>;
using Signature = std::array<std::uint8_t, 64>;

/// Threads: const methods are safe.
class Signer {
 public:
  /// From a 32-byte seed (RFC 8032 section 5.1.5); the same seed gives the same key.
  explicit Signer(BytesView seed);

  const PublicKey& public_key() const { return public_; }
  /// Cost: about 20 µs.
  Signature sign(BytesView message) const;

 private:
  Secret secret_;
  PublicKey public_{};
};

/// Strict: refuses other encodings of the same signature (s at or above the group order), and keys
/// and points of small order. False also for a signature that has not 64 bytes. Cost: about 45 µs.
bool verify(const PublicKey& key, BytesView message, BytesView signature);

}  // namespace holdfast::crypto
