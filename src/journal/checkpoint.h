// Signed tree heads in C2SP note format (signed-note, tlog-checkpoint), Ed25519. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/hash.h"
#include "crypto/signer.h"

namespace holdfast::journal {

struct Checkpoint {
  std::string origin;  // names the log; no spaces, no `+`
  std::uint64_t size = 0;
  crypto::Digest root{};
  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

/// origin, size, root in base64, an empty line, then `— origin base64(key id, signature)`.
std::string sign_checkpoint(const Checkpoint& checkpoint, const crypto::Signer& signer);

/// Errors: corrupt (malformed, other key, wrong signature).
Result<Checkpoint> open_checkpoint(std::string_view note, const crypto::PublicKey& key);

/// The key as verifiers take it: `origin+hex key id+base64(0x01, public key)`.
std::string verifier_key(std::string_view origin, const crypto::PublicKey& key);
struct Verifier {
  std::string origin;
  crypto::PublicKey key;
};
Result<Verifier> parse_verifier_key(std::string_view text);
/// What to say of a proof or export that brought another key than the expected one. Its origin is
/// only what it claims.
Error another_key(std::string_view expected, const Verifier& brought);

}  // namespace holdfast::journal
