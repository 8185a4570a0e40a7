// The text of an API key: `hf_<env>_<id>_<secret><checksum>`, always 70 characters for live and
// test alike. The fixed shape and the checksum let secret scanners recognise it without asking.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "access/types.h"
#include "base/secret.h"
#include "crypto/hash.h"

namespace holdfast::access {

inline constexpr std::size_t kIdChars = 12;       // Crockford base32, lower case: 60 bits
inline constexpr std::size_t kSecretChars = 43;   // base62: 256 bits
inline constexpr std::size_t kChecksumChars = 6;  // CRC-32 in base62
inline constexpr std::size_t kKeyTextChars = 8 + kIdChars + 1 + kSecretChars + kChecksumChars;

struct KeyText {
  Environment environment;
  std::string_view id;      // of the text that was parsed
  std::string_view hashed;  // all but the checksum: what digest_of is taken over
};

/// A new id, and a new key text under it. Randomness from libsodium.
std::string make_key_id();
Secret make_key_text(Environment environment, std::string_view id);

/// Accepts exactly what make_key_text writes. A key text is a secret: wipe what holds it.
std::optional<KeyText> parse_key_text(std::string_view text);

/// What is stored in place of the secret. A fast hash is right for 256 random bits.
crypto::Digest digest_of(std::string_view hashed);

/// The key text of an Authorization header: `Bearer` in any case, one space (RFC 6750).
std::optional<std::string_view> bearer(std::string_view authorization);

/// `key_0123456789ab`: the principal's name of an id, and whether a text is one.
std::string principal_of(std::string_view id);
bool is_principal(std::string_view text);

}  // namespace holdfast::access
