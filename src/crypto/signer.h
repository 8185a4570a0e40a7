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
  /// From a 32-byte seed; the same seed gives the same key.
  explicit Signer(BytesView seed);

  const PublicKey& public_key() const { return public_; }
  Signature sign(BytesView message) const;

 private:
  Secret secret_;
  PublicKey public_{};
};

bool verify(const PublicKey& key, BytesView message, BytesView signature);

}  // namespace holdfast::crypto
