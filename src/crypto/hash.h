// SHA-256, HMAC-SHA-256 (RFC 2104) and HKDF-Expand (RFC 5869) on OpenSSL's one-shot primitives.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/secret.h"

namespace holdfast::crypto {

using Digest = std::array<std::uint8_t, 32>;

/// Cost: about 0.3 µs for short inputs. Threads: safe.
Digest sha256(BytesView bytes);

/// HMAC with the two key blocks absorbed once, so that each use costs two short hashes.
/// Threads: const methods are safe from several threads. The state is wiped with the object.
class Hmac {
 public:
  explicit Hmac(BytesView key);
  ~Hmac();
  Hmac(Hmac&&) noexcept;
  Hmac& operator=(Hmac&&) noexcept;

  Digest mac(BytesView message) const;
  /// HKDF-Expand to 32 bytes with this key as the PRK: one block.
  Secret expand(BytesView info) const;
  /// HKDF-Expand to at most 255 * 32 bytes.
  Secret expand(BytesView info, std::size_t size) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// HKDF-Extract.
Secret hkdf_extract(BytesView salt, BytesView input);

}  // namespace holdfast::crypto
